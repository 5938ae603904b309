"""A strategy that is handed bars ahead of all others, and what it answers, kept until its turn comes.

Who takes bars and nothing else, and answers with signals, cannot tell when anybody else is handed these bars. So it is
handed many at once, before the others, and what it answers is given out at its own bar's turn. That says beforehand
how many bars will not be answered, for any such strategy, and lets signals be worked on together (see `bus.express`).
"""

from __future__ import annotations

from collections import deque
from operator import length_hint
from typing import Any, Final

from bus.errors import StopNow
from bus.local_order import Order
from bus.runtime.block import Block
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Handler
from bus.runtime.locks import NoLock
from bus.runtime.runner import Member, is_ours
from bus.runtime.service import async_handlers
from schemas import Bar, Message, Signal

_MOST_PATIENT: Final = 64
"""So many bars are handed, at most, to who cannot say beforehand that it will not answer, before it is asked again."""


def can_be_foreseen(component: Component) -> bool:
    """Whether a component takes bars only, and answers with signals only.

    One of the user's own must take them one by one: how many it takes at once depends on how far one looks.
    """
    return (
        takes_only(component, "strategy", Bar)
        and component.emits == (Signal,)
        and (component.on_block is None or is_ours(component))
    )


def takes_only(component: Component, kind: str, message_type: type[Message]) -> bool:
    """Whether a component of this type takes these messages and nothing else, and nobody may ask it meanwhile."""
    return (
        component.component_type == kind
        and set(component.handlers()) == {message_type}
        and not async_handlers(component)
        and isinstance(component.lock, NoLock)
    )


class Foresight:
    """Stands for a strategy where bars are handed out."""

    quiet: frozenset[type[Message]] = frozenset()

    def __init__(self, member: Member, order: Order, clock: Clock) -> None:
        self.component = member.component
        self.answers: deque[tuple[int, Any]] = deque()
        """To bars that the strategy has taken and whose turn has not come, each with its bar's index in the block."""
        self.error: BaseException | None = None
        """At what the strategy failed, if it did, at the last bar that it has taken."""
        self.known = 0
        """The index in the block behind the last bar that the strategy has taken."""
        self._next = 0
        """The index of the first bar whose turn has not come."""
        self._patience = 1
        self._block = Block(())
        self._order = order
        self.clock = clock
        self._given: list[Message] = []
        """What the strategy answers the bar that it is handed."""
        self.emit = order.emitter(member, self._given.append)
        """The strategy's way out."""
        self._give_out = order.appender(member)
        self._handler: Handler

    def stand_for(self, handler: Handler) -> Handler:
        """The handler that takes bars in place of the strategy's own."""
        self._handler = handler
        given, give_out = self._given, self._give_out

        def take(bar: Bar) -> None:
            index = self._next
            self._next = index + 1
            if index < self.known:
                self._take_turn(index)
                return
            self.known = index + 1
            handler(bar)
            if given:
                for message in given:
                    give_out(message)
                given.clear()

        take.__self__ = self.component  # type: ignore[attr-defined] # who is to blame for what it raises
        return take

    def unanswered(self, block: Block, start: int, most: int) -> int:
        """How many bars, from `start` on, the strategy has not answered; it takes as many as `most` for that."""
        if start >= self.known or block is not self._block:
            self.look(block, start, start + most)
        return self._first_answered() - start

    def on_block(self, _block: Block, _start: int, end: int) -> None:
        """The turn of bars that were not answered, up to `end`, has come."""
        self._next = end

    def look(self, block: Block, start: int, end: int) -> None:
        """Have the strategy take the bars of a block up to `end`; `start` is the first whose turn has not come."""
        if block is not self._block:
            assert self._next == self.known, "every bar has its turn"
            self._block = block
            self.known = self._next = start
        end = min(end, len(block))
        if self.known < end and self.error is None:
            with self._order.ahead_of_time(self.clock):
                self._run_ahead(block, end)

    def pass_on(self, end: int, count: int) -> None:
        """The turn of all bars up to `end` has come, and of the first so many answers."""
        if count == len(self.answers):
            self.answers.clear()
        for _ in range(min(count, len(self.answers))):
            self.answers.popleft()
        self._next = end

    def _first_answered(self) -> int:
        """The index of the first bar that was answered, or at which the strategy failed; else `known`."""
        if self.answers:
            return self.answers[0][0]
        return self.known if self.error is None else self.known - 1

    def _run_ahead(self, block: Block, end: int) -> None:
        handler, given, clock, answers = self._handler, self._given, self.clock, self.answers
        at, going = self.known, None
        self._patience = 1
        try:
            while at < end:
                start, behind = self._following(block, at, end)
                going = iter(block[start:behind])
                for bar in going:
                    clock.now_ns = bar.ts
                    handler(bar)
                    if given:
                        at = behind - 1 - length_hint(going)
                        answers.extend((at, message) for message in given)
                        given.clear()
                at, going = behind, None
        except StopNow:
            raise
        except BaseException as error:
            given.clear()
            self.error = error
            end = at + 1 if going is None else behind - length_hint(going)
        self.known = end

    def _following(self, block: Block, start: int, end: int) -> tuple[int, int]:
        """From where on, and up to where, the strategy is handed bars one by one; those before it takes at once.

        One that cannot say of the next bar that it will not answer is handed some before it is asked again, and more
        and more of them.
        """
        component = self.component
        if component.unanswered is None or component.on_block is None:
            return start, end
        count = component.unanswered(block, start, end - start)
        if not count:
            behind, self._patience = start + self._patience, min(2 * self._patience, _MOST_PATIENT)
            return start, min(behind, end)
        begin, self._patience = min(start + count, end), 1
        self.clock.now_ns = block[begin - 1].ts  # it may be ahead of them, and never is behind
        component.on_block(block, start, begin)
        return begin, min(begin + 1, end)

    def _take_turn(self, index: int) -> None:
        """The turn of a bar has come that the strategy has taken."""
        if self.error is not None and index == self.known - 1:
            raise self.error
        while self.answers and self.answers[0][0] == index:
            self._give_out(self.answers.popleft()[1])
