"""An order as the broker works it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from schemas import GroupType, Order, OrderState, OrderType, TimeInForce

AFTER_TRIGGER = {
    OrderType.STOP: OrderType.MARKET,
    OrderType.TRAILING_STOP: OrderType.MARKET,
    OrderType.MARKET_IF_TOUCHED: OrderType.MARKET,
    OrderType.STOP_LIMIT: OrderType.LIMIT,
    OrderType.LIMIT_IF_TOUCHED: OrderType.LIMIT,
}
"""What an order works as once its trigger was touched."""

# A member of an enum is slow to find: half of the time that it takes to make an order's state.
_MARKET: Final = OrderType.MARKET
_LIMIT: Final = OrderType.LIMIT
_GTC: Final = TimeInForce.GTC
_NO_GROUP: Final = GroupType.NONE

AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


class Working(msgspec.Struct, eq=False, gc=False):
    """A working order's state. Quantities are in units of the instrument, times in ns UTC.

    `number` is its time priority and grows with arrival. `kind` is what it works as now: its order type until it is
    triggered. It reaches the market at `arrival_ts`; `arrived` says that it has met the market. `rested` says that its
    limit has met the market without filling in full, so that it gives liquidity. `version` grows when its prices are
    amended: what was worked out before does not count any more. `level` is where the book holds it: None for nowhere,
    infinite for among those that every record must look at. `oco_cut` is how much the fills of its group have taken
    off its quantity, `group` the one in which one order cancels the others, empty for none. A `plain` order does
    nothing at its first open but fill there if it is a market order, or begin to rest if it is a limit order: it lacks
    nothing, is good till cancelled, has no group, may open positions, and was not amended.
    """

    order: Order
    number: int
    arrival_ts: int
    quantity: float
    leaves: float
    kind: OrderType
    sign: int
    plain: bool = False
    stop: float | None = None
    expire_ts: int | None = None
    group: str = ""
    filled: float = 0.0
    arrived: bool = False
    rested: bool = False
    version: int = 0
    level: float | None = None
    oco_cut: float = 0.0

    @classmethod
    def of(cls, order: Order, number: int, arrival_ts: int = 0) -> Working:
        """A new order's state."""
        quantity, kind, sign = order.quantity, order.order_type, order.direction.sign
        if (
            (kind is _MARKET or (kind is _LIMIT and order.limit_price is not None))
            and order.time_in_force is _GTC
            and order.group_type is _NO_GROUP
            and quantity > 0
            and not order.reduce_only
        ):
            return cls(order, number, arrival_ts, quantity, quantity, kind, sign, True)
        expire_ts = order.expire_ts if order.time_in_force is TimeInForce.GTD else None
        terms = order.stop_price, expire_ts, group_of(order)
        return cls(order, number, arrival_ts, quantity, quantity, kind, sign, False, *terms)

    @property
    def buys(self) -> bool:
        """Whether it buys: its `sign` is +1, else -1."""
        return self.sign > 0

    @property
    def alive(self) -> bool:
        """Whether there is something left to fill: nothing is of an order that has ended."""
        return self.leaves > 0

    @property
    def state(self) -> OrderState:
        """PARTIAL once something has filled, else ROUTED."""
        return OrderState.PARTIAL if self.filled else OrderState.ROUTED


def group_of(order: Order) -> str:
    """The group in which one order cancels the others, empty if there is none.

    OCO orders share their group, the children of a bracket (its target and its stop) their parent.
    """
    if order.group_type is GroupType.OCO:
        return order.group_id
    if order.group_type is GroupType.BRACKET and order.parent_id:
        return f"children of {order.parent_id}"
    return ""


RELATIVE_TOLERANCE: Final = 1e-9
"""An order of which no more than this part is left is filled: order managers count so too."""


def remainder(quantity: float, filled: float) -> float:
    """What is left of an order's quantity."""
    if quantity == filled:
        return 0.0
    left = tidy(quantity - filled)
    return 0.0 if left <= RELATIVE_TOLERANCE * quantity else left


def tidy(quantity: float) -> float:
    """A quantity or price without the dust of binary fractions (0.3 - 0.1 is 0.2), and no negative zero."""
    return (round(quantity, 10) if quantity % 1.0 else quantity) + 0.0


_REQUIRED: dict[OrderType, tuple[Callable[[Order], bool], str]] = {
    OrderType.LIMIT: (lambda o: o.limit_price is not None, "a limit_price"),
    OrderType.STOP: (lambda o: o.stop_price is not None, "a stop_price"),
    OrderType.MARKET_IF_TOUCHED: (lambda o: o.stop_price is not None, "a stop_price"),
    OrderType.STOP_LIMIT: (lambda o: None not in (o.stop_price, o.limit_price), "a stop_price and a limit_price"),
    OrderType.LIMIT_IF_TOUCHED: (lambda o: None not in (o.stop_price, o.limit_price), "a stop_price and a limit_price"),
    OrderType.TRAILING_STOP: (lambda o: (o.trail_amount or o.trail_pct) is not None, "a trail_amount or a trail_pct"),
}


def missing(order: Order) -> str | None:
    """What an order of its type needs and does not have. The order manager refuses it before; a broker makes sure."""
    if not order.quantity > 0:
        return "a quantity above 0"
    required = _REQUIRED.get(order.order_type)
    return None if required is None or required[0](order) else required[1]
