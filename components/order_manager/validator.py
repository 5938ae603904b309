"""Whether an order can be executed as it is written; if not, why, as a code and a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from bus.runtime.settings import RunSettings
from components.order_manager.codes import RejectCode
from schemas.enums import Direction, GroupType, OrderType, TimeInForce
from schemas.orders import Order

_DIRECTIONS: Final = frozenset(Direction)
_TIMES_IN_FORCE: Final = frozenset(TimeInForce)
_GROUP_TYPES: Final = frozenset(GroupType)
_RESTING_TYPES: Final = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED})
_MARKET: Final = OrderType.MARKET
_LIMIT: Final = OrderType.LIMIT
_GTC: Final = TimeInForce.GTC
_NO_GROUP: Final = GroupType.NONE
_INFINITY: Final = math.inf
_AT_ONCE: Final = frozenset({TimeInForce.IOC, TimeInForce.FOK})

_PRICES: Final[dict[OrderType, tuple[bool, bool]]] = {
    OrderType.MARKET: (False, False),
    OrderType.LIMIT: (True, False),
    OrderType.STOP: (False, True),
    OrderType.STOP_LIMIT: (True, True),
    OrderType.TRAILING_STOP: (False, False),
    OrderType.MARKET_IF_TOUCHED: (False, True),
    OrderType.LIMIT_IF_TOUCHED: (True, True),
    OrderType.MARKET_ON_OPEN: (False, False),
    OrderType.MARKET_ON_CLOSE: (False, False),
}
"""Whether an order of this type has a limit price, and whether it has a stop price (the trigger, for the touched ones).
What it does not have must not be given: a price that is silently ignored is a mistake that nobody notices."""


class Rejection(NamedTuple):
    """Why not: `code` for machines, `reason` a sentence for people."""

    code: RejectCode
    reason: str


class Steps(NamedTuple):
    """What an instrument trades in: price steps, quantity steps and bounds on the quantity; 0 for any."""

    tick_size: float
    lot_size: float
    min_quantity: float
    max_quantity: float


ANY_STEPS: Final = Steps(0.0, 0.0, 0.0, math.inf)


class OrderValidator:
    """Checks orders against the run's symbols and instruments.

    A symbol is known when `run.symbols` or `run.instruments` names it; when `run.symbols` is empty every symbol is.
    """

    __slots__ = ("_known", "_run", "_steps")

    def __init__(self, run: RunSettings) -> None:
        self._run = run
        self._known = frozenset(run.symbols).union(i.symbol for i in run.instruments) if run.symbols else None
        self._steps = {
            i.symbol: Steps(i.tick_size, i.lot_size, i.min_quantity, i.max_quantity) for i in run.instruments
        }

    def check(self, order: Order, now_ns: int) -> Rejection | None:
        """The first fault of `order` at time `now_ns` (ns UTC), None when there is none."""
        return _check_terms(order, now_ns) or self.check_instrument(order)

    def check_instrument(self, order: Order) -> Rejection | None:
        """The first fault that an order which `looks_plain` may still have."""
        symbol = order.symbol
        if self._known is not None and symbol not in self._known:
            known = ", ".join(sorted(self._known))
            return Rejection(
                RejectCode.UNKNOWN_SYMBOL, f"symbol {symbol!r} is not traded in this run; known are {known}"
            )
        steps = self._steps.get(symbol)
        return None if steps is None else _check_steps(order, steps)

    def steps(self, symbol: str) -> Steps:
        """The instrument's steps; `ANY_STEPS` when it is not declared."""
        return self._steps.get(symbol, ANY_STEPS)

    @staticmethod
    def validate_order(order_data: Mapping[str, Any]) -> bool:
        """Whether a dict describes an order that can be executed somewhere; keys are the fields of `Order`.

        `order_id`, `symbol`, `quantity`, `direction` and `order_type` are required, unknown keys are ignored. No
        instrument is known here, and an expiry is compared with the order's own `ts`. `check` says what is wrong.
        """
        values = {name: order_data[name] for name in Order.__struct_fields__ if name in order_data}
        try:
            order = Order(**{"ts": 0, **values})
            return _ANYWHERE.check(order, order.ts) is None
        except TypeError:  # a field is missing, or of a type that cannot be compared with what it should be
            return False


_ANYWHERE: Final = OrderValidator(RunSettings())


