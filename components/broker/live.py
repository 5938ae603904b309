"""The live broker: orders go out to a venue, what the venue says comes in from outside.

An order is handed to this component only when it is in the log and flushed (`bus/live.py`), and leaves for the venue
at most once: it is noted before the first attempt, made again only when it has certainly not arrived, and UNKNOWN
when nobody can tell; then the venue is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pydantic import Field, field_validator

from bus.errors import AdmfError
from bus.runtime.component import Handler, handles
from bus.runtime.policies import CircuitOpen, PolicySettings
from bus.runtime.settings import RunContext
from components.broker.base import BrokerBase, BrokerParameters
from components.broker.live_calls import OrderStates, VenueCalls
from components.broker.live_venue import Declined, InDoubt, LiveVenue, NotSent, VenueConfig, make_venue
from schemas import (
    BrokerReport,
    EdgeEvent,
    EdgeReport,
    Fill,
    Message,
    Order,
    OrderState,
    ReportType,
    RunStarted,
)

logger = logging.getLogger("admf.live")


class LiveBrokerParameters(BrokerParameters):
    """`venue` is where orders go: `SimulatedBroker` (default), `PassthroughBroker`, with their own keys beside
    `class`, or a class of the user's. A request that takes longer than `call_timeout_s` is in doubt. `policies` are
    for requests."""

    venue: VenueConfig = VenueConfig()
    call_timeout_s: float = Field(default=5.0, gt=0, le=3_600)
    policies: PolicySettings = PolicySettings()

    @field_validator("venue")
    @classmethod
    def _venue_can_be_made(cls, venue: VenueConfig) -> VenueConfig:
        make_venue("broker", venue)
        return venue


class LiveBrokerHandler(BrokerBase):
    """Sends orders to a venue and publishes what the venue says of them."""

    is_edge = True
    Parameters = LiveBrokerParameters
    parameters: LiveBrokerParameters
    emits: ClassVar[tuple[type[Message], ...]] = (Fill, BrokerReport, EdgeReport)

    def __init__(self, name: str, parameters: dict[str, Any] | None = None) -> None:
        super().__init__(name, parameters)
        self.venue: LiveVenue = make_venue(name, self.parameters.venue)
        more = tuple(kind for kind in self.venue.says if kind not in LiveBrokerHandler.emits)
        self.emits = (*LiveBrokerHandler.emits, *more)  # type: ignore[misc]

    def faults(self, context: RunContext) -> Sequence[str]:
        """A backtest has no venue."""
        if context.is_live:
            return ()
        return ["class: LiveBrokerHandler is for LIVE_TRADING and PAPER_TRADING; a backtest has a SimulatedBroker"]

    def handlers(self) -> dict[type[Message], Handler]:
        """Orders, and what the venue wants to hear of the run."""
        return {**self.venue.hears(), **super().handlers()}

    def reset(self) -> None:
        """No order has been sent."""
        own = self.parameters
        self._sent: set[str] = set()
        self._states = OrderStates()
        self.calls = VenueCalls(self.name, self.venue.blocks, own.call_timeout_s, own.policies, self._tell)

    def stop(self) -> None:
        """Disconnect. Orders that work at the venue stay there."""
        self.calls.close()
        self.venue.close()

    @handles(RunStarted)
    def on_run_started(self, _message: RunStarted) -> None:
        """Connect to the venue; say plainly whether orders are real.

        Raises:
            AdmfError: the venue cannot be reached.
        """
        try:
            self.calls.make(self.venue.open, self.context, self._on_said, self.clock)
        except (NotSent, InDoubt, Declined, CircuitOpen) as error:
            raise AdmfError(f"the venue {self.venue.name} cannot be reached: {error}") from error
        what = "real orders are sent" if self.venue.is_real else "no real orders are sent"
        self._tell(EdgeEvent.CONNECTED, what)

    def execute_order(self, order: Order, price: float | None = None) -> None:  # noqa: ARG002
        """Send an order, once."""
        if order.order_id in self._sent:
            self._tell(EdgeEvent.REFUSED, f"order {order.order_id} has been sent already; it is not sent again")
            return
        self._sent.add(order.order_id)
        self._states.set(order.order_id, OrderState.ROUTED)
        self._request(order.order_id, ReportType.REJECTED, self.venue.send, order)

    def cancel_order(self, order_id: str, reason: str = "") -> None:
        """Ask the venue to cancel what is left of an order."""
        self._request(order_id, ReportType.CANCEL_REJECTED, self.venue.cancel, order_id, reason)

    def replace_order(self, order: Order) -> None:
        """Ask the venue to amend an order."""
        self._request(order.order_id, ReportType.REPLACE_REJECTED, self.venue.replace, order)

    def get_order_status(self, order_id: str) -> OrderState | None:
        """As the venue has said last; ROUTED when it was sent, None for an order that was not (or long ago)."""
        return self._states.of(order_id)

    def _request(self, order_id: str, refused: ReportType, function: Callable[..., None], *arguments: Any) -> None:
        """Make a request as the policy allows; whatever happens, the order manager hears of it."""
        try:
            self.calls.make(function, *arguments)
        except Declined as error:
            self._answer(order_id, refused, error.code, str(error))
        except (NotSent, CircuitOpen) as error:
            code = "VENUE_UNREACHABLE" if isinstance(error, NotSent) else "CIRCUIT_OPEN"
            self._tell(EdgeEvent.FAILED, f"{order_id}: {error}")
            self._answer(order_id, refused, code, f"it was not sent to the venue: {error}")
        except InDoubt as error:
            self._tell(EdgeEvent.FAILED, f"{order_id}: {error}; in doubt, the venue is asked")
            self._answer(order_id, ReportType.UNKNOWN, "IN_DOUBT", str(error))
            self._ask(order_id)

    def _ask(self, order_id: str) -> None:
        try:
            self.calls.make(self.venue.ask, order_id)
        except (NotSent, InDoubt, Declined, CircuitOpen) as error:
            self._tell(EdgeEvent.FAILED, f"{order_id}: the venue cannot be asked: {error}; it stays UNKNOWN")

    def _answer(self, order_id: str, report: ReportType, code: str, reason: str) -> None:
        message = BrokerReport(order_id, self.name, report, self.clock.now_ns, code, reason)
        self._states.note(message)
        self.emit(message)

    def _on_said(self, message: Message) -> None:
        self._states.note(message)
        self.publish(message)

    def _tell(self, event: EdgeEvent, reason: str) -> None:
        """A record, and a line of diagnostics."""
        logger.warning("%s: %s %s: %s", self.name, self.venue.name, event.lower().replace("_", " "), reason)
        self.publish(EdgeReport(self.name, event, self.venue.name, reason))
