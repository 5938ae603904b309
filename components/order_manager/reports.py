"""What a broker says: fills, which are facts, and reports, which the life cycle may refuse."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from components.order_manager.amendments import describe
from components.order_manager.codes import NoticeCode
from components.order_manager.journal import Journal
from components.order_manager.lifecycle import FINAL_STATES, TRANSITIONS, OrderEvent
from components.order_manager.record import OrderRecord
from schemas.enums import OrderState, ReportType
from schemas.orders import BrokerReport, Fill, Order

_VALIDATED: Final = OrderState.VALIDATED
_CHANGES: Final = {
    ReportType.CANCELLED: OrderEvent.CANCELLED,
    ReportType.EXPIRED: OrderEvent.EXPIRED,
    ReportType.REJECTED: OrderEvent.REJECTED,
    ReportType.UNKNOWN: OrderEvent.IN_DOUBT,
}


def book_fill(journal: Journal, record: OrderRecord, fill: Fill) -> bool:
    """Add a fill to its order and publish that; False when it is a repetition, or cannot be a fill of this order."""
    if record.has_fill(fill.fill_id):
        journal.count("duplicate_fills")
        return False
    order, quantity = record.order, fill.quantity
    if (
        fill.symbol != order.symbol
        or fill.direction != order.direction
        or not (0 < quantity < math.inf and math.isfinite(fill.price))
    ):
        journal.refuse(record, NoticeCode.WRONG_FILL, _fault_of(fill, order))
        return False
    before = record.state
    record.add_fill(fill.fill_id, quantity, fill.price)
    left = 0.0 if record.filled_quantity == order.quantity else record.remainder(order.quantity)
    event = OrderEvent.LAST_FILL if left <= 0 else OrderEvent.FILL
    legal = event in TRANSITIONS[before]
    code, reason = "", ""
    if left < 0:
        code = NoticeCode.OVERFILL
        reason = f"fill {fill.fill_id} makes {record.filled_quantity} filled of {order.quantity} ordered"
    elif before in FINAL_STATES or not legal:
        code = NoticeCode.LATE_FILL if legal else NoticeCode.ILLEGAL_TRANSITION
        reason = f"fill {fill.fill_id} came when the order was {before}"
    if legal:
        journal.advance(record, event, code, reason)
    else:
        journal.restate(record, code, reason)
    return True


def apply_report(journal: Journal, record: OrderRecord, report: BrokerReport) -> None:
    """Let a broker's report change the order, or refuse it, and publish which.

    ACCEPTED and TRIGGERED of an order that works already change nothing and are not published again.
    """
    kind = report.report
    if record.state is _VALIDATED:
        text = f"broker {report.broker} reports {kind}, but the order is held here and was not sent to any broker"
        journal.refuse(record, NoticeCode.UNEXPECTED_REPLY, text)
    elif (event := _CHANGES.get(kind)) is not None:
        journal.advance(record, event, report.code, report.reason)
    elif kind == ReportType.REPLACED:
        _replace_terms(journal, record, report)
    elif kind in (ReportType.CANCEL_REJECTED, ReportType.REPLACE_REJECTED):
        if kind == ReportType.REPLACE_REJECTED and record.asked:
            record.asked = record.asked[1:]
        journal.refuse(record, report.code or kind, report.reason)
    else:
        # Of a final order it is refused, whatever was filled: only a fill may complete an order that is over.
        event = OrderEvent.CONFIRMED if record.is_final else _working_event(record)
        if TRANSITIONS[record.state].get(event) is not record.state:
            journal.advance(record, event, report.code, report.reason)


def _fault_of(fill: Fill, order: Order) -> str:
    if fill.symbol != order.symbol or fill.direction != order.direction:
        ordered = f"{order.direction} {order.symbol}"
        return f"fill {fill.fill_id} is {fill.direction} {fill.symbol}, but the order is {ordered}; it was not booked"
    return f"fill {fill.fill_id} has quantity {fill.quantity} at price {fill.price}; it was not booked"


def _replace_terms(journal: Journal, record: OrderRecord, report: BrokerReport) -> None:
    terms = None if record.is_final else _new_terms(record, report)
    if terms is None:
        text = f"broker {report.broker} replaced it, unasked and with quantity {report.quantity}; it is {record.state}"
        journal.refuse(record, NoticeCode.UNEXPECTED_REPLY, text)
        return
    before, record.order = record.order, terms
    code = NoticeCode.OVERFILL if record.remainder(terms.quantity) < 0 else report.code
    if not journal.advance(record, _working_event(record), code, report.reason or f"now {describe(terms)}"):
        record.order = before
    elif report.code == NoticeCode.OCO and not record.whole_quantity:
        _cut_asked(record, before.quantity - terms.quantity)


def _new_terms(record: OrderRecord, report: BrokerReport) -> Order | None:
    """The amendment that was sent first; for an OCO sibling of an order that filled, what the broker left of it."""
    by_itself = report.code == NoticeCode.OCO or not record.asked
    if by_itself:
        terms = record.order
    else:
        terms, *later = record.asked
        record.asked = tuple(later)
    if report.quantity is None:
        return None if by_itself else terms
    return msgspec.structs.replace(terms, quantity=report.quantity) if 0 < report.quantity < math.inf else None


def _cut_asked(record: OrderRecord, cut: float) -> None:
    """Take off amendments under way what the broker has taken off the order, and will take off them when they arrive.

    Those of a bracket's child know of it: they were sized to what its sibling left, see `Children.lower`.
    """
    record.asked = tuple(msgspec.structs.replace(terms, quantity=terms.quantity - cut) for terms in record.asked)


def _working_event(record: OrderRecord) -> OrderEvent:
    if not record.filled_quantity:
        return OrderEvent.CONFIRMED
    return OrderEvent.CONFIRMED_PARTIAL if record.remainder(record.order.quantity) > 0 else OrderEvent.LAST_FILL