def is_multiple(value: float, step: float) -> bool:
    """Whether `value` is a whole number of steps, but for the rounding of binary fractions. Step 0 allows any value."""
    return step == 0 or abs(math.remainder(value, step)) <= 1e-6 * step + 1e-15 * abs(value)


def with_enum_members(order: Order) -> Order:
    """The order with members of the enumerations where it has plain texts that equal them, as "GTD" does.

    An order that was made in Python, and not decoded, may have such texts; they pass every comparison with `==`, and
    none by identity. One with a text that no member equals comes back as it is, for `check` to say so.
    """
    if (
        type(order.direction) is Direction
        and type(order.order_type) is OrderType
        and type(order.time_in_force) is TimeInForce
        and type(order.group_type) is GroupType
    ):
        return order
    try:
        return msgspec.structs.replace(
            order,
            direction=Direction(order.direction),
            order_type=OrderType(order.order_type),
            time_in_force=TimeInForce(order.time_in_force),
            group_type=GroupType(order.group_type),
        )
    except ValueError:
        return order


def _is_positive(value: object) -> bool:
    if type(value) is float:  # the usual case; NaN fails both comparisons
        return 0.0 < value < math.inf
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def looks_plain(order: Order) -> bool:
    """Whether an order is of the usual kind and right, seen at one glance: only its instrument is left to be checked.

    A market order, or a limit order, that is good till cancelled and asks for nothing else.
    """
    quantity, limit = order.quantity, order.limit_price
    if (
        type(quantity) is float
        and 0.0 < quantity < _INFINITY
        and type(order.direction) is Direction
        and order.time_in_force is _GTC
        and order.group_type is _NO_GROUP
        and order.stop_price is None
        and order.expire_ts is None
        and order.trail_amount is None
        and order.trail_pct is None
        and not order.post_only
        and not order.parent_id
        and type(order.order_id) is str
        and type(order.symbol) is str
        and order.order_id
        and order.symbol
    ):
        if limit is None:
            return order.order_type is _MARKET
        return order.order_type is _LIMIT and type(limit) is float and 0.0 < limit < _INFINITY
    return False


def _check_terms(order: Order, now_ns: int) -> Rejection | None:
    return (
        _check_names(order)
        or _check_words(order)
        or _check_prices(order)
        or _check_trail(order)
        or _check_life(order, now_ns)
        or _check_group(order)
    )


def _check_names(order: Order) -> Rejection | None:
    if not order.order_id or not isinstance(order.order_id, str):
        return Rejection(
            RejectCode.MISSING_ORDER_ID, f"order_id is {order.order_id!r}; it must be a text that is not empty"
        )
    if not order.symbol or not isinstance(order.symbol, str):
        return Rejection(RejectCode.MISSING_SYMBOL, f"symbol is {order.symbol!r}; it must be a text that is not empty")
    return None


def _check_words(order: Order) -> Rejection | None:
    if not _is_positive(order.quantity):
        text = f"quantity is {order.quantity!r}; it must be a finite number above 0, the direction says which way"
        return Rejection(RejectCode.INVALID_QUANTITY, text)
    if order.direction not in _DIRECTIONS:
        return _unknown_word(RejectCode.INVALID_DIRECTION, "direction", order.direction, Direction)
    if order.order_type not in _PRICES:
        return _unknown_word(RejectCode.INVALID_ORDER_TYPE, "order_type", order.order_type, OrderType)
    if order.time_in_force not in _TIMES_IN_FORCE:
        return _unknown_word(RejectCode.INVALID_TIME_IN_FORCE, "time_in_force", order.time_in_force, TimeInForce)
    return None


def _unknown_word(code: RejectCode, field: str, value: object, allowed: Any) -> Rejection:
    return Rejection(code, f"{field} is {value!r}; known are {', '.join(allowed)}")


def _check_prices(order: Order) -> Rejection | None:
    has_limit, has_stop = _PRICES[order.order_type]
    if has_limit != (order.limit_price is not None) or (has_limit and not _is_positive(order.limit_price)):
        invalid, unexpected = RejectCode.INVALID_LIMIT_PRICE, RejectCode.UNEXPECTED_LIMIT_PRICE
        return _price_fault(order, "limit_price", order.limit_price, invalid if has_limit else unexpected)
    if has_stop != (order.stop_price is not None) or (has_stop and not _is_positive(order.stop_price)):
        invalid, unexpected = RejectCode.INVALID_STOP_PRICE, RejectCode.UNEXPECTED_STOP_PRICE
        return _price_fault(order, "stop_price", order.stop_price, invalid if has_stop else unexpected)
    return None


