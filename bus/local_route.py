"""Who takes a message type in a run in one thread, and who of them must be handed every message at once."""

from __future__ import annotations

from collections.abc import Callable

from bus.runtime.block import Block
from bus.runtime.component import Component, Handler
from bus.runtime.service import guarded
from schemas import Message
from schemas.registry import TYPE_IDS

_LEAST, _MOST = 32, 1024


Taker = tuple[Handler, Callable[..., None]]
"""How a component takes one message, and many."""

Parting = tuple[list[Handler], list[Taker], list[Taker], int]
"""Who must be handed every message before a certain one, the last in this tuple, at once; else who may answer that one
but none before it; and who will answer none of all these."""


class Outlook:
    """How many of the next messages are looked at: by those who can say which of them they will not answer, and before
    they are handed out one by one.

    More, the longer nothing was answered. Who may have answered the last message is handed the next one without being
    asked: it may answer them all. Who will not say anything is handed one message and asked again, then two, and so on.
    """

    __slots__ = ("answer", "look", "patience")

    def __init__(self) -> None:
        self.look = _LEAST
        self.patience = 1
        """How many messages somebody is handed who would not say that it answers none of them."""
        self.answer: type[Message] | None = None
        """The type of the first answer to the last message, None where there was none."""

    def answered(self, answer: type[Message]) -> None:
        """A message was answered, first by one of this type."""
        self.look, self.answer = _LEAST, answer

    def unanswered(self) -> None:
        """None of the messages that were handed out was answered."""
        self.look, self.answer = min(2 * self.look, _MOST), None

    def be_patient(self) -> int:
        """How many messages are handed to somebody who said nothing of any."""
        patience = self.patience
        self.patience = min(2 * patience, _MOST)
        return patience


class Route:
    """The way of one message type: who takes it, in rank order, and how many there have been."""

    __slots__ = ("_takers", "count", "handlers", "message_type", "type_id")

    def __init__(self, message_type: type[Message]) -> None:
        self.message_type = message_type
        self.type_id = TYPE_IDS[message_type]
        self.handlers: list[Handler] = []
        self.count = 0
        self._takers: list[tuple[Component | None, Callable[..., int] | None, Taker]] = []
        """Who takes blocks, what it says beforehand, and how it takes messages; None for whoever takes no blocks."""

    def add(self, handler: Handler) -> None:
        """One more who takes the type."""
        self.handlers.append(handler)
        owner = getattr(handler, "__self__", None)
        if isinstance(owner, Component) and owner.on_block is not None:
            self._takers.append((owner, owner.unanswered, (handler, guarded(owner, owner.on_block))))
        else:
            self._takers.append((None, None, (handler, handler)))

    def parted(self, run: Block, start: int, outlook: Outlook) -> Parting:
        """Who is handed messages of a run from `start` on, and how."""
        message_type = self.message_type
        at_once: list[Handler] = []
        later: list[Taker] = []
        told: list[tuple[int, Taker]] = []
        most = len(run) - start
        for owner, unanswered, taker in self._takers:
            if owner is None:
                at_once.append(taker[0])
            elif message_type in owner.quiet:
                later.append(taker)
            elif unanswered is None:
                at_once.append(taker[0])
            elif outlook.answer in owner.emits:
                at_once.append(taker[0])
                most = 1
            elif count := unanswered(run, start, outlook.look):
                told.append((count, taker))
            else:
                at_once.append(taker[0])
                most = min(most, outlook.be_patient())
        if told:
            return _heeding(told, at_once, later, start, most, outlook)
        return at_once, [], later, start + min(most, outlook.look) if at_once else start + most


def _heeding(
    told: list[tuple[int, Taker]], at_once: list[Handler], later: list[Taker], start: int, most: int, outlook: Outlook
) -> Parting:
    """The parting among components that have told how many messages they will not answer, and the others."""
    outlook.patience = 1
    count = told[0][0] if len(told) == 1 else min([count for count, _ in told])
    if at_once or count >= most or count == outlook.look:
        # They are not the first who may answer, or have looked no farther.
        count = min(count, most, outlook.look) if at_once else min(count, most)
        return at_once, [], [*later, *[taker for _, taker in told]], start + count
    ready = [taker for one, taker in told if one == count]
    return [], ready, [*later, *[taker for one, taker in told if one > count]], start + count
