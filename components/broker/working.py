"""An order as the broker works it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schemas import Direction, Order, OrderState, OrderType, TimeInForce

Filed = tuple[float, int, "Working"]
"""An order's entry in a book's index: level, number, order. Numbers differ, so that orders are never compared."""

AFTER_TRIGGER = {
    OrderType.STOP: OrderType.MARKET,
    OrderType.TRAILING_STOP: OrderType.MARKET,
    OrderType.MARKET_IF_TOUCHED: OrderType.MARKET,
    OrderType.STOP_LIMIT: OrderType.LIMIT,
    OrderType.LIMIT_IF_TOUCHED: OrderType.LIMIT,
}
"""What an order works as once its trigger was touched."""

AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


@dataclass(slots=True, eq=False)
class Working:
    """A working order's state. Quantities are in units of the instrument, times in ns UTC.

    `number` is its time priority and grows with arrival. `kind` is what it works as now: its order type until it is
    triggered. It reaches the market at `arrival_ts`; `arrived` says that it is in the book. `rested` says that its
    limit has met the market without filling in full, so that it gives liquidity. `version` grows when its prices are
    amended: what was worked out before does not count any more. `filed` is where the book's index holds it. `oco_cut`
    is how much the fills of its group have taken off its quantity.
    """

    order: Order
    number: int
    quantity: float
    leaves: float
    kind: OrderType
    stop: float | None
    sign: int
    buys: bool
    arrival_ts: int = 0
    expire_ts: int | None = None
    filled: float = 0.0
    arrived: bool = False
    rested: bool = False
    alive: bool = True
    version: int = 0
    filed: Filed | None = None
    oco_cut: float = 0.0

    @classmethod
    def of(cls, order: Order, number: int) -> Working:
        """A new order's state."""
        buys = order.direction is Direction.BUY
        return cls(
            order=order,
            number=number,
            quantity=order.quantity,
            leaves=order.quantity,
            kind=order.order_type,
            stop=order.stop_price,
            sign=1 if buys else -1,
            buys=buys,
            expire_ts=order.expire_ts if order.time_in_force is TimeInForce.GTD else None,
        )

    @property
    def state(self) -> OrderState:
        """PARTIAL once something has filled, else ROUTED."""
        return OrderState.PARTIAL if self.filled else OrderState.ROUTED


RELATIVE_TOLERANCE: Final = 1e-9
"""An order of which no more than this part is left is filled: order managers count so too."""


def remainder(quantity: float, filled: float) -> float:
    """What is left of an order's quantity."""
    left = tidy(quantity - filled)
    return 0.0 if left <= RELATIVE_TOLERANCE * quantity else left


def tidy(quantity: float) -> float:
    """A quantity or price without the dust of binary fractions (0.3 - 0.1 is 0.2), and no negative zero."""
    return round(quantity, 10) + 0.0


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
    present, needed = _REQUIRED.get(order.order_type, (lambda _: True, ""))
    return None if present(order) else needed
