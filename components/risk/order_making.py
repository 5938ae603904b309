"""Orders on the terms of a signal."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from components.risk.holdings import QUANTITY_DECIMALS
from schemas import Direction, GroupType, Order, OrderType, Signal

NextId = Callable[[], str]


def bracket_for(signal: Signal, closing: float, opening: float, next_id: NextId, ts: int) -> tuple[Order, ...]:
    """The orders that close `closing` and open `opening` units in the signal's direction, made at `ts` (ns UTC).

    The children of a bracket must protect no more than what their parent opens, so what closes is an order of its own.
    """
    prices = {OrderType.LIMIT: signal.target_price, OrderType.STOP: signal.stop_loss_price}
    orders = [order_on_terms(signal, closing, next_id(), ts)] if closing > 0 else []
    parent = _parent(signal, opening, next_id(), ts)
    children = [
        _child(parent, order_type, price, next_id()) for order_type, price in prices.items() if price is not None
    ]
    return (*orders, parent, *children)


def order_on_terms(signal: Signal, quantity: float, order_id: str, ts: int) -> Order:
    """An order as the signal asks for it, made at `ts` (ns UTC)."""
    return Order(
        order_id,
        signal.symbol,
        signal.direction,
        quantity,
        signal.order_type,
        ts,
        signal.limit_price,
        signal.stop_price,
        signal.time_in_force,
        reason=signal.reason,
    )


def closing_order(symbol: str, quantity: float, order_id: str, ts: int, reason: str) -> Order:
    """A market order that closes a position of `quantity` (negative is short).

    It is reduce_only, so that it is good for any remainder, be it below the instrument's minimum or off its lot.
    """
    return Order(
        order_id=order_id,
        symbol=symbol,
        direction=Direction.SELL if quantity > 0 else Direction.BUY,
        quantity=clean(abs(quantity)),
        order_type=OrderType.MARKET,
        ts=ts,
        reduce_only=True,
        reason=reason,
    )


def _parent(signal: Signal, quantity: float, order_id: str, ts: int) -> Order:
    plain = order_on_terms(signal, quantity, order_id, ts)
    return replace(plain, group_id=order_id, group_type=GroupType.BRACKET)


def _child(parent: Order, order_type: OrderType, price: float, order_id: str) -> Order:
    """Target (LIMIT) or stop loss (STOP): good till cancelled, whatever the parent's time in force is."""
    is_target = order_type is OrderType.LIMIT
    return Order(
        order_id=order_id,
        symbol=parent.symbol,
        direction=parent.direction.opposite,
        quantity=parent.quantity,
        order_type=order_type,
        ts=parent.ts,
        limit_price=price if is_target else None,
        stop_price=None if is_target else price,
        reduce_only=True,
        group_id=parent.group_id,
        group_type=GroupType.BRACKET,
        parent_id=parent.order_id,
        reason="target" if is_target else "stop loss",
    )


def clean(quantity: float) -> float:
    """A quantity without the rounding error of the sums it comes from."""
    quantity = float(quantity)
    return quantity if quantity.is_integer() else round(quantity, QUANTITY_DECIMALS)
