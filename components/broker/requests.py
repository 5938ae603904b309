"""Cancels and amendments of working orders: carried out, or refused with the reason."""

from __future__ import annotations

import msgspec

from components.broker.book import CANCEL, EXPIRE, REPLACE, REQUESTS, Action
from components.broker.desk import Desk, resize
from components.broker.working import Working, missing, remainder, tidy
from schemas import Order, OrderType, ReportType, TimeInForce


def perform(desk: Desk, action: Action) -> None:
    """Do what was scheduled. A cancel or amendment that comes too late is refused, an expiry is let be."""
    order = action.order
    desk.in_flight -= action.what in REQUESTS
    if action.what == CANCEL:
        cancel(desk, order.order.order_id, action.reason)
    elif action.what == REPLACE and action.amended is not None:
        amend(desk, _without_cut(action.amended, order.oco_cut - action.oco_cut))
    elif order.alive and order.expire_ts == action.ts and not _ends_with_its_auction(order):
        desk.end(order, ReportType.EXPIRED, order.order.time_in_force.value, "its time in force is over")


def _ends_with_its_auction(order: Working) -> bool:
    """Whether it is a DAY order on the close, which may still fill on a tick at the very end of its session."""
    return order.kind is OrderType.MARKET_ON_CLOSE and order.order.time_in_force is TimeInForce.DAY


def _without_cut(amended: Order, cut: float) -> Order:
    """An amendment, less what the order's group has filled while it was on its way."""
    return msgspec.structs.replace(amended, quantity=tidy(amended.quantity - cut)) if cut else amended


def cancel(desk: Desk, order_id: str, reason: str) -> None:
    """End an order on request, or say why not."""
    order = desk.orders.get(order_id)
    if order is None:
        _refuse(desk, order_id, ReportType.CANCEL_REJECTED)
    else:
        desk.end(order, ReportType.CANCELLED, "", reason)


def amend(desk: Desk, amended: Order) -> None:
    """Put new terms in place of the old, or say why not.

    Time priority is kept only when no price changes and the quantity does not grow. A trigger that was touched stays
    touched.
    """
    order = desk.orders.get(amended.order_id)
    if order is None:
        _refuse(desk, amended.order_id, ReportType.REPLACE_REJECTED)
    elif fault := _fault(order, amended):
        desk.report(amended.order_id, ReportType.REPLACE_REJECTED, *fault)
    else:
        _put_terms(desk, order, amended)
        desk.report(amended.order_id, ReportType.REPLACED, quantity=amended.quantity)


def _refuse(desk: Desk, order_id: str, report: ReportType) -> None:
    state = desk.final.get(order_id)
    if state is None:
        desk.report(order_id, report, "UNKNOWN_ORDER", f"there is no order {order_id!r} here")
    else:
        desk.report(order_id, report, "FINAL_ORDER", f"order {order_id!r} is {state} already")


def _fault(order: Working, amended: Order) -> tuple[str, str] | None:
    old = order.order
    if (old.symbol, old.direction, old.order_type) != (amended.symbol, amended.direction, amended.order_type):
        return "NOT_AMENDABLE", "symbol, direction and order type cannot be amended; cancel the order and send another"
    if remainder(amended.quantity, order.filled) <= 0:
        return "BELOW_FILLED", f"quantity {amended.quantity:.12g} is not above the {order.filled:.12g} that have filled"
    if lacks := missing(amended):
        return "INCOMPLETE_ORDER", f"a {amended.order_type} order needs {lacks}"
    return None


def _put_terms(desk: Desk, order: Working, amended: Order) -> None:
    old, book = order.order, desk.books[order.order.symbol]
    book.schedule_arriving()
    book.remove(order)
    same_prices = (old.limit_price, old.stop_price) == (amended.limit_price, amended.stop_price)
    if not same_prices:
        order.version += 1
    if not same_prices or amended.quantity > order.quantity:
        order.number = next(desk.numbers)
    order.rested = order.rested and old.limit_price == amended.limit_price
    if old.stop_price != amended.stop_price:
        order.stop = amended.stop_price
    order.order, order.plain = amended, False
    resize(order, amended.quantity)
    if order.arrived:
        book.place(order)
    _renew_expiry(desk, order, amended)


def _renew_expiry(desk: Desk, order: Working, amended: Order) -> None:
    if amended.expire_ts is not None and amended.expire_ts != order.expire_ts:
        order.expire_ts = amended.expire_ts
        desk.schedule(amended.expire_ts, EXPIRE, order)
