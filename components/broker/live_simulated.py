"""The simulated broker of live and paper runs: what ends by time ends by the hub's clock, though no data come any
more."""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import Field

from bus.runtime.component import handles
from components.broker.feed import time_passes
from components.broker.simulated import SimulatedBroker, SimulatedBrokerParameters
from schemas import (
    Bar,
    EndOfStream,
    Message,
    Order,
    Quote,
    ReportType,
    SetTimer,
    StreamEnding,
    TimeInForce,
    TimerFired,
    Trade,
)

_TIMER: Final = "due"
_NEVER: Final = 2**63
_NS_PER_S: Final = 1_000_000_000


class LiveSimulatedBrokerParameters(SimulatedBrokerParameters):
    """`expiry_grace_s`: so long after an order's time is over its last data may still come, and it still meets them."""

    expiry_grace_s: float = Field(default=2.0, ge=0, le=86_400)


class LiveSimulatedBroker(SimulatedBroker):
    """A simulated broker that has itself told when something is due: an expiry, the end of a session, a late cancel.

    In live and paper runs it stands in for `SimulatedBroker`. Whatever comes first, data or the hub's clock, decides. A
    DAY order that has met no data yet ends with the first session that ends after it was sent.
    """

    emits: ClassVar[tuple[type[Message], ...]] = (*SimulatedBroker.emits, SetTimer)
    Parameters = LiveSimulatedBrokerParameters
    parameters: LiveSimulatedBrokerParameters

    def reset(self) -> None:
        """As every simulated broker; no timer is set."""
        super().reset()
        self._grace_ns = round(self.parameters.expiry_grace_s * _NS_PER_S)
        self._armed = _NEVER
        self._under_way: dict[str, int] = {}
        """DAY orders that have met no data yet, and when they end without (ns UTC)."""

    @handles(TimerFired)
    def on_timer(self, fired: TimerFired) -> None:
        """It is time: do what was due."""
        if fired.component != self.name:
            return
        self._armed = _NEVER
        now = fired.ts - self._grace_ns
        time_passes(self._venue, now)
        self._expire_under_way(now)
        self._set_quiet()
        self._arm()

    def on_bar(self, bar: Bar) -> None:
        """As every simulated broker."""
        super().on_bar(bar)
        self._arm()

    def on_quote(self, quote: Quote) -> None:
        """As every simulated broker."""
        super().on_quote(quote)
        self._arm()

    def on_trade(self, trade: Trade) -> None:
        """As every simulated broker."""
        super().on_trade(trade)
        self._arm()

    def on_end(self, message: StreamEnding | EndOfStream) -> None:
        """As every simulated broker."""
        super().on_end(message)
        self._arm()

    def execute_order(self, order: Order, price: float | None = None) -> None:
        """As every simulated broker; a DAY order's session is looked up."""
        super().execute_order(order, price)
        if order.time_in_force is TimeInForce.DAY and order.order_id in self._venue.desk.orders:
            self._under_way[order.order_id] = self._venue.settings.session_end(self._venue.now + 1)
        self._arm()

    def cancel_order(self, order_id: str, reason: str = "") -> None:
        """As every simulated broker."""
        super().cancel_order(order_id, reason)
        self._arm()

    def replace_order(self, order: Order) -> None:
        """As every simulated broker."""
        super().replace_order(order)
        self._arm()

    def _expire_under_way(self, now: int) -> None:
        desk = self._venue.desk
        for order_id, end in list(self._under_way.items()):
            order = desk.orders.get(order_id)
            if order is None or order.arrived:
                del self._under_way[order_id]
            elif end <= now:
                del self._under_way[order_id]
                desk.end(order, ReportType.EXPIRED, "DAY", "its session has ended, and it met no data in it")

    def _arm(self) -> None:
        """Have the timer fire for what is due first. One that fires too early does no harm, so it is never put off."""
        wake_ups = self._venue.desk.wake_ups
        due = min(wake_ups[0][0] if wake_ups else _NEVER, min(self._under_way.values(), default=_NEVER))
        if due < self._armed:
            self._armed = due
            self.emit(SetTimer(_TIMER, due + self._grace_ns))
