"""Requests to a venue: as the policy allows, with a time-out; and what is known of the orders that were sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from bus.runtime.policies import Policy, PolicySettings
from bus.runtime.policies import Report as Tell
from components.broker.live_venue import InDoubt, NotSent
from schemas import BrokerReport, Fill, Message, OrderState, ReportType

STATES_KEPT: Final = 10_000
"""So many orders' states are remembered."""

_STATES: Final = {
    ReportType.CANCELLED: OrderState.CANCELLED,
    ReportType.EXPIRED: OrderState.EXPIRED,
    ReportType.REJECTED: OrderState.REJECTED,
    ReportType.UNKNOWN: OrderState.UNKNOWN,
}


class VenueCalls:
    """Makes requests; those of a venue that `blocks` in a thread of their own, where they are in doubt after a time."""

    def __init__(self, name: str, blocks: bool, timeout_s: float, settings: PolicySettings, tell: Tell) -> None:
        self._ending = threading.Event()
        self.wait: Callable[[float], object] = self._ending.wait
        self.executor = ThreadPoolExecutor(1, f"{name} venue") if blocks else None
        self._timeout_s = timeout_s
        over = self._ending.is_set
        self._policy = Policy(name, settings, (NotSent,), tell, self._pause, over, counted=(InDoubt,))

    def make(self, function: Callable[..., None], *arguments: Any) -> None:
        """Make a request, again if it certainly did not arrive and the policy says so.

        Raises:
            NotSent, InDoubt, Declined: what the last attempt gave.
            CircuitOpen: it was not made.
        """
        self._policy.call(self._call, function, *arguments)

    def close(self) -> None:
        """End a pause that is under way; make no more requests."""
        self._ending.set()
        if self.executor is not None:
            self.executor.shutdown(wait=False, cancel_futures=True)

    def _pause(self, seconds: float) -> None:
        self.wait(seconds)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if self.executor is None:
            function(*arguments)
            return
        try:
            self.executor.submit(function, *arguments).result(self._timeout_s)
        except TimeoutError:
            raise InDoubt(f"the venue has not answered within {self._timeout_s:g} s") from None


class OrderStates:
    """The last known state of each order that was sent; a venue may speak from a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, OrderState] = {}

    def of(self, order_id: str) -> OrderState | None:
        """The state; None for an order that is not known (any more)."""
        return self._states.get(order_id)

    def set(self, order_id: str, state: OrderState) -> None:
        """Remember a state."""
        with self._lock:
            self._states[order_id] = state
            if len(self._states) > STATES_KEPT:
                del self._states[next(iter(self._states))]

    def note(self, message: Message) -> None:
        """Remember what a fill or a report says of its order."""
        if isinstance(message, Fill):
            is_over = message.leaves_quantity <= 0
            self.set(message.order_id, OrderState.FILLED if is_over else OrderState.PARTIAL)
        elif isinstance(message, BrokerReport) and message.report in _STATES:
            self.set(message.order_id, _STATES[message.report])
