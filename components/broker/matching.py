"""What a match does to an order: how much of it fills, and what becomes of the rest."""

from __future__ import annotations

from typing import Final

from components.broker.desk import Desk
from components.broker.market import Market
from components.broker.path import CLOSE
from components.broker.pricing import MARKET_RANK, Event
from components.broker.working import AFTER_TRIGGER, AT_ONCE, Working
from schemas import OrderType, ReportType, TimeInForce

AUCTIONS: Final = frozenset({OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE})


def match(desk: Desk, market: Market, order: Working, event: Event) -> None:
    """Fill as much of the order as may be had; what is left goes on working unless its terms say otherwise."""
    budget = market.side(order.buys).budget
    wanted = order.leaves
    if order.order.reduce_only:
        wanted = min(wanted, desk.reducible(order))
    if order.order.time_in_force is not TimeInForce.FOK or budget.offer(wanted) == order.leaves:
        desk.fill(order, wanted, event.price, event.rule, event.liquidity, budget)
    if order.alive:
        _go_on(desk, order)


def match_at_end(desk: Desk, market: Market, order: Working, rule: str) -> None:
    """Match an order at the price at the end of the market's path."""
    match(desk, market, order, Event(CLOSE, MARKET_RANK, 0.0, market.side(order.buys).path.end, rule))


def work_triggered(desk: Desk, order: Working) -> None:
    """The order's trigger was touched: from now on it works as what it becomes."""
    book = desk.books[order.order.symbol]
    book.remove(order)
    order.kind = AFTER_TRIGGER[order.kind]
    if order.arrived:
        book.place(order)
    desk.report(order.order.order_id, ReportType.TRIGGERED, reason=f"it works as a {order.kind} order now")


def cancel_at_once(desk: Desk, order: Working, reason: str) -> None:
    """End an IOC or FOK order that did not fill at its first opportunity."""
    desk.end(order, ReportType.CANCELLED, order.order.time_in_force.value, reason)


def _go_on(desk: Desk, order: Working) -> None:
    if order.order.reduce_only and desk.reducible(order) <= 0:
        desk.end(order, ReportType.CANCELLED, "REDUCE_ONLY", "there is no position left that it would reduce")
    elif order.order.time_in_force in AT_ONCE:
        cancel_at_once(desk, order, f"{order.leaves:.12g} could not be had at once")
    elif order.kind in AUCTIONS:
        reason = f"the auction is over and {order.leaves:.12g} could not be had"
        desk.end(order, ReportType.EXPIRED, "AUCTION_OVER", reason)
    elif order.kind in AFTER_TRIGGER:
        work_triggered(desk, order)
