"""Orders on the terms of a signal."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from components.risk.holdings import QUANTITY_DECIMALS
from schemas import Direction, GroupType, Order, OrderType, Signal

NextId = Callable[[], str]


def orders_for(signal: Signal, closing: float, opening: float, next_id: NextId, ts: int) -> tuple[Order, ...]:
    """What closes `closing` and opens `opening` units in the signal's direction, made at `ts` (ns UTC).

    One order for both, none when there is nothing to trade; a bracket around what opens, if the signal asks for one.
    """
    quantity = float(closing + opening)
    if not quantity.is_integer():
        quantity = clean(quantity)
    if not quantity > 0:
        return ()
    order = Order(
        next_id(),
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
    if (signal.target_price is None and signal.stop_loss_price is None) or clean(opening) <= 0:
        return (order,)
    return _bracket(order, signal, clean(closing), clean(opening), next_id)


def _bracket(order: Order, signal: Signal, closing: float, opening: float, next_id: NextId) -> tuple[Order, ...]:
    """An order on the signal's terms as a bracket.

    The children of a bracket must protect no more than what their parent opens, so what closes is an order of its own.
    """
    first = (replace(order, quantity=closing),) if closing > 0 else ()
    group_id = next_id() if first else order.order_id
    parent = replace(order, order_id=group_id, quantity=opening, group_id=group_id, group_type=GroupType.BRACKET)
    prices = {OrderType.LIMIT: signal.target_price, OrderType.STOP: signal.stop_loss_price}
    children = [
        _child(parent, order_type, price, next_id()) for order_type, price in prices.items() if price is not None
    ]
    return (*first, parent, *children)


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
