"""Runs components over every transport, in this process, and keeps what the log would hold."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bus.conductor import Conductor
from bus.endpoint import Endpoint
from bus.errors import ComponentError
from bus.hosts import MainThreadLink, PoolLink, ThreadLink
from bus.hub import Hub
from bus.local import LocalBus
from bus.log import DigestLog, Log
from bus.record import Record, decode_records
from bus.roster import EndpointSpec
from bus.runtime.component import COMPONENT_TYPES, Component, Source
from bus.runtime.runner import Member, Runner
from bus.runtime.settings import RunContext
from bus.topics import Wiring
from bus.wave import Link, WaveBus
from bus.wave_hub import WaveHub
from schemas import Message, RunStarted
from schemas.codec import encode
from schemas.registry import TYPE_IDS

if TYPE_CHECKING:
    from typing_extensions import Buffer

TRANSPORTS = ("local", "main", "pool", "threads", "ipc", "tcp", "mixed")
WAITING = ("pool", "threads", "ipc", "tcp")
"""The transports in which somebody waits for a component, and can grow tired of it."""
TIMEOUT_S = 60.0

Components = Sequence[Component]


def append_each(log: Log, seq: int, source_seq: int, source: int, type_id: int, messages: Sequence[Message]) -> None:
    """What `append_run` does, record by record."""
    for index, message in enumerate(messages):
        log.append(seq + index, message.ts, source_seq + index, 0, source, type_id, encode(message))


class EagerLog(DigestLog):
    """Takes in every record at once."""

    def append_record(self, record: bytes) -> None:
        super().append_record(record)
        self.settle()

    def append_message(self, *record: Any) -> None:
        super().append_message(*record)
        self.settle()

    def settle(self, _at_least: int = 1) -> None:
        super().settle()


class KeepingLog(EagerLog):
    """Keeps every record in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Record] = []

    def _take(self, data: Buffer, count: int) -> None:
        super()._take(data, count)
        self.kept += decode_records(bytes(data))


class WitnessRunner(Runner):
    """Notes the seq of every record that it is handed."""

    def __init__(self, members: Sequence[Member], context: RunContext) -> None:
        super().__init__(members, context)
        self.served: list[int] = []

    def handle(self, seq: int, ts: int, type_id: int, message: Message) -> None:
        self.served.append(seq)
        super().handle(seq, ts, type_id, message)


