"""The one order of a run in one thread: a queue, first come, first served, and what is kept of it.

`Captured` gives every message its number and its cause and appends it to the log. `Uncaptured` does without: a run of
which nothing is kept has the same order, and nobody to tell. Both count, and both hand out in the same way.

Our own components put what they emit straight into the queue, without a check whether they answer something, and with
what they declared: they do, in the placements where that is checked, see `bus.runtime.runner`.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from operator import length_hint
from typing import TYPE_CHECKING, Final

from bus.local_route import Route
from bus.log import TOGETHER, Log
from bus.record import HEADER_SIZE, JOINED_HEAD, origin_of
from bus.runtime.block import Block
from bus.runtime.canonical import refuse_to_publish
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Emit, Handler
from bus.runtime.runner import Member, emitted_types, failure, is_ours, nothing_to_answer
from bus.sequencer import HUB, Sequencer
from bus.topics import Wiring
from schemas import Message
from schemas.codec import encode_into

if TYPE_CHECKING:
    from bus.express import Express, Stretch
    from bus.stretch_records import Layouts
    from bus.stretches import Stretches

_pack_head_into = JOINED_HEAD.pack_into

_COUNTED_TOGETHER: Final = 4096
_NOBODY: Final = -1
"""No source has this id."""

Routes = Mapping[type[Message], Route]


class Order:
    """What both have. `answers` are the messages that wait for their turn."""

    def __init__(self, routes: Routes) -> None:
        self.answers: list[Message] = []
        self.heeds = False
        """Whether a component is handling something, and may answer it."""
        self._routes = routes
        self._heard: list[type[Message]] = []
        """Types of messages that their routes have not counted yet."""

    def publish(self, source: int, message: Message) -> None:
        """Give a message from outside its place in the order, and hand it out."""
        self._place(source, message)
        self.hand_out(message, self._routes[type(message)].handlers)

    def record(self, message: Message) -> None:
        """Give a message of the hub that nobody hears its place in the order."""
        self._place(HUB, message)

    def hand_out(self, message: Message, handlers: Sequence[Handler]) -> None:
        """Call handlers with a message from outside; what it is answered waits for its turn."""
        handler = None
        self.heeds = True
        try:
            for handler in handlers:
                handler(message)
        except BaseException as error:
            raise blame(handler, error) from error
        finally:
            self.heeds = False

    @contextlib.contextmanager
    def ahead_of_time(self, clock: Clock) -> Iterator[None]:
        """Let a component answer what it is handed ahead of its turn; then all is as before, the time too."""
        before, now_ns = self.heeds, clock.now_ns
        self.heeds = True
        try:
            yield
        finally:
            self.heeds, clock.now_ns = before, now_ns

    def catch_up(self) -> None:
        """Give all that was heard its places in the order, if some has none yet."""

    def count(self) -> None:
        """Bring the counts of the routes up to date."""
        for message_type, count in Counter(self._heard).items():
            self._routes[message_type].count += count
        self._heard.clear()

    def _count_at_once(self, counts: Mapping[type[Message], int]) -> None:
        for message_type, count in counts.items():
            self._routes[message_type].count += count

    def _place(self, _source: int, message: Message) -> None:
        """Give a message from outside its place in the order."""
        self._heard.append(type(message))

    def appender(self, _member: Member) -> Emit:
        """What puts a message of a component at the end of those that wait."""
        return self.answers.append

    def emitter(self, member: Member, append: Emit | None = None) -> Emit:
        """The way out of a component, to where it is to be put."""
        append = append or self.appender(member)
        return append if is_ours(member.component) else self._checked(member.component, append)

    def _checked(self, component: Component, append: Emit) -> Emit:
        """A way out that takes answers only, and of declared types."""
        declared = emitted_types(component)

        def emit(message: Message) -> None:
            if not self.heeds:
                raise nothing_to_answer(component)
            if type(message) not in declared:
                raise refuse_to_publish(component, message)
            append(message)

        return emit

    def _settled(self, count: int) -> None:
        """So many of the messages that waited have had their turn; the others never will."""
        del self.answers[count:]
        self._heard += map(type, self.answers)
        self.answers.clear()
        self.heeds = False
        if len(self._heard) > _COUNTED_TOGETHER:
            self.count()


class Uncaptured(Order):
    """The order of a run without a log."""

    def __init__(self, routes: Routes) -> None:
        super().__init__(routes)
        self._handlers = {message_type: route.handlers for message_type, route in routes.items()}

    def take_in(self, _source: int, route: Route, _run: Block, start: int, end: int) -> None:
        """Give messages of a run their places in the order, after they were heard."""
        route.count += end - start

    def take_stretch(
        self, source: int, route: Route, run: Block, start: int, stretch: Stretch, _express: Express
    ) -> None:
        """Give messages of a run, and what they were answered, their places in the order, after they were heard."""
        self.take_in(source, route, run, start, stretch.end)
        self._count_at_once(stretch.counts)

    def settle(self) -> None:
        """Hand out what waits, and what that brings about, until nothing is left."""
        answers, handlers = self.answers, self._handlers
        going, handler = iter(answers), None
        self.heeds = True
        try:
            for message in going:  # and what is answered joins the end
                for handler in handlers[type(message)]:
                    handler(message)
        except BaseException as error:
            raise blame(handler, error) from error
        finally:
            self._settled(len(answers) - length_hint(going))


_Way = tuple[int, int, deque[int], list[Handler]]
"""What is to be known of a message by its type: how a record's head ends; who publishes it, `_NOBODY` where several
components do, and then, of those that wait, the sources in order; who takes it. A plain tuple is the quickest to take
apart."""


class Captured(Order):
    """The order of a run with a log."""

    def __init__(self, routes: Routes, clock: Clock, log: Log, wiring: Wiring) -> None:
        super().__init__(routes)
        self._clock = clock
        self._log = log
        self._sequencer = Sequencer(wiring.rules)
        self._layouts: Layouts = {}
        self._stretches: Stretches | None = None
        """What has no places yet, if anything has not; it comes before all that is given some."""
        sources: dict[type[Message], list[int]] = {}
        for member in wiring.members:
            for message_type in emitted_types(member.component):
                sources.setdefault(message_type, []).append(member.source_id)
        self._ways: dict[type[Message], _Way] = {
            message_type: (origin_of(only, route.type_id), only, deque(), route.handlers)
            for message_type, route in routes.items()
            for only in [_the_only(sources.get(message_type, []))]
        }

    def appender(self, member: Member) -> Emit:
        """As of every order; it also notes whose messages are of a type that several components publish."""
        source, append = member.source_id, self.answers.append
        ways = {message_type: self._ways[message_type] for message_type in emitted_types(member.component)}
        shared = {message_type: way[2].append for message_type, way in ways.items() if way[1] == _NOBODY}
        if not shared:
            return append

        def note(message: Message) -> None:
            also = shared.get(type(message))
            if also is not None:
                also(source)
            append(message)

        return note

    def take_in(self, source: int, route: Route, run: Block, start: int, end: int) -> None:
        """Give messages of a run their places in the order, after they were heard."""
        if self._stretches is not None:
            self.catch_up()
        sequencer, count = self._sequencer, end - start
        last = sequencer.last
        seq, source_seq = sequencer.head, last[source]
        if count == 1:
            message = run[start]
            self._log.append_message(seq + 1, message.ts, source_seq + 1, 0, source, route.type_id, message)
        else:
            self._log.append_run(seq + 1, source_seq + 1, source, route.type_id, run, start, end)
        sequencer.head, last[source] = seq + count, source_seq + count
        route.count += count

    def take_stretch(
        self, source: int, route: Route, run: Block, start: int, stretch: Stretch, express: Express
    ) -> None:
        """As of the other order. Records are made of several stretches together, and they are counted then."""
        from bus.stretches import Stretches  # and with it numpy, which a run without them does not need

        what = source, route.type_id, stretch.symbol
        if self._stretches is None or not self._stretches.can_take(*what):
            self.catch_up()
            self._stretches = Stretches(*what, express)
        self._stretches.add(run, start, stretch)

    def catch_up(self) -> None:
        """Give what happened in stretches its places in the order; nothing else comes before."""
        stretches, self._stretches = self._stretches, None
        if stretches is not None:
            from bus.stretch_records import Numbers

            sequencer = self._sequencer
            numbers = Numbers(sequencer.head, sequencer.last.copy())
            self._count_at_once(stretches.counts)
            for records in stretches.records(numbers, self._layouts):
                self._log.append_stretch(records)
            sequencer.head, sequencer.last[:] = numbers.head + stretches.counts.total(), numbers.last

    def _place(self, source: int, message: Message) -> None:
        if self._stretches is not None:
            self.catch_up()
        sequencer, type_id = self._sequencer, self._routes[type(message)].type_id
        seq, source_seq = sequencer.head + 1, sequencer.following(source)
        self._log.append_message(seq, self._clock.now_ns, source_seq, 0, source, type_id, message)
        sequencer.admit(source)
        super()._place(source, message)

    def settle(self) -> None:
        """Hand out what waits, and what that brings about, until nothing is left."""
        answers, ways, sequencer, now_ns = self.answers, self._ways, self._sequencer, self._clock.now_ns
        last, waiting, heard, handler = sequencer.last, self._log.waiting, sequencer.head, None
        seq, known, end = heard, len(answers), len(waiting)
        groups = [(heard, 0, known)]
        self.heeds = True
        try:
            for cause, first, behind in groups:  # and what is answered joins the end, as a group with its cause
                for message in answers[first:behind]:
                    origin, source, sources, handlers = ways[type(message)]
                    if sources:
                        source = sources.popleft()
                        origin = origin_of(source, self._routes[type(message)].type_id)
                    handler = None
                    # As `append_message` does it, without the call. Wherever it is broken off, whole records count.
                    begin = end + HEADER_SIZE
                    encode_into(message, waiting, begin)
                    size, number, source_seq = len(waiting), seq + 1, last[source] + 1
                    _pack_head_into(waiting, end, size - begin, number, now_ns, source_seq, cause, origin)
                    end, seq, last[source] = size, number, source_seq
                    for handler in handlers:
                        handler(message)
                    if len(answers) > known:
                        groups.append((seq, known, known := len(answers)))
        except BaseException as error:
            del waiting[end:]  # half a record
            raise blame(handler, error) from error
        finally:
            sequencer.head = seq
            self._log.wrote(seq - heard)
            self._settled(seq - heard)
        self._log.settle(TOGETHER)


def _the_only(sources: list[int]) -> int:
    return sources[0] if len(sources) == 1 else _NOBODY


def blame(handler: Handler | None, error: BaseException) -> BaseException:
    """The error of the component that the handler belongs to; a tap's error as it is."""
    owner = getattr(handler, "__self__", None)
    return failure(owner, error) if isinstance(owner, Component) else error
