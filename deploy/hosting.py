"""Opens the hosts of a plan: processes over a hub, threads, pools and the main thread, each as a link for a bus."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bus.edges import STREAM_TYPE_IDS
from bus.hosts import LanesLink, MainThreadLink, PoolLink, ThreadLink
from bus.hub import Hub
from bus.roster import EndpointSpec
from bus.runtime.affinity import thread_affinity
from bus.runtime.component import Source
from bus.runtime.means import Means, SlowHandler
from bus.runtime.modes import Isolation, ThreadModel
from bus.runtime.runner import Runner, emitted_types, stop_all
from bus.wave import Link
from bus.wave_hub import WaveHub
from deploy.host_settings import HostSettings, executor_of
from deploy.plan import Entry, Plan
from deploy.processes import ProcessGroup
from deploy.run_folder import RunFolder
from deploy.sockets import socket_folder
from schemas.registry import TYPE_IDS

_LOG = logging.getLogger("admf")


class Thread(Protocol):
    """A link with a thread of its own."""

    def stop(self) -> None:
        """End the thread."""


@dataclass
class Hosting:
    """The hosts of a plan.

    `check` is called whenever a bus waits for a host; it raises to give up. `break_in` raises an error in the main
    thread while that runs a handler. What is opened is put on `stack`, which closes it in the right order: sources
    first, then from strategies to those who only listen, the hub and its sockets last.
    """

    plan: Plan
    folder: RunFolder
    check: Callable[[], None]
    stack: contextlib.ExitStack
    processes: list[dict[str, Any]] = field(default_factory=list)
    """Every process of the run as the run's manifest tells it: pid, components, role."""
    slow_handlers: list[dict[str, Any]] = field(default_factory=list)
    """Handlers that held their event loop too long; those in processes are known when these have ended."""
    break_in: Callable[[int, Callable[[], BaseException | None]], None] = lambda _thread, _error: None

    def __post_init__(self) -> None:
        remote = self.plan.at(Isolation.PROCESS_ISOLATED)
        here = [entry.name for entry in self.plan.entries if entry not in remote]
        self.processes.append({"pid": os.getpid(), "components": here, "role": "hub"})
        self._pools = host_settings(self.plan).pools()
        self._group = ProcessGroup(self.folder.processes, host_settings(self.plan))
        self._hub: Hub | None = None
        self.runners: list[Runner] = []
        """Every runner of this process, from before its components are initialized."""
        self.threads: list[Thread] = []
        self.stack.callback(self._pools.shutdown, wait=False, cancel_futures=True)

    @property
    def is_local(self) -> bool:
        """Whether one thread is enough for everything, so that no links are needed."""
        return all(
            entry.isolation is Isolation.SHARED and entry.service.is_one_thread(entry.component)
            for entry in self.plan.entries
        )

    def means(self) -> Means:
        """What a host of this process has for its components."""
        plan = self.plan
        return Means(
            timeout_s=plan.topology.bus.timeout_s,
            slow_handler_s=plan.topology.execution.slow_handler_s,
            pool=executor_of(self._pools),
            check=self.look,
            on_slow=self._on_slow,
            break_in=self.break_in,
        )

    def look(self) -> None:
        """Raise when the run should end: a worker or a process has died, or somebody asked for it."""
        self._pools.check()
        self._group.check()
        self.check()

    def links(self) -> list[Link]:
        """Start every host and its components; a link to each. That of the main thread is the first, since it does its
        work while the bus waits for it: the others are at theirs meanwhile.

        Raises:
            ComponentError: a component failed to start, or its process died.
            ProtocolError: a process is not ready in time.
        """
        hub = self.open_hub()
        links: list[Link] = [] if hub is None else [WaveHub(hub)]
        self.stack.callback(self.stop_here)
        for host in self.hosts_here():
            link = self._open(host)
            links.insert(0 if isinstance(link, MainThreadLink) else len(links), link)
        self.stack.callback(self.stop_sources)
        return links

    def hosts_here(self) -> list[list[Entry]]:
        """The components of each host in this process."""
        own = (Isolation.ISOLATED, Isolation.THREAD_ISOLATED)
        hosts = [[entry] for entry in self.plan.entries if entry.isolation in own]
        shared = self.plan.at(Isolation.SHARED)
        return [shared, *hosts] if shared else hosts

    def pooled(self, entry: Entry, runner: Runner) -> Link:
        """The link to a component that is served on a pool."""
        if entry.thread_model in (ThreadModel.MULTI_THREADED, ThreadModel.MIXED):
            return LanesLink(runner)
        pool = executor_of(self._pools)(entry.component.component_type)
        return PoolLink(runner, pool, self.plan.topology.bus.timeout_s, self.look)

    def _open(self, entries: list[Entry]) -> Link:
        bus, entry = self.plan.topology.bus, entries[0]
        runner = Runner([one.member for one in entries], self.plan.context, self.means())
        self.runners.append(runner)
        runner.initialize()
        if entry.isolation is Isolation.SHARED:
            return MainThreadLink(runner)
        if entry.isolation is Isolation.THREAD_ISOLATED:
            thread = ThreadLink(runner, bus.timeout_s, self.look)
            self.threads.append(thread)
            with thread_affinity(f"component {entry.name}", entry.affinity):
                thread.start()
            return thread
        return self.pooled(entry, runner)

    def stop_sources(self) -> None:
        """Let sources in processes end before anything else does."""
        if self._hub is not None:
            self._hub.stop(sources_only=True)
            self._group.await_sources(self.plan.topology.bus.stop_timeout_s)

    def stop_here(self) -> None:
        """End the streams, loops and threads of this process, then stop its components, whichever host they were in."""
        for runner in self.runners:
            runner.wind_up()
        for thread in self.threads:
            thread.stop()
        stop_all([member for runner in self.runners for member in runner.members])

    def _collect_slow_handlers(self) -> None:
        for told in self._group.slow_handlers():
            self._on_slow(SlowHandler(**told))

    def _on_slow(self, slow: SlowHandler) -> None:
        self.slow_handlers.append(dataclasses.asdict(slow))
        _LOG.warning("%s", slow)

    def open_hub(self, epoch: int = 0) -> Hub | None:
        """Start the processes and wait until they are ready; the hub between them. None when there are none.

        Raises:
            ComponentError: a component failed to start, or its process died.
            ProtocolError: a process is not ready in time.
        """
        remote = [replica for entry in self.plan.at(Isolation.PROCESS_ISOLATED) for replica in entry.replicas()]
        if not remote:
            return None
        bus = self.plan.topology.bus
        address = bus.endpoint
        if address == "ipc":
            address = f"ipc://{self.stack.enter_context(socket_folder())}"
        group = self._group
        specs = [_endpoint(entry, self.plan.is_live) for entry in remote]
        hub = self._hub = Hub(specs, address, self.look, bus.timeout_s, epoch=epoch)
        self.stack.callback(hub.close)
        self.stack.callback(self._collect_slow_handlers)
        self.stack.callback(_stop_processes, hub, group, bus.stop_timeout_s)
        addresses = hub.bind()
        for entry, spec in zip(remote, specs, strict=True):
            group.start(entry, spec.token, self.plan.context, addresses)
        self.processes += [{"pid": p.pid, "components": [p.entry.name], "role": "component"} for p in group.processes]
        self.folder.update(processes=self.processes)
        hub.handshake(bus.start_timeout_s)
        return hub


def _stop_processes(hub: Hub, group: ProcessGroup, timeout_s: float) -> None:
    hub.stop()
    group.stop(timeout_s)


def host_settings(plan: Plan) -> HostSettings:
    """What every host of a run is told alike."""
    topology = plan.topology
    return HostSettings(
        name=topology.system.name,
        mode=plan.mode,
        thread_model=plan.thread_model,
        thread_pools=topology.execution.thread_pools.by_name(),
        timeout_s=topology.bus.timeout_s,
        slow_handler_s=topology.execution.slow_handler_s,
    )


def _endpoint(entry: Entry, is_live: bool) -> EndpointSpec:
    component = entry.component
    takes = frozenset(TYPE_IDS[message_type] for message_type in component.handlers())
    emits = emitted_types(component)
    return EndpointSpec(
        name=entry.name,
        source_ids=frozenset({entry.source_id}),
        takes=takes | STREAM_TYPE_IDS if is_live and isinstance(component, Source) else takes,
        quiet=frozenset() if emits else takes,
        sources=frozenset({entry.source_id} if component.component_type == "data_handler" else ()),
        token=secrets.token_hex(16),
    )
