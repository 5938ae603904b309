"""New terms that risk asks for; they are in force when the broker confirms them (see `reports`)."""

from __future__ import annotations

from typing import Any

import msgspec

from bus.runtime.clock import Clock
from components.order_manager.codes import RejectCode
from components.order_manager.groups import Groups
from components.order_manager.journal import Journal
from components.order_manager.record import OrderRecord
from components.order_manager.router import Router
from components.order_manager.validator import OrderValidator, Rejection
from schemas.enums import OrderState
from schemas.orders import Order, ReplaceOrder

_AMENDABLE = ("quantity", "limit_price", "stop_price")


class Amendments:
    """Checks amendments and sends them on; the broker answers in the order in which they were sent."""

    def __init__(
        self, journal: Journal, router: Router, groups: Groups, validator: OrderValidator, clock: Clock
    ) -> None:
        self._journal = journal
        self._router = router
        self._groups = groups
        self._validator = validator
        self._clock = clock

    def ask(self, record: OrderRecord, request: ReplaceOrder) -> None:
        """Amend an order: here while it is held, else at its broker. An amendment down to what has filled cancels."""
        current = record.latest_terms
        terms = msgspec.structs.replace(current, **_changes(request))
        rejection = self._check(record, current, terms)
        if rejection is not None:
            self._journal.refuse(record, rejection.code, rejection.reason)
        elif record.is_held:
            self._amend_held(record, terms)
        elif record.remainder(terms.quantity) == 0:
            self._groups.withdraw(record, f"amended to the {record.filled_quantity} that have filled")
        else:
            if request.quantity is not None:  # from here on it has the size that risk gave it, not its parent's
                record.whole_quantity = 0.0
            self._router.replace(record, terms)

    def _check(self, record: OrderRecord, current: Order, terms: Order) -> Rejection | None:
        if record.is_final:
            return Rejection(RejectCode.FINAL_ORDER, f"it is {record.state}, which is final; nothing is left to amend")
        if record.state is OrderState.UNKNOWN:
            return Rejection(RejectCode.ORDER_IN_DOUBT, "its broker has not said what became of it; cancel it, or wait")
        if terms == current:
            return Rejection(
                RejectCode.NOTHING_TO_AMEND, "the amendment names no term that differs from the present ones"
            )
        rejection = self._validator.check(terms, self._clock.now_ns)
        if rejection is None and record.remainder(terms.quantity) < 0:
            text = f"quantity {terms.quantity} is below the {record.filled_quantity} that have filled"
            return Rejection(RejectCode.BELOW_FILLED, text)
        return rejection

    def _amend_held(self, record: OrderRecord, terms: Order) -> None:
        record.order = terms
        record.whole_quantity = terms.quantity
        self._journal.restate(record, "", f"amended while held: {describe(terms)}")


def _changes(request: ReplaceOrder) -> dict[str, Any]:
    return {name: value for name in _AMENDABLE if (value := getattr(request, name)) is not None}


def describe(terms: Order) -> str:
    """The terms that can be amended, in words."""
    given = ((name, getattr(terms, name)) for name in _AMENDABLE)
    return ", ".join(f"{name} {value}" for name, value in given if value is not None)