@dataclass
class Run:
    """One run of some components over one transport. `hub_options` go to the Hub; hosts are by component name."""

    components: Components
    folder: Path
    hosts: Sequence[Sequence[str]] = ()
    timeout_s: float = TIMEOUT_S
    make_hub: Callable[..., Hub] = Hub
    hub_options: dict[str, Any] = field(default_factory=dict)
    runners: list[WitnessRunner] = field(default_factory=list)
    threads: list[EndpointThread] = field(default_factory=list)
    hub: Hub | None = None
    bus: LocalBus | WaveBus | None = None
    log: KeepingLog = field(default_factory=KeepingLog)
    let_go: Callable[[], object] = lambda: None
    """Called when the run is over or broken off, before anybody waits for its threads: frees a blocked handler."""

    def over(self, transport: str) -> Run:
        """Run to the end; raises what the run raises, with all threads ended."""
        self.wiring = wiring_of(self.components)
        sources = tuple(c.name for c in self.components if isinstance(c, Source))
        self.context = RunContext(sources=sources)
        with contextlib.ExitStack() as stack:
            bus = self.bus = self._open(transport, stack)
            stack.callback(self.let_go)
            Conductor(bus, self.wiring, RunStarted("{}", "", self.wiring.schema_hash(), "test")).run()
            if isinstance(bus, WaveBus):
                bus.finish()
        return self

    @property
    def records(self) -> list[Record]:
        """Everything that was sequenced."""
        return list(self.log.kept)

    @property
    def digest(self) -> str:
        """The run's digest."""
        return self.log.close()

    def _open(self, transport: str, stack: contextlib.ExitStack) -> LocalBus | WaveBus:
        if transport == "local":
            bus = LocalBus(self.wiring, self.context, self.log)
            stack.callback(bus.close)
            bus.open()
            return bus
        return WaveBus(self.wiring, list(self._links(transport, stack)), self.log)

    def _links(self, transport: str, stack: contextlib.ExitStack) -> Iterator[Link]:
        groups = self._groups()
        if transport == "mixed":
            yield from self._hub_links("ipc", groups[0::4], stack)
            yield from (self._thread(group, stack) for group in groups[1::4])
            yield from self._pools(groups[2::4], stack)
            yield from (MainThreadLink(self._started(group)) for group in groups[3::4])
        elif transport == "main":
            yield MainThreadLink(self._started(self.wiring.members))
        elif transport == "pool":
            yield from self._pools(groups, stack)
        elif transport == "threads":
            yield from (self._thread(group, stack) for group in groups)
        else:
            yield from self._hub_links(transport, groups, stack)

    def _groups(self) -> list[list[Member]]:
        """The members of each host; who is named in none is alone."""
        by_name = {member.component.name: member for member in self.wiring.members}
        groups = [[by_name.pop(name) for name in names] for names in self.hosts]
        return groups + [[member] for member in by_name.values()]

    def _runner(self, members: Sequence[Member]) -> WitnessRunner:
        self.runners.append(WitnessRunner(members, self.context))
        return self.runners[-1]

    def _started(self, members: Sequence[Member]) -> WitnessRunner:
        runner = self._runner(members)
        runner.initialize()
        return runner

    def _thread(self, members: Sequence[Member], stack: contextlib.ExitStack) -> ThreadLink:
        link = ThreadLink(self._started(members), self.timeout_s, lambda: None)
        stack.callback(link.stop)
        link.start()
        return link

    def _pools(self, groups: Sequence[Sequence[Member]], stack: contextlib.ExitStack) -> Iterator[PoolLink]:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        for group in groups:
            yield PoolLink(self._started(group), pool, self.timeout_s)

    def _hub_links(
        self, scheme: str, groups: Sequence[Sequence[Member]], stack: contextlib.ExitStack
    ) -> Iterator[Link]:
        specs = [spec_of(group, f"token-{n}") for n, group in enumerate(groups)]
        self.hub = self.make_hub(
            specs, address_of(scheme, self.folder), self._alive, self.timeout_s, **self.hub_options
        )
        stack.callback(self.hub.close)
        addresses = self.hub.bind()
        parent, alive = os.pipe()
        stack.callback(os.close, parent)
        for spec, group in zip(specs, groups, strict=True):
            thread = EndpointThread(Endpoint(spec.name, spec.token, *addresses, self._runner(group), parent))
            self.threads.append(thread)
            stack.callback(thread.join, TIMEOUT_S)
            thread.start()
        stack.callback(self._stop, alive)
        self.hub.handshake(TIMEOUT_S)
        yield WaveHub(self.hub)

    def _stop(self, alive: int) -> None:
        """Ask all endpoints to stop; who has not joined yet sees that the launcher is gone."""
        self.hub.stop()
        for thread in self.threads:
            if any(spec.name == thread.name and spec.routing_id for spec in self.hub.endpoints):
                thread.join(TIMEOUT_S)
        os.close(alive)

    def _alive(self) -> None:
        for thread in self.threads:
            if thread.error is not None:
                raise ComponentError(thread.name, f"its thread ended with {thread.error!r}")


class EndpointThread(threading.Thread):
    """An endpoint in a thread, which stands for its process."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(name=endpoint.name, daemon=True)
        self.endpoint = endpoint
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.endpoint.run()
        except Exception as error:
            self.error = error


def wiring_of(components: Components) -> Wiring:
    """The components in rank order, as a plan would have them."""
    ordered = sorted(components, key=lambda c: (COMPONENT_TYPES.index(c.component_type), c.name))
    return Wiring(tuple(Member(n, component) for n, component in enumerate(ordered, 1)))


def spec_of(members: Sequence[Member], token: str) -> EndpointSpec:
    """What the hub knows of a host before it has joined."""
    takes = {t for m in members for t in m.component.handlers()}
    answered = {t for m in members if m.component.emits for t in m.component.handlers()}
    return EndpointSpec(
        name=", ".join(member.component.name for member in members),
        source_ids=frozenset(member.source_id for member in members),
        takes=frozenset(TYPE_IDS[t] for t in takes),
        quiet=frozenset(TYPE_IDS[t] for t in takes - answered),
        sources=frozenset(m.source_id for m in members if isinstance(m.component, Source)),
        token=token,
    )


def address_of(scheme: str, folder: Path) -> str:
    """Where a hub may bind: a private folder, or this machine's own network."""
    if scheme == "tcp":
        return "tcp://127.0.0.1"
    place = folder / "bus"
    place.mkdir(mode=0o700, exist_ok=True)
    return f"ipc://{place}"


def run_over(transport: str, components: Components, folder: Path, **options: Any) -> Run:
    """Run these components to their end."""
    return Run(components, folder, **options).over(transport)
