"""The local bus: every component in one thread, direct calls, messages by reference.

One FIFO queue: a record is handed to every component that takes it, in rank order, and what they emit joins the
end of the queue. This order is the definition that the other placements reproduce (see `bus.wave`). Nothing is
encoded unless the run is captured. The loops below are the hottest code of the project and are written for
that.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator

from bus.errors import ComponentError, ProtocolError
from bus.log import Log
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Emit, Handler, Source
from bus.runtime.runner import Member, begin, emitted_types, failure, nothing_to_answer, refuse_to_publish, stream_of
from bus.runtime.settings import RunContext
from bus.sequencer import HUB, Sequencer
from bus.timers import TimerQueue, heeding, sets_timers
from bus.topics import Wiring
from schemas import ComponentFailed, Halt, Message
from schemas.codec import encode
from schemas.registry import TYPE_IDS


class LocalBus:
    """Sequences, captures and delivers in the calling thread."""

    def __init__(self, wiring: Wiring, context: RunContext, log: Log | None) -> None:
        self.clock = Clock()
        self.timers = TimerQueue()
        self.counts: dict[int, int] = Counter()
        self._wiring = wiring
        self._context = context
        self._log = log
        self._sequencer = Sequencer(wiring.rules)
        self._queue: deque[tuple[int, int, int, Message]] = deque()
        self._cause = 0
        self._routes: dict[type[Message], tuple[Handler, ...]] = {}

    def tap(self, message_type: type[Message], handler: Handler) -> None:
        """Call `handler` with every message of a type."""
        self._routes[message_type] = (*self._routes.get(message_type, ()), handler)

    def open(self) -> None:
        """Initialize and start every component.

        Raises:
            ComponentError: with the first one that fails.
        """
        for member in self._wiring.members:
            emit = self._emitter(member)
            if sets_timers(member.component):
                emit = heeding(emit, self.timers, member.component)
            begin(member.component, self._context, emit, self.clock)
            for message_type, handler in member.component.handlers().items():
                self.tap(message_type, handler)

    def declare(self, messages: Iterable[Message]) -> None:
        """Sequence messages of the hub that no component takes."""
        for message in messages:
            self._record(HUB, TYPE_IDS[type(message)], 0, message)

    def publish(self, source: int, ts: int, message: Message) -> None:
        """Sequence a message from outside and settle all that follows from it."""
        self.clock.now_ns = ts
        self._queue.append((source, TYPE_IDS[type(message)], 0, message))
        self._settle()

    def feed(self, source: int, block: list[Message]) -> None:
        """Publish each market data message of a block at its own `ts`.

        Raises:
            ProtocolError: a message is older than the one before it, or of a type that the source did not declare.
            ComponentError: a component raised.
        """
        clock, routes, queue = self.clock, self._routes, self._queue
        sequencer, log, counts = self._sequencer, self._log, self.counts
        seq, source_seq = sequencer.head, sequencer.last[source]
        component = self._component(source)
        type_ids = emitted_types(component)
        try:
            for message in block:
                message_type = type(message)
                ts: int = message.ts  # type: ignore[attr-defined]
                if ts < clock.now_ns:
                    raise ProtocolError(f"{component.name} went back in time: {ts} after {clock.now_ns} (ns UTC)")
                type_id = type_ids.get(message_type)
                if type_id is None:
                    raise refuse_to_publish(component, message)
                if log is not None:
                    log.append(seq + 1, ts, source_seq + 1, 0, source, type_id, encode(message))
                clock.now_ns = ts
                seq += 1
                source_seq += 1
                self._cause = seq
                counts[type_id] += 1
                for handler in routes.get(message_type, ()):
                    try:
                        handler(message)
                    except BaseException as error:
                        raise _blame(handler, error) from error
                if queue:
                    sequencer.head, sequencer.last[source] = seq, source_seq
                    self._settle()
                    seq, source_seq = sequencer.head, sequencer.last[source]
        finally:
            self._cause = 0
            sequencer.head = max(seq, sequencer.head)
            sequencer.last[source] = max(source_seq, sequencer.last[source])

    def stream(self, source: int) -> Iterator[list[Message]]:
        """A source's stream, in blocks."""
        component = self._component(source)
        assert isinstance(component, Source)
        return stream_of(component)

    def total(self, source: int) -> int:
        """How many messages a source's stream will have, 0 when that is not known."""
        component = self._component(source)
        return component.total if isinstance(component, Source) else 0

    def fail(self, message: ComponentFailed | Halt) -> None:
        """Record why the run ends before its end; no component hears it any more."""
        self._queue.clear()
        self._record(HUB, TYPE_IDS[type(message)], 0, message)

    def close(self) -> None:
        """Stop every component, the last started first."""
        errors: list[ComponentError] = []
        for member in reversed(self._wiring.members):
            try:
                member.component.stop()
            except BaseException as error:
                errors.append(failure(member.component, error))
        if errors:
            raise errors[0]

    def _settle(self) -> None:
        queue, routes, record = self._queue, self._routes, self._record
        while queue:
            source, type_id, cause, message = queue.popleft()
            self._cause = record(source, type_id, cause, message)
            for handler in routes.get(type(message), ()):
                try:
                    handler(message)
                except BaseException as error:
                    raise _blame(handler, error) from error
        self._cause = 0

    def _record(self, source: int, type_id: int, cause: int, message: Message) -> int:
        sequencer, log = self._sequencer, self._log
        payload = b"" if log is None else encode(message)
        seq = sequencer.admit(source)
        self.counts[type_id] += 1
        if log is not None:
            log.append(seq, self.clock.now_ns, sequencer.last[source], cause, source, type_id, payload)
        return seq

    def _emitter(self, member: Member) -> Emit:
        type_ids = emitted_types(member.component)
        source_id, append, bus = member.source_id, self._queue.append, self

        def emit(message: Message) -> None:
            cause = bus._cause
            if not cause:
                raise nothing_to_answer(member.component)
            try:
                append((source_id, type_ids[type(message)], cause, message))
            except KeyError:
                raise refuse_to_publish(member.component, message) from None

        return emit

    def _component(self, source: int) -> Component:
        return self._wiring.members[source - 1].component


def _blame(handler: Handler, error: BaseException) -> BaseException:
    """The error of the component that the handler belongs to; a tap's error as it is."""
    owner = getattr(handler, "__self__", None)
    return failure(owner, error) if isinstance(owner, Component) else error
