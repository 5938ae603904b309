"""What is special about launching a live or paper run: when it ends, and what it tells while it is under way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from bus.live import LiveBus
from bus.live_run import LiveConductor
from bus.runtime.component import Source
from bus.runtime.modes import Isolation
from bus.runtime.settings import LiveSettings
from deploy.plan import Plan
from deploy.stopping import LIVE_GRACE_S, StopRequest
from schemas import RunStarted
from schemas.registry import MESSAGE_TYPES


class Status(NamedTuple):
    """How far a live run is.

    `ts` is the hub's clock (ns UTC), `lag` how many records the slowest host is behind, `total` how many messages of
    the market there will be, 0 when that is not known.
    """

    ts: int
    counts: dict[str, int]
    lag: int
    total: int = 0


@dataclass
class Watch:
    """Who is told of a live run: `running` once, when it runs; `status` again and again."""

    running: Callable[[], None] = lambda: None
    status: Callable[[Status], None] = lambda _: None


@dataclass
class Ending:
    """When a live run ends by itself, or because somebody asks for it."""

    settings: LiveSettings
    stop: StopRequest
    now_ns: Callable[[], int]
    _begun: float = field(default_factory=time.monotonic)

    def why(self) -> str:
        """Why it is to end now; nothing: it goes on."""
        settings = self.settings
        if self.stop.name:
            return self.stop.name
        if settings.duration_s is not None and time.monotonic() - self._begun >= settings.duration_s:
            return f"duration_s: {settings.duration_s:g}"
        if settings.until_ns is not None and self.now_ns() >= settings.until_ns:
            return f"until: {settings.until}"
        return ""


def live_conductor(plan: Plan, bus: LiveBus, started: RunStarted, stop: StopRequest, watch: Watch) -> LiveConductor:
    """The conductor of a live run. From now on a signal ends the run in good order; a second one breaks it off."""
    if stop.grace_s is not None:
        stop.grace_s = max(stop.grace_s, LIVE_GRACE_S)

    total = _total(plan)

    def on_progress(_sent: int, _total: int) -> None:
        counts = {MESSAGE_TYPES[type_id].__name__: count for type_id, count in sorted(bus.counts.items())}
        watch.status(Status(bus.now_ns, counts, bus.lag(), total))

    ending = Ending(plan.topology.live_trading, stop, bus.hub_time)
    timeout_s = plan.topology.bus.timeout_s
    return LiveConductor(bus, plan.wiring, started, ending.why, timeout_s, on_progress, watch.running)


def _total(plan: Plan) -> int:
    """How much the recordings hold that are played in this process, where there are no other data."""
    sources = [entry for entry in plan.entries if isinstance(entry.component, Source)]
    if any(entry.isolation is Isolation.PROCESS_ISOLATED for entry in sources):
        return 0
    totals = [entry.component.total for entry in sources if isinstance(entry.component, Source)]
    return sum(totals) if all(totals) else 0
