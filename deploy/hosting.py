"""Opens the hosts of a plan: processes over a hub, threads, pools and the main thread, each as a link for a bus."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.hosts import MainThreadLink, PoolLink, ThreadLink
from bus.hub import Hub
from bus.roster import EndpointSpec
from bus.runtime.affinity import thread_affinity
from bus.runtime.context import ExecutionContext
from bus.runtime.modes import Isolation, ThreadModel
from bus.runtime.pools import OPTIMIZATION, ThreadPoolManager, pool_names, pool_of
from bus.runtime.runner import Member, Runner, emitted_types
from bus.wave import Link
from bus.wave_hub import WaveHub
from deploy.plan import Entry, Plan
from deploy.processes import ProcessGroup
from deploy.run_folder import RunFolder
from schemas.registry import TYPE_IDS

_SOCKET_PATH_BYTES = 107


@dataclass
class Hosting:
    """The hosts of a plan.

    `check` is called whenever a bus waits for a host; it raises to give up. What is opened is put on `stack`, which
    closes it in the right order: processes are told to stop, threads end, components are stopped, sockets go last.
    """

    plan: Plan
    folder: RunFolder
    check: Callable[[], None]
    stack: contextlib.ExitStack
    processes: list[dict[str, Any]] = field(default_factory=list)
    """Every process of the run as the run's manifest tells it: pid, components, role."""

    def __post_init__(self) -> None:
        remote = self.plan.at(Isolation.PROCESS_ISOLATED)
        here = [entry.name for entry in self.plan.entries if entry not in remote]
        self.processes.append({"pid": os.getpid(), "components": here, "role": "hub"})

    @property
    def is_local(self) -> bool:
        """Whether everything runs in the main thread, so that no links are needed."""
        return all(entry.isolation is Isolation.SHARED for entry in self.plan.entries)

    def links(self) -> list[Link]:
        """Start every host and its components; a link to each. The hub, which leads to all processes, is the first.

        Raises:
            ComponentError: a component failed to start, or its process died.
            ProtocolError: a process is not ready in time.
        """
        remote = self.plan.at(Isolation.PROCESS_ISOLATED)
        links: list[Link] = [self._open_hub(remote)] if remote else []
        links += self._open_threads()
        return links

    def _open_threads(self) -> Iterator[Link]:
        plan, bus = self.plan, self.plan.topology.bus
        pools = _pools(plan)
        self.stack.callback(pools.shutdown, wait=False, cancel_futures=True)
        for entry in plan.entries:
            if entry.isolation is Isolation.THREAD_ISOLATED:
                link = ThreadLink(self._runner([entry]), bus.timeout_s, self.check)
                self.stack.callback(link.stop)
                with thread_affinity(f"component {entry.name}", entry.affinity):
                    link.start()
                yield link
            elif entry.isolation is Isolation.ISOLATED:
                pool = pools.get_executor(pool_of(pools.context, entry.component.component_type))
                yield PoolLink(self._runner([entry]), pool, bus.timeout_s, self.check)
        shared = plan.at(Isolation.SHARED)
        if shared:
            yield MainThreadLink(self._runner(shared))

    def _runner(self, entries: list[Entry]) -> Runner:
        runner = Runner([Member(entry.source_id, entry.component) for entry in entries], self.plan.context)
        self.stack.callback(runner.stop)
        runner.initialize()
        return runner

    def _open_hub(self, remote: list[Entry]) -> WaveHub:
        bus = self.plan.topology.bus
        address = bus.endpoint
        if address == "ipc":
            # Not in the run folder: a socket's path is limited to 107 bytes, and a run folder may lie deep.
            folder = _socket_folder()
            self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
            address = f"ipc://{folder}"
        group = ProcessGroup(self.folder.processes)
        specs = [_endpoint(entry) for entry in remote]
        hub = Hub(specs, address, lambda: self._watch(group), bus.timeout_s)
        self.stack.callback(hub.close)
        self.stack.callback(_stop_processes, hub, group, bus.stop_timeout_s)
        addresses = hub.bind()
        for entry, spec in zip(remote, specs, strict=True):
            group.start(entry, spec.token, self.plan.context, addresses)
        self.processes += [{"pid": p.pid, "components": [p.entry.name], "role": "component"} for p in group.processes]
        self.folder.update(processes=self.processes)
        hub.handshake(bus.start_timeout_s)
        return WaveHub(hub)

    def _watch(self, group: ProcessGroup) -> None:
        group.check()
        self.check()


def _socket_folder() -> str:
    """A folder that only this user may enter, with a path short enough for a socket's."""
    folder = tempfile.mkdtemp(prefix="admf-")
    if len(folder) > _SOCKET_PATH_BYTES - len("/out"):
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="admf-", dir="/tmp")
    return folder


def _stop_processes(hub: Hub, group: ProcessGroup, timeout_s: float) -> None:
    hub.stop()
    group.stop(timeout_s)


def _pools(plan: Plan) -> ThreadPoolManager:
    """The run's pools; those of a MIXED run where components are isolated by hand though its model has no threads."""
    context = plan.execution
    if pool_names(context) in ((), (OPTIMIZATION,)):
        context = ExecutionContext(context.name, context.execution_mode, ThreadModel.MIXED)
    return ThreadPoolManager(context, plan.topology.execution.thread_pools.by_name())


def _endpoint(entry: Entry) -> EndpointSpec:
    component = entry.component
    takes = frozenset(TYPE_IDS[message_type] for message_type in component.handlers())
    emits = emitted_types(component)
    return EndpointSpec(
        name=entry.name,
        source_ids=frozenset({entry.source_id}),
        takes=takes,
        quiet=frozenset() if emits else takes,
        sources=frozenset({entry.source_id} if component.component_type == "data_handler" else ()),
        token=secrets.token_hex(16),
    )
