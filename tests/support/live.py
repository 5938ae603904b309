"""Live runs in this process, with a clock of the test's own; and logs executed again, record by record."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bus.edges import EdgeRunner
from bus.hosts import MainThreadLink
from bus.inbox import Inbox
from bus.live import LiveBus
from bus.live_hosts import LiveHost
from bus.live_run import LiveConductor
from bus.log import DigestLog
from bus.record import Record
from bus.replay import ReplayBus
from bus.runtime.component import Component, Source
from bus.runtime.runner import Runner
from bus.runtime.settings import RunContext
from bus.topics import Wiring
from schemas import Message, RunCompleted, RunStarted
from schemas.codec import decode
from schemas.registry import MESSAGE_TYPES
from tests.support.builders import T0
from tests.support.parts import Bars
from tests.support.transports import KeepingLog, wiring_of
from tests.support.waiting import until

TIMEOUT_S = 20.0


class FakeClock:
    """The time that a test says it is. Waiting for a time that has not come waits for the test."""

    follows_data = False

    def __init__(self, now_ns: int = T0) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        return self.now

    def follow(self, ts: int) -> None:
        """Data do not change it."""

    def seconds_until(self, ts: int) -> float:
        return 0.0 if self.now >= ts else 3600.0


@dataclass
class LiveRun:
    """A live run of some components: those named in `apart` in threads of their own, the others in the bus's."""

    components: Sequence[Component]
    apart: Sequence[str] = ()
    clock: FakeClock | object = field(default_factory=FakeClock)
    timeout_s: float = TIMEOUT_S
    log: KeepingLog = field(default_factory=KeepingLog)
    context: RunContext | None = None
    over: threading.Event = field(default_factory=threading.Event)
    running: threading.Event = field(default_factory=threading.Event)
    bus: LiveBus | None = None
    hosts: dict[str, LiveHost] = field(default_factory=dict)
    result: RunCompleted | None = None
    error: BaseException | None = None

    def to_its_end(self) -> LiveRun:
        """Run in the calling thread until all streams have ended; raises what the run raises."""
        with self._opened() as conductor:
            self.result = conductor.run()
        return self

    @contextlib.contextmanager
    def under_way(self) -> Iterator[LiveRun]:
        """Run in a thread; at the end of the block the run is told to end. What it raised is in `error`."""

        def run() -> None:
            try:
                self.to_its_end()
            except BaseException as error:
                self.error = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            until(lambda: self.running.is_set() or self.error, TIMEOUT_S, "the beginning of the run")
            yield self
        finally:
            self.over.set()
            thread.join(TIMEOUT_S)
        assert not thread.is_alive()

    @property
    def records(self) -> list[Record]:
        """Everything that was sequenced."""
        return list(self.log.kept)

    @property
    def digest(self) -> str:
        """The run's digest."""
        return self.log.close()

    def said(self, *types: type[Message]) -> list[Message]:
        """The messages of these types, in order."""
        return [message for _, message in self.told(*types)]

    def told(self, *types: type[Message]) -> list[tuple[Record, Message]]:
        """The records of these types with their messages."""
        return [(r, decode(r.type_id, r.payload)) for r in self.records if MESSAGE_TYPES[r.type_id] in types]

    def until_said(self, message_type: type[Message], count: int = 1) -> list[Message]:
        """Wait for so many messages of a type."""
        return until(
            lambda: self.error or (len(s := self.said(message_type)) >= count and s), TIMEOUT_S, f"{message_type}"
        )

    def _why_over(self) -> str:
        return "the test" if self.over.is_set() else ""

    @contextlib.contextmanager
    def _opened(self) -> Iterator[LiveConductor]:
        wiring = wiring_of(self.components)
        self.wiring = Wiring(wiring.members, is_live=True)
        sources = tuple(c.name for c in self.components if isinstance(c, Source))
        context = self.context or RunContext(sources=sources)
        inbox = Inbox()
        shared = [m for m in wiring.members if m.component.name not in self.apart]
        own = [[m] for m in wiring.members if m.component.name in self.apart]
        runners = [EdgeRunner(members, context) for members in [*own, shared]]
        for runner, members in zip(runners[:-1], own, strict=True):
            name = members[0].component.name
            host = MainThreadLink(runner)
            self.hosts[name] = LiveHost(name, host, lambda r=runner: r.takes, inbox, self.timeout_s)
        self.bus = LiveBus(self.wiring, list(self.hosts.values()), self.log, self.clock, inbox)
        with contextlib.ExitStack() as stack:
            for runner in runners:
                runner.connect(inbox.put, inbox.fail, inbox.turns)
                stack.callback(runner.stop)
                runner.initialize()
            for host in self.hosts.values():
                stack.callback(host.stop)
            self.bus.inline = runners[-1]
            self.bus.start()
            started = RunStarted("{}", "", self.wiring.schema_hash(), "test")
            yield LiveConductor(
                self.bus, self.wiring, started, self._why_over, self.timeout_s, running=self.running.set
            )


class Outside(Component):
    """An edge by which a test speaks into a run: `say` publishes from outside."""

    is_edge = True

    def __init__(self, name: str, *emits: type[Message]) -> None:
        super().__init__(name)
        self.emits = emits

    def say(self, *messages: Message) -> None:
        for message in messages:
            self.publish(message)


class Held(Source):
    """A source that sends what it is given, when it is given it, until it is told to end."""

    component_type = "data_handler"
    follows_run = False

    def __init__(self, name: str, *emits: type[Message]) -> None:
        super().__init__(name)
        self.emits = emits
        self.given: deque[list[Message] | None] = deque()
        self.more = threading.Semaphore(0)

    def give(self, *messages: Message) -> None:
        self.given.append(list(messages))
        self.more.release()

    def end(self) -> None:
        self.given.append(None)
        self.more.release()

    def blocks(self):
        while True:
            self.more.acquire(timeout=TIMEOUT_S)
            block = self.given.popleft()
            if block is None:
                return
            yield block


class Hasty(Bars):
    """Bars that wait for nobody."""

    follows_run = False


def executed_again(records: Sequence[Record], components: Sequence[Component], context: RunContext) -> str:
    """Replay a log through new components; the digest over what they publish, in the log's places.

    What came from outside, from edges or from the hub is taken from the log; the first difference fails the test.
    """
    wiring = wiring_of(components)
    runner = Runner([m for m in wiring.members if not m.component.is_edge], context)
    runner.initialize()
    executed = {member.source_id: member.component.name for member in runner.members}
    bus = ReplayBus([MainThreadLink(runner)], executed, runner.takes, in_order=False)
    digest = DigestLog()
    mismatch = bus.run(_digested([records], digest), lambda: True)
    assert mismatch is None, mismatch
    assert bus.compared == sum(record.source in executed and record.cause > 0 for record in records)
    return digest.close()


def _digested(batches: Sequence[Sequence[Record]], digest: DigestLog) -> Iterator[Sequence[Record]]:
    for batch in batches:
        for r in batch:
            digest.append(r.seq, r.ts, r.source_seq, r.cause, r.source, r.type_id, r.payload)
        yield batch
