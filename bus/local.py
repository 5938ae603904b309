"""The local bus: every component in one thread, direct calls, messages by reference.

One FIFO queue (`bus.local_order`): a record is handed to every component that takes it, in rank order, and what they
emit joins the end of the queue. This order is the definition that the other placements reproduce (see `bus.wave`).
Nothing is encoded unless the run is captured.

How market data run through it, the hottest code of the project: records enter one by one, and each is settled before
the next. But a component that will not answer a type until further notice (`Component.quiet`) cannot tell whether it
is handed its records one by one or, a little later, many at once (`Component.on_block`), as long as it has them all
before it hears anything else. So these wait until somebody answers or the block ends, and with them their way into
the log, which nobody reads before that. The same goes for messages of which a component can say beforehand that it will
not answer them (`Component.unanswered`), as a broker can whose orders wait far from the market.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from operator import length_hint

from bus.errors import ProtocolError
from bus.express import Compose, no_express
from bus.foresight import Foresight
from bus.local_order import Captured, Uncaptured, blame
from bus.local_route import Outlook, Route, Taker
from bus.log import Log
from bus.respondent import Respondent
from bus.runtime.block import Block
from bus.runtime.canonical import refuse_to_publish
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Handler, Source
from bus.runtime.means import Means
from bus.runtime.runner import LazyLoop, begin, direct_handlers, emitted_types, stop_all, stream_of
from bus.runtime.settings import RunContext
from bus.timers import TimerQueue, heeding, sets_timers
from bus.topics import Wiring
from schemas import ComponentFailed, Halt, Message
from schemas.registry import MESSAGE_TYPES


class LocalBus:
    """Sequences, captures and delivers in the calling thread."""

    def __init__(
        self,
        wiring: Wiring,
        context: RunContext,
        log: Log | None,
        means: Means | None = None,
        compose: Compose = no_express,
    ) -> None:
        self.clock = Clock()
        self.timers = TimerQueue()
        self._wiring = wiring
        self._context = context
        self._outlook = Outlook()
        self._heard = 0
        """The index in a run behind the last message that was heard."""
        self._loop = LazyLoop(means or Means())
        self._express = compose(wiring)
        self._is_logged = log is not None
        self._taps: list[tuple[type[Message], Handler]] = []
        routes = self._routes = {message_type: Route(message_type) for message_type in MESSAGE_TYPES.values()}
        self._order = Uncaptured(routes) if log is None else Captured(routes, self.clock, log, wiring)

    @property
    def counts(self) -> dict[int, int]:
        """Records so far by type id, without types of which there were none."""
        self._order.count()
        return {route.type_id: route.count for route in self._routes.values() if route.count}

    def tap(self, message_type: type[Message], handler: Handler) -> None:
        """Call `handler` with every message of a type."""
        self._routes[message_type].add(handler)
        self._taps.append((message_type, handler))
        if self._express is not None and message_type in self._express.untold:
            self._express = None

    def open(self) -> None:
        """Initialize and start every component.

        Raises:
            ComponentError: with the first one that fails.
        """
        express, foresight, respondent = self._express, None, None
        for member in self._wiring.members:
            ahead: Foresight | Respondent | None = None
            if express is not None and member.component is express.strategy:
                ahead = foresight = Foresight(member, self._order, self.clock)
            elif express is not None and member.component is express.respondent:
                ahead = respondent = Respondent(member, self._order, self.clock)
            emit = self._order.emitter(member) if ahead is None else ahead.emit
            if sets_timers(member.component):
                emit = heeding(emit, self.timers, member.component)
            begin(member.component, self._context, emit, self.clock)
            for message_type, handler in direct_handlers(member.component, self._loop).items():
                if ahead is not None:
                    handler = ahead.stand_for(handler)
                self._routes[message_type].add(handler, ahead if isinstance(ahead, Foresight) else None)
        if express is not None and foresight is not None:
            express.board(foresight, respondent, self._is_logged)

    def declare(self, messages: Iterable[Message]) -> None:
        """Sequence messages of the hub that no component takes."""
        for message in messages:
            self._order.record(message)

    def publish(self, source: int, ts: int, message: Message) -> None:
        """Sequence a message from outside and settle all that follows from it."""
        self.clock.now_ns = ts
        self._order.publish(source, message)
        self._order.settle()

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
        self._order.answers.clear()
        self._order.record(message)

    def catch_up(self) -> None:
        """Put into the log what was heard, if some of it is not there yet: the run is broken off."""
        self._order.catch_up()

    def close(self) -> None:
        """Stop every component, sources first."""
        self._loop.close()
        stop_all(self._wiring.members)

    def _until_answered(self, source: int, route: Route, run: Block, start: int) -> int:
        """Hand out messages of a run from `start` on, up to one that is answered; settle that; return what is next."""
        order, outlook = self._order, self._outlook
        if self._express is not None and (stretch := self._express.stretch(run, start)) is not None:
            order.take_stretch(source, route, run, start, stretch, self._express)
            for message_type, tap in self._taps:
                if stretch.counts.get(message_type):
                    for message in self._express.messages(message_type, stretch.happened):
                        tap(message)
            return stretch.end
        at_once, ready, later, end = route.parted(run, start, outlook)
        self._heard = start if at_once else end  # a run that is broken off in between has heard none of these
        try:
            if ready:
                self.clock.now_ns = run[end - 1].ts
                _catch_up(ready, run, start, end)
                self._hear([handler for handler, _ in ready], run, end, end + 1)
            elif at_once and end == start + 1:
                message = run[start]
                self.clock.now_ns = message.ts
                self._heard = end
                order.hand_out(message, at_once)
            elif at_once:
                self._hear(at_once, run, start, end)
            else:
                self.clock.now_ns = run[end - 1].ts
        finally:
            # What was heard, and last perhaps what a component failed at, has its place in the order.
            end = self._heard
            order.take_in(source, route, run, start, end)
        if later:
            _catch_up(later, run, start, end)
        if order.answers:
            outlook.answered(alone=end == start + 1)
            order.settle()
        else:
            outlook.unanswered()
        return end

    def _hear(self, handlers: Sequence[Handler], run: Block, start: int, end: int) -> None:
        """Call handlers with the messages of a run up to one that is answered; `_heard` is the index behind it."""
        clock, answers, ahead, handler = self.clock, self._order.answers, iter(run[start:end]), handlers[0]
        self._order.heeds = True
        try:
            if len(handlers) == 1:
                for message in ahead:
                    clock.now_ns = message.ts
                    handler(message)
                    if answers:
                        break
            else:
                for message in ahead:
                    clock.now_ns = message.ts
                    for handler in handlers:
                        handler(message)
                    if answers:
                        break
        except BaseException as error:
            raise blame(handler, error) from error
        finally:
            self._order.heeds = False
            self._heard = end - length_hint(ahead)

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


def _catch_up(later: Sequence[Taker], run: Block, start: int, end: int) -> None:
    """Hand out what was kept back."""
    try:
        if end == start + 1:
            message = run[start]
            for handler, _ in later:
                handler(message)
        else:
            for handler, on_block in later:  # noqa: B007 - blamed below
                on_block(run, start, end)
    except BaseException as error:
        raise blame(handler, error) from error
