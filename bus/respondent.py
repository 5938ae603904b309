"""Who is handed the signals of a strategy ahead of their turn, as the strategy was handed bars (see `bus.foresight`).

Who takes signals and nothing else cannot tell when the others are handed the bars of these signals. What it answers is
kept until the turn of the signal that it answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

from bus.errors import StopNow
from bus.foresight import takes_only
from bus.local_order import Order
from bus.runtime.block import Block
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Handler
from bus.runtime.runner import Member
from schemas import CancelOrder, Signal
from schemas import Order as NewOrder


def can_respond(component: Component) -> bool:
    """Whether a component takes signals only, and answers with nothing but orders and cancels."""
    answers = {NewOrder, CancelOrder}
    return (
        takes_only(component, "risk_manager", Signal)
        and answers.issuperset(component.emits)
        and component.on_block is None
    )


class Respondent:
    """Stands for a component where signals are handed out."""

    def __init__(self, member: Member, order: Order, clock: Clock) -> None:
        self.component = member.component
        self.answers: deque[list[NewOrder | CancelOrder]] = deque()
        """To signals that the component has taken and whose turn has not come; one entry for each signal."""
        self.error: BaseException | None = None
        """At what the component failed, if it did, at the signal behind those of the `answers`."""
        self._order = order
        self._clock = clock
        self._given: list[Any] = []
        """What the component answers the signal that it is handed."""
        self.emit = order.emitter(member, self._given.append)
        """The component's way out."""
        self._give_out = order.appender(member)
        self._handler: Handler

    def stand_for(self, handler: Handler) -> Handler:
        """The handler that takes signals in place of the component's own."""
        self._handler = handler
        given, give_out, answers = self._given, self._give_out, self.answers

        def take(signal: Signal) -> None:
            if answers:
                for message in answers.popleft():
                    give_out(message)
                return
            if self.error is not None:
                raise self.error
            handler(signal)
            for message in given:
                give_out(message)
            given.clear()

        take.__self__ = self.component  # type: ignore[attr-defined] # who is to blame for what it raises
        return take

    def look(self, signals: Iterable[tuple[int, Signal]], bars: Block) -> None:
        """Have the component take signals, of which the first one's turn is next; each with the index of its bar."""
        if self.error is not None:
            return
        try:
            with self._order.ahead_of_time(self._clock):
                self._take_ahead(islice(signals, len(self.answers), None), bars)
        except StopNow:
            raise
        except BaseException as error:
            self.error = error

    def pass_on(self, count: int) -> None:
        """The turn of so many signals has come."""
        for _ in range(count):
            self.answers.popleft()

    def _take_ahead(self, signals: Iterable[tuple[int, Signal]], bars: Block) -> None:
        handler, given, clock, answers = self._handler, self._given, self._clock, self.answers
        for at, signal in signals:
            clock.now_ns = bars[at].ts
            handler(signal)
            answers.append(given.copy())
            given.clear()
