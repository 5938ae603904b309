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
from operator import length_hint
from typing import Final

from bus.errors import ProtocolError
from bus.local_route import Outlook, Route
from bus.log import Log
from bus.runtime.block import Block
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
from bus.runtime.settings import RunContext
from bus.sequencer import HUB, Sequencer
from bus.timers import TimerQueue, heeding, sets_timers
from bus.topics import Wiring
from schemas import ComponentFailed, Halt, Message
from schemas.codec import encode
from schemas.registry import MESSAGE_TYPES

_HEARD: Final = -1
"""Stands for the seq of the message that is being heard, which has its place in the order only afterwards."""


class LocalBus:
    """Sequences, captures and delivers in the calling thread."""

    def __init__(self, wiring: Wiring, context: RunContext, log: Log | None, means: Means | None = None) -> None:
        self.clock = Clock()
        self.timers = TimerQueue()
        self._wiring = wiring
        self._context = context
        self._log = log
        self._sequencer = Sequencer(wiring.rules)
        self._queue: deque[tuple[int, Route, int, Message]] = deque()
        self._cause = 0
        self._outlook = Outlook()
        self._loop = LazyLoop(means or Means())
        self._routes = {message_type: Route(message_type) for message_type in MESSAGE_TYPES.values()}

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
                self._routes[message_type].add(handler, member.source_id)

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
        for run in _runs(block):
            if run.message_type not in declared:
                raise refuse_to_publish(component, run[0])
            times, now_ns = run.column("ts"), self.clock.now_ns
            sound = len(run)
            if times[0] < now_ns or min(run.gaps, default=0) < 0:
                sound = _ascending([now_ns, *times])
            route, part, start = self._routes[run.message_type], run.part(0, sound), 0
            while start < sound:
                start = self._until_answered(source, route, part, start)
            if sound < len(run):
                before, after = [now_ns, *times][sound : sound + 2]
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

    def _until_answered(self, source: int, route: Route, run: Block, start: int) -> int:
        """Hand out messages of a run from `start` on, up to one that is answered; settle that; return what is next."""
        at_once, later, most = route.parted(run, start, self._outlook)
        end = len(run)
        if most is not None and start + most < end:
            end = start + most
        if at_once:
            end = self._hear(at_once, source, route, run, start, end)
        self._take_in(source, route, run, start, end)
        if later:
            self._catch_up(later, run, start, end)
        if self._queue:
            self._outlook.answered(by=self._queue[0][0])
            self._settle()
        elif most is not None:
            self._outlook.unanswered()
        return end

    def _hear(self, handlers: Sequence[Handler], source: int, route: Route, run: Block, start: int, end: int) -> int:
        """Call handlers with the messages of a run up to one that is answered; return the index behind it."""
        clock, queue, ahead, handler = self.clock, self._queue, iter(run[start:end]), handlers[0]
        self._cause = _HEARD
        try:
            if len(handlers) == 1:
                for message in ahead:
                    clock.now_ns = message.ts
                    handler(message)
                    if queue:
                        break
            else:
                for message in ahead:
                    clock.now_ns = message.ts
                    for handler in handlers:
                        handler(message)
                    if queue:
                        break
        except BaseException as error:
            # What was heard, and last what it failed at, has its place in the order.
            self._take_in(source, route, run, start, end - length_hint(ahead))
            raise _blame(handler, error) from error
        self._cause = 0
        return end - length_hint(ahead)

    def _take_in(self, source: int, route: Route, run: Block, start: int, end: int) -> None:
        """Give messages of a run their places in the order, after they were heard."""
        count = end - start
        if self._log is not None:
            sequencer, part = self._sequencer, run.part(start, end)
            self._log.append_run(sequencer.head + 1, sequencer.last[source] + 1, source, route.type_id, part)
            sequencer.head += count
            sequencer.last[source] += count
        self.clock.now_ns = run[end - 1].ts
        route.count += count

    def _catch_up(self, later: Sequence[tuple[Handler, Handler]], run: Block, start: int, end: int) -> None:
        """Hand out what was kept back."""
        try:
            if end == start + 1:
                message = run[start]
                for handler, _ in later:
                    handler(message)
            else:
                part = run.part(start, end)
                for handler, on_block in later:  # noqa: B007 - blamed below
                    on_block(part)
        except BaseException as error:
            raise _blame(handler, error) from error

    def _settle(self) -> None:
        """Hand out what is queued, and what that brings about, until nothing is left."""
        if self._log is not None:
            self._settle_captured(self._log)
            return
        queue = self._queue
        self._cause = _HEARD
        try:
            while queue:
                _, route, _, message = queue.popleft()
                route.count += 1
                for handler in route.handlers:
                    handler(message)
        except BaseException as error:
            raise _blame(handler, error) from error
        self._cause = 0

    def _settle_captured(self, log: Log) -> None:
        queue, sequencer, now_ns = self._queue, self._sequencer, self.clock.now_ns
        last, heard = sequencer.last, sequencer.head
        seq = heard
        try:
            while queue:
                source, route, cause, message = queue.popleft()
                payload = encode(message)
                seq += 1
                last[source] = source_seq = last[source] + 1
                route.count += 1
                log.append(seq, now_ns, source_seq, heard if cause == _HEARD else cause, source, route.type_id, payload)
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
        route = self._routes[type(message)]
        if self._log is not None:
            payload, seq = encode(message), self._sequencer.admit(HUB)
            self._log.append(seq, self.clock.now_ns, self._sequencer.last[HUB], 0, HUB, route.type_id, payload)
        route.count += 1

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


def _runs(block: list[Message]) -> Iterator[Block]:
    """The block in parts of one type each; most are of one type as they are."""
    if isinstance(block, Block):
        yield from (block,) if block else ()
        return
    for _, group in itertools.groupby(block, type):
        yield Block(group)


def _ascending(times: Sequence[int]) -> int:
    """How many of the times after the first are in order."""
    return next(i for i, (before, after) in enumerate(itertools.pairwise(times)) if after < before)


def _blame(handler: Handler, error: BaseException) -> BaseException:
    """The error of the component that the handler belongs to; a tap's error as it is."""
    owner = getattr(handler, "__self__", None)
    return failure(owner, error) if isinstance(owner, Component) else error
