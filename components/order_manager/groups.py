"""Orders that depend on each other: children wait for their parent, siblings exclude each other.

A child (OTO, or the target and stop of a bracket) is held here until its parent fills, because a broker that worked it
before then could sell what was never bought. What excludes what inside one broker is enforced there, where it can
be done before a second order fills on the same bar; here it is enforced for orders that the broker does not have.
"""

from __future__ import annotations

from typing import Final

from components.order_manager.book import OrderBook
from components.order_manager.children import Children
from components.order_manager.codes import NoticeCode
from components.order_manager.journal import Journal
from components.order_manager.lifecycle import OrderEvent
from components.order_manager.record import OrderRecord
from components.order_manager.router import Router
from schemas.enums import GroupType, OrderState

_VALIDATED: Final = OrderState.VALIDATED


class Groups:
    """Passes on what becomes of an order to those that depend on it."""

    def __init__(self, book: OrderBook, journal: Journal, router: Router, children: Children) -> None:
        self._book = book
        self._journal = journal
        self._router = router
        self._children = children

    def admit(self, record: OrderRecord) -> None:
        """Send a validated order to its broker, or hold it, or cancel it because its group has no use for it."""
        filled = next((s for s in self._book.siblings(record) if s.filled_quantity > 0), None)
        if filled is not None:
            self._journal.advance(record, OrderEvent.CANCELLED, NoticeCode.OCO, _excluded_by(filled))
            return
        parent = self._book.get(record.order.parent_id)
        if parent is None:
            self._router.submit(record)
        else:
            self._children.follow(record, parent)

    def withdraw(self, record: OrderRecord, reason: str, code: str = "") -> None:
        """Cancel a working order: here when it is held, else at its broker."""
        if record.state is _VALIDATED:
            self._journal.advance(record, OrderEvent.CANCELLED, code, reason)
            self.tell_children(record)
        else:
            self._router.cancel(record, reason)

    def after_fill(self, record: OrderRecord) -> None:
        """What the fill of an order means for its siblings, its parent and its children."""
        order = record.order
        if order.group_id or order.parent_id:
            self._exclude_siblings(record)
        if order.parent_id and record.state is OrderState.FILLED:
            self._end_entry(record)
        self.tell_children(record)

    def tell_children(self, parent: OrderRecord) -> None:
        """Let an order's children follow what became of it, and theirs in turn where one of them ended."""
        ended = [parent]
        for parent in ended:  # grows while it is gone through: a chain of children may be long, so no recursion
            for child in self._book.children(parent.order.order_id):
                was_final = child.is_final
                self._children.follow(child, parent)
                if child.is_final and not was_final:
                    ended.append(child)

    def _exclude_siblings(self, record: OrderRecord) -> None:
        # A sibling at the same broker is the broker's to reduce or cancel: it does so before the sibling can fill.
        for sibling in self._book.siblings(record):
            if sibling.is_held or (not sibling.is_final and sibling.broker != record.broker):
                self.withdraw(sibling, _excluded_by(record), NoticeCode.OCO)
            elif sibling.asked and sibling.whole_quantity and not record.is_final:
                self._children.lower(sibling)

    def _end_entry(self, record: OrderRecord) -> None:
        parent = self._book.get(record.order.parent_id)
        if parent is None:
            return
        self._children.follow(record, parent)
        # When an exit of a bracket is complete the trade is over, and what would still be bought had no exit.
        if record.order.group_type == GroupType.BRACKET and not parent.is_final:
            self.withdraw(parent, f"its exit {record.order.order_id} is filled")


def _excluded_by(record: OrderRecord) -> str:
    return f"{record.order.order_id}, which excludes it, has filled"
