"""The local bus: every component in one thread, direct calls, messages by reference.

One FIFO queue: a record is handed to every component that takes it, in rank order, and what they emit joins the
end of the queue. This order is the definition that the other placements reproduce (see `bus.wave`). Nothing is
encoded unless the run is captured.

How market data run through it, the hottest code of the project: records enter one by one, and each is settled before
the next. But a component that will not answer a type until further notice (`Component.quiet`) cannot tell whether it
is handed its records one by one or, a little later, many at once (`Component.on_block`), as long as it has them all
before it hears anything else. So these wait until somebody answers or the block ends, and with them their way into
the log, which nobody reads before that. The same goes for messages of which a component can say beforehand that it will
not answer them (`Component.unanswered`), as a broker can whose orders wait far from the market.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from bus.errors import ProtocolError
from bus.log import Log
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Emit, Handler, Source
from bus.runtime.means import Means
from bus.runtime.runner import (
    LazyLoop,
    Member,
    begin,
    direct_handlers,
    emitted_types,
    failure,
    nothing_to_answer,
    refuse_to_publish,
    stop_all,
    stream_of,
)
from bus.runtime.service import guarded
from bus.runtime.settings import RunContext
from bus.sequencer import HUB, Sequencer
from bus.timers import TimerQueue, heeding, sets_timers
from bus.topics import Wiring
from schemas import ComponentFailed, Halt, Message
from schemas.codec import encode
from schemas.registry import MESSAGE_TYPES, TYPE_IDS

_LOOK_LEAST, _LOOK_MOST = 8, 256

_ts_of = attrgetter("ts")


class _Route:
    """The way of one message type: who takes it, in rank order, and how many there have been."""

    __slots__ = ("_takers", "count", "handlers", "message_type", "type_id")

    def __init__(self, message_type: type[Message]) -> None:
        self.message_type = message_type
        self.type_id = TYPE_IDS[message_type]
        self.handlers: tuple[Handler, ...] = ()
        self.count = 0
        self._takers: list[tuple[Handler, Component | None, Handler]] = []
        """Handlers, and beside each the component and its way to take blocks; None where it has none."""

    def add(self, handler: Handler) -> None:
        """One more who takes the type."""
        self.handlers += (handler,)
        owner = getattr(handler, "__self__", None)
        if isinstance(owner, Component) and owner.on_block is not None:
            self._takers.append((handler, owner, guarded(owner, owner.on_block)))
        else:
            self._takers.append((handler, None, handler))

    def parted(self, ahead: Sequence[Message]) -> tuple[list[Handler], list[tuple[Handler, Handler]], int | None]:
        """Who must be handed every message at once; who may be handed many of them later, one or a block; how many.

        None for as many as there are. `ahead` are the next messages, as far as somebody may be asked about them.
        """
        message_type = self.message_type
        at_once: list[Handler] = []
        later: list[tuple[Handler, Handler]] = []
        most = None
        for handler, owner, on_block in self._takers:
            if owner is not None and message_type in owner.quiet:
                later.append((handler, on_block))
            elif ahead and owner is not None and owner.unanswered is not None and (count := owner.unanswered(ahead)):
                later.append((handler, on_block))
                most = count if most is None else min(most, count)
            else:
                at_once.append(handler)
        return at_once, later, most


class LocalBus:
    """Sequences, captures and delivers in the calling thread."""

    def __init__(self, wiring: Wiring, context: RunContext, log: Log | None, means: Means | None = None) -> None:
        self.clock = Clock()
        self.timers = TimerQueue()
        self._wiring = wiring
        self._context = context
        self._log = log
        self._sequencer = Sequencer(wiring.rules)
        self._queue: deque[tuple[int, _Route, int, Message]] = deque()
        self._cause = 0
        self._look = _LOOK_LEAST
        """Messages that a component is shown which may answer some of them; more while none is answered."""
        self._loop = LazyLoop(means or Means())
        self._routes = {message_type: _Route(message_type) for message_type in MESSAGE_TYPES.values()}

    @property
    def counts(self) -> dict[int, int]:
        """Records so far by type id, without types of which there were none."""
        return {route.type_id: route.count for route in self._routes.values() if route.count}

    def tap(self, message_type: type[Message], handler: Handler) -> None:
        """Call `handler` with every message of a type."""
        self._routes[message_type].add(handler)

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
            for message_type, handler in direct_handlers(member.component, self._loop).items():
                self.tap(message_type, handler)

    def declare(self, messages: Iterable[Message]) -> None:
        """Sequence messages of the hub that no component takes."""
        for message in messages:
            self._record(message)

    def publish(self, source: int, ts: int, message: Message) -> None:
        """Sequence a message from outside and settle all that follows from it."""
        self.clock.now_ns = ts
        self._queue.append((source, self._routes[type(message)], 0, message))
        self._settle()

    def feed(self, source: int, block: list[Message]) -> None:
        """Publish each market data message of a block at its own `ts`.

        Raises:
            ProtocolError: a message is older than the one before it, or of a type that the source did not declare.
            ComponentError: a component raised.
        """
        component = self._component(source)
        declared = emitted_types(component)
        times = [self.clock.now_ns, *map(_ts_of, block)]
        sound = len(block) if times == sorted(times) else _ascending(times)
        for message_type, run in _runs(block[:sound]):
            if message_type not in declared:
                raise refuse_to_publish(component, run[0])
            route, start, self._look = self._routes[message_type], 0, _LOOK_LEAST
            while start < len(run):
                start = self._until_answered(source, route, run, start)
        if sound < len(block):
            before, after = times[sound : sound + 2]
            raise ProtocolError(f"{component.name} went back in time: {after} after {before} (ns UTC)")

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
        self._record(message)

    def close(self) -> None:
        """Stop every component, sources first."""
        self._loop.close()
        stop_all(self._wiring.members)

    def _until_answered(self, source: int, route: _Route, run: Sequence[Message], start: int) -> int:
        """Hand out messages of a run from `start` on, up to one that is answered; settle that; return what is next."""
        at_once, later, most = route.parted(run[start : start + self._look])
        end, fault = len(run) if most is None else start + most, None
        if at_once:
            end, fault = self._hear(at_once, run, start, end)
        part = run[start:end]
        self._take_in(source, route, part)
        if fault is not None:
            raise _blame(*fault) from fault[1]
        for handler, on_block in later:
            try:
                if len(part) == 1:
                    handler(part[0])
                else:
                    on_block(part)
            except BaseException as error:
                raise _blame(handler, error) from error
        if self._queue:
            # Who answered the first message of a part is not asked again in this run what it will not answer.
            self._look = _LOOK_LEAST if len(part) > 1 else 0
            self._settle()
        elif most is not None:
            self._look = min(2 * self._look, _LOOK_MOST)
        return end

    def _hear(
        self, handlers: Sequence[Handler], run: Sequence[Message], start: int, end: int
    ) -> tuple[int, tuple[Handler, BaseException] | None]:
        """Call handlers with the messages of a run up to one that is answered, or at which one of them raised.

        Returns the index behind it, and who raised what.
        """
        clock, queue, seq = self.clock, self._queue, self._sequencer.head
        fault = None
        for index in range(start, end):
            message = run[index]
            clock.now_ns = message.ts  # type: ignore[attr-defined]
            seq += 1
            self._cause = seq
            try:
                for handler in handlers:
                    handler(message)
            except BaseException as error:
                fault = handler, error
            if queue or fault is not None:
                end = index + 1
                break
        self._cause = 0
        return end, fault

    def _take_in(self, source: int, route: _Route, run: Sequence[Message]) -> None:
        """Give the messages of a run their places in the order, after they were heard."""
        sequencer, count = self._sequencer, len(run)
        if self._log is not None:
            self._log.append_run(sequencer.head + 1, sequencer.last[source] + 1, source, route.type_id, run)
        self.clock.now_ns = run[-1].ts  # type: ignore[attr-defined]
        sequencer.head += count
        sequencer.last[source] += count
        route.count += count

    def _settle(self) -> None:
        queue, log, sequencer, now_ns = self._queue, self._log, self._sequencer, self.clock.now_ns
        last, seq = sequencer.last, sequencer.head
        try:
            while queue:
                source, route, cause, message = queue.popleft()
                payload = b"" if log is None else encode(message)
                seq += 1
                last[source] = source_seq = last[source] + 1
                route.count += 1
                if log is not None:
                    log.append(seq, now_ns, source_seq, cause, source, route.type_id, payload)
                self._cause = seq
                try:
                    for handler in route.handlers:
                        handler(message)
                except BaseException as error:
                    raise _blame(handler, error) from error
        finally:
            sequencer.head = seq
        self._cause = 0

    def _record(self, message: Message) -> None:
        """Give a message of the hub that nobody hears its place in the order."""
        sequencer, log, route = self._sequencer, self._log, self._routes[type(message)]
        payload = b"" if log is None else encode(message)
        seq = sequencer.admit(HUB)
        route.count += 1
        if log is not None:
            log.append(seq, self.clock.now_ns, sequencer.last[HUB], 0, HUB, route.type_id, payload)

    def _emitter(self, member: Member) -> Emit:
        routes = {message_type: self._routes[message_type] for message_type in emitted_types(member.component)}
        source_id, append, bus = member.source_id, self._queue.append, self

        def emit(message: Message) -> None:
            cause = bus._cause
            if not cause:
                raise nothing_to_answer(member.component)
            try:
                append((source_id, routes[type(message)], cause, message))
            except KeyError:
                raise refuse_to_publish(member.component, message) from None

        return emit

    def _component(self, source: int) -> Component:
        return self._wiring.members[source - 1].component


def _runs(block: list[Message]) -> Iterator[tuple[type[Message], list[Message]]]:
    """The block in parts of one type each; most are of one type as they are."""
    if len(set(map(type, block))) == 1:
        yield type(block[0]), block
        return
    for message_type, group in itertools.groupby(block, type):
        yield message_type, list(group)


def _ascending(times: Sequence[int]) -> int:
    """How many of the times after the first are in order."""
    return next(i for i, (before, after) in enumerate(itertools.pairwise(times)) if after < before)


def _blame(handler: Handler, error: BaseException) -> BaseException:
    """The error of the component that the handler belongs to; a tap's error as it is."""
    owner = getattr(handler, "__self__", None)
    return failure(owner, error) if isinstance(owner, Component) else error