def _price_fault(order: Order, field: str, price: object, code: RejectCode) -> Rejection:
    if code in (RejectCode.UNEXPECTED_LIMIT_PRICE, RejectCode.UNEXPECTED_STOP_PRICE):
        return Rejection(code, f"{field} is {price!r}, but a {order.order_type} order has none; leave it out")
    return Rejection(code, f"{field} is {price!r}; a {order.order_type} order needs a finite price above 0")


def _check_trail(order: Order) -> Rejection | None:
    amount, fraction = order.trail_amount, order.trail_pct
    if order.order_type != OrderType.TRAILING_STOP:
        if amount is None and fraction is None:
            return None
        text = f"trail_amount and trail_pct belong to TRAILING_STOP orders, and this is a {order.order_type} order"
        return Rejection(RejectCode.UNEXPECTED_TRAIL, text)
    if (amount is None) == (fraction is None):
        text = (
            f"trail_amount is {amount!r} and trail_pct is {fraction!r}; a TRAILING_STOP order needs exactly one of them"
        )
        return Rejection(RejectCode.INVALID_TRAIL, text)
    if not _is_positive(amount if fraction is None else fraction) or (fraction is not None and fraction >= 1):
        text = f"trail_amount is {amount!r} and trail_pct is {fraction!r}; both are above 0, and a fraction is below 1"
        return Rejection(RejectCode.INVALID_TRAIL, text)
    return None


def _check_life(order: Order, now_ns: int) -> Rejection | None:
    if order.time_in_force == TimeInForce.GTD:
        if order.expire_ts is None:
            return Rejection(
                RejectCode.MISSING_EXPIRY, "a GTD order needs expire_ts, the time (ns UTC) at which it expires"
            )
        if order.expire_ts <= now_ns:
            text = f"expire_ts {order.expire_ts} is not after the present time {now_ns} (ns UTC)"
            return Rejection(RejectCode.ALREADY_EXPIRED, text)
    elif order.expire_ts is not None:
        text = f"expire_ts is given, but time_in_force is {order.time_in_force}; only GTD orders have an expiry"
        return Rejection(RejectCode.UNEXPECTED_EXPIRY, text)
    if order.post_only and (order.order_type not in _RESTING_TYPES or order.time_in_force in _AT_ONCE):
        text = (
            f"a {order.order_type} order with {order.time_in_force} never rests in the book, so it cannot be post_only"
        )
        return Rejection(RejectCode.INVALID_POST_ONLY, text)
    return None


def _check_group(order: Order) -> Rejection | None:
    if order.group_type == GroupType.NONE and not order.parent_id:
        return None
    if order.group_type not in _GROUP_TYPES:
        return _unknown_word(RejectCode.INVALID_GROUP, "group_type", order.group_type, GroupType)
    if order.parent_id == order.order_id:
        return Rejection(RejectCode.INVALID_GROUP, "parent_id is the order's own id")
    if order.group_type == GroupType.OCO and not order.group_id:
        return Rejection(RejectCode.INVALID_GROUP, "an OCO order needs a group_id, which it shares with its siblings")
    return None


def _check_steps(order: Order, steps: Steps) -> Rejection | None:
    """A reduce_only order may be smaller than the minimum and off the lot: a partial fill can leave such a position."""
    smallest = 0.0 if order.reduce_only else steps.min_quantity
    if not smallest <= order.quantity <= steps.max_quantity:
        text = f"quantity {order.quantity} of {order.symbol} is not between {smallest} and {steps.max_quantity}"
        return Rejection(RejectCode.QUANTITY_OUT_OF_BOUNDS, text)
    if not order.reduce_only and not is_multiple(order.quantity, steps.lot_size):
        text = f"quantity {order.quantity} of {order.symbol} is not a multiple of its lot size {steps.lot_size}"
        return Rejection(RejectCode.OFF_LOT, text)
    for field, price in (("limit_price", order.limit_price), ("stop_price", order.stop_price)):
        if price is not None and not is_multiple(price, steps.tick_size):
            text = f"{field} {price} of {order.symbol} is not a multiple of its tick size {steps.tick_size}"
            return Rejection(RejectCode.OFF_TICK, text)
    return None
