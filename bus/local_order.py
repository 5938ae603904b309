"""The one order of a run in one thread: a queue, first come, first served, and what is kept of it.

`Captured` gives every message its number and its cause and appends it to the log. `Uncaptured` does without: a run of
which nothing is kept has the same order, and nobody to tell. Both count, and both hand out in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import length_hint
from typing import Final

from bus.local_route import Route
from bus.log import TOGETHER, Log
from bus.record import BODY
from bus.runtime.block import Block
from bus.runtime.canonical import refuse_to_publish
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Emit, Handler
from bus.runtime.runner import Member, emitted_types, failure, is_ours, nothing_to_answer
from bus.sequencer import HUB, Sequencer, SourceRule
from schemas import Message
from schemas.codec import encode

_pack_body = BODY.pack

_COUNTED_TOGETHER: Final = 4096

Routes = Mapping[type[Message], Route]

_HEARD: Final = -1
"""Stands for the seq of the message that is being heard, which has its place in the order only afterwards."""


class Uncaptured:
    """The order of a run without a log. `answers` are the messages that wait for their turn."""

    def __init__(self, routes: Routes) -> None:
        self.answers: list[Message] = []
        self.heeds = False
        """Whether a component is handling something, and may answer it."""
        self._routes = routes
        self._handlers = {message_type: route.handlers for message_type, route in routes.items()}
        self._heard: list[type[Message]] = []
        """Types of messages that their routes have not counted yet."""

    def emitter(self, member: Member) -> Emit:
        """The way out of a component.

        Of our own it is not checked here whether they answer something, and with what they declared: they do, in the
        runs with a log of the conformance suite, where it is.
        """
        component, append = member.component, self.answers.append
        if is_ours(component):
            return append
        declared = emitted_types(component)

        def emit(message: Message) -> None:
            if not self.heeds:
                raise nothing_to_answer(component)
            if type(message) not in declared:
                raise refuse_to_publish(component, message)
            append(message)

        return emit

    def count(self) -> None:
        """Bring the counts of the routes up to date."""
        for message_type, count in Counter(self._heard).items():
            self._routes[message_type].count += count
        self._heard.clear()

    def first_answer(self) -> type[Message]:
        """The type of the message whose turn is next."""
        return type(self.answers[0])

    def publish(self, _source: int, message: Message) -> None:
        """Let a message from outside wait for its turn."""
        self.answers.append(message)

    def record(self, message: Message) -> None:
        """Give a message of the hub that nobody hears its place in the order."""
        self._heard.append(type(message))

    def take_in(self, _source: int, route: Route, _run: Block, start: int, end: int) -> None:
        """Give messages of a run their places in the order, after they were heard."""
        route.count += end - start

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
            del answers[len(answers) - length_hint(going) :]
            raise blame(handler, error) from error
        finally:
            self._heard += map(type, answers)
            answers.clear()
            self.heeds = False
        if len(self._heard) > _COUNTED_TOGETHER:
            self.count()


class Captured:
    """The order of a run with a log, as `Uncaptured`."""

    def __init__(self, routes: Routes, clock: Clock, log: Log, rules: Iterable[SourceRule]) -> None:
        self.answers: list[tuple[int, Route, int, Message]] = []
        """Source, route and cause of each message, and the message."""
        self._routes = routes
        self._clock = clock
        self._log = log
        self._sequencer = Sequencer(rules)
        self._cause = 0

    @property
    def heeds(self) -> bool:
        """Whether a component is handling something, and may answer it."""
        return self._cause != 0

    @heeds.setter
    def heeds(self, heeds: bool) -> None:
        self._cause = _HEARD if heeds else 0

    def emitter(self, member: Member) -> Emit:
        """The way out of a component."""
        routes = {message_type: self._routes[message_type] for message_type in emitted_types(member.component)}
        source_id, append = member.source_id, self.answers.append

        def emit(message: Message) -> None:
            cause = self._cause
            if not cause:
                raise nothing_to_answer(member.component)
            try:
                append((source_id, routes[type(message)], cause, message))
            except KeyError:
                raise refuse_to_publish(member.component, message) from None

        return emit

    def count(self) -> None:
        """The counts of the routes are up to date."""

    def first_answer(self) -> type[Message]:
        """The type of the message whose turn is next."""
        return type(self.answers[0][3])

    def publish(self, source: int, message: Message) -> None:
        """Let a message from outside wait for its turn."""
        self.answers.append((source, self._routes[type(message)], 0, message))

    def record(self, message: Message) -> None:
        """Give a message of the hub that nobody hears its place in the order."""
        sequencer, route = self._sequencer, self._routes[type(message)]
        payload, seq = encode(message), sequencer.admit(HUB)
        self._log.append(seq, self._clock.now_ns, sequencer.last[HUB], 0, HUB, route.type_id, payload)
        route.count += 1

    def take_in(self, source: int, route: Route, run: Block, start: int, end: int) -> None:
        """Give messages of a run their places in the order, after they were heard."""
        sequencer, last, count = self._sequencer, self._sequencer.last, end - start
        self._log.append_run(sequencer.head + 1, last[source] + 1, source, route.type_id, run[start:end])
        sequencer.head += count
        last[source] += count
        route.count += count

    def settle(self) -> None:
        """Hand out what waits, and what that brings about, until nothing is left."""
        answers, log, sequencer, now_ns = self.answers, self._log, self._sequencer, self._clock.now_ns
        last, heard, append_body = sequencer.last, sequencer.head, log.append_body
        try:
            for source, route, cause, message in answers:  # and what is answered joins the end
                payload = encode(message)
                sequencer.head = seq = sequencer.head + 1
                last[source] = source_seq = last[source] + 1
                route.count += 1
                caused_by = heard if cause == _HEARD else cause
                body = _pack_body(len(payload), seq, now_ns, source_seq, caused_by, source, route.type_id) + payload
                append_body(body)
                self._cause = seq
                try:
                    for handler in route.handlers:
                        handler(message)
                except BaseException as error:
                    raise blame(handler, error) from error
        finally:
            answers.clear()
            self._cause = 0
        log.settle(TOGETHER)


def blame(handler: Handler | None, error: BaseException) -> BaseException:
    """The error of the component that the handler belongs to; a tap's error as it is."""
    owner = getattr(handler, "__self__", None)
    return failure(owner, error) if isinstance(owner, Component) else error
