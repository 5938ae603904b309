"""Opens the hosts of a live plan, each as a link that nobody waits for, and the bus between them."""

from __future__ import annotations

from bus.edges import EdgeRunner
from bus.hosts import MainThreadLink
from bus.inbox import Inbox
from bus.live import LiveBus
from bus.live_hosts import Host, LiveHost
from bus.live_hub import LiveHub
from bus.live_link import LiveLink
from bus.log import Log, LogWriter
from bus.log_format import FIRST_EPOCH
from bus.runtime.clock import HubClock, RecordingClock, WallClock
from bus.runtime.component import Source
from bus.runtime.modes import Isolation
from deploy.hosting import Hosting
from deploy.plan import Entry, Plan


def open_live(hosting: Hosting, log: Log | None) -> LiveBus:
    """Start every host and its components, and the bus.

    Raises:
        ComponentError: a component failed to start, or its process died.
        ProtocolError: a process is not ready in time.
    """
    plan, inbox = hosting.plan, Inbox()
    hub, folder = hosting.open_hub(FIRST_EPOCH), log.folder if isinstance(log, LogWriter) else None
    links: list[LiveLink] = [] if hub is None else [LiveHub(hub, folder)]
    inline: EdgeRunner | None = None
    hosting.stack.callback(hosting.stop_here)
    for host in hosting.hosts_here():
        runner = EdgeRunner([entry.member for entry in host], plan.context, hosting.means())
        runner.connect(inbox.put, inbox.fail, inbox.turns)
        hosting.runners.append(runner)
        runner.initialize()
        if host[0].isolation is Isolation.SHARED:
            inline = runner
        else:
            link = _host(hosting, host[0], runner, inbox)
            link.log = folder
            links.append(link)
    hosting.stack.callback(hosting.stop_sources)
    bus = LiveBus(plan.wiring, links, log, clock_of(plan), inbox)
    bus.inline, bus.check = inline, hosting.look
    bus.start()
    return bus


def _host(hosting: Hosting, entry: Entry, runner: EdgeRunner, inbox: Inbox) -> LiveHost:
    own_thread = entry.isolation is Isolation.THREAD_ISOLATED
    host: Host = MainThreadLink(runner) if own_thread else hosting.pooled(entry, runner)
    timeout_s = hosting.plan.topology.bus.timeout_s
    link = LiveHost(entry.name, host, lambda: runner.takes, inbox, timeout_s, entry.affinity if own_thread else ())
    hosting.threads.append(link)
    return link


def clock_of(plan: Plan) -> HubClock:
    """The clock that stamps the records of a run, see `LiveSettings.clock`."""
    chosen = plan.topology.live_trading.clock
    sources = [entry.component for entry in plan.entries if isinstance(entry.component, Source)]
    recordings = [source for source in sources if getattr(source, "is_recording", True)]
    if chosen == "wall" or (chosen == "auto" and len(recordings) < max(len(sources), 1)):
        return WallClock()
    speeds = [getattr(source.parameters, "speed", 0.0) for source in recordings]
    return RecordingClock(max(speeds, default=1.0))
