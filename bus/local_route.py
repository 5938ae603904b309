"""Who takes a message type in a run in one thread, and who of them must be handed every message at once."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Final, Protocol

from bus.runtime.block import Block
from bus.runtime.component import Component, Handler
from bus.runtime.service import guarded
from schemas import Message
from schemas.registry import TYPE_IDS

_LEAST, _MOST = 32, 1024
_STREAK: Final = 3
_COUNT: Final = itemgetter(0)


Taker = tuple[Handler, Callable[..., None]]
"""How a component takes one message, and many."""

Parting = tuple[list[Handler], list[Taker], list[Taker], int]
"""Who must be handed every message before a certain one, the last in this tuple, at once; else who may answer that one
but none before it; and who will answer none of all these."""


class Teller(Protocol):
    """Who can say beforehand what it will not answer, and takes many messages: a component, or what stands for one."""

    quiet: frozenset[type[Message]]

    def unanswered(self, block: Block, start: int, most: int, /) -> int:
        """See `Component.unanswered`."""

    def on_block(self, block: Block, start: int, end: int, /) -> None:
        """See `Component.on_block`."""


class Outlook:
    """How many of the next messages are looked at: by those who can say which of them they will not answer, and before
    they are handed out one by one.

    More, the longer nothing was answered. Who will not say anything is handed one message and asked again, then two,
    and so on. Nobody is asked about a message that is likely to be answered: after so many in a row that were, the next
    one was as well the last time.
    """

    __slots__ = ("_goes_on", "_streak", "is_busy", "look", "patience")

    def __init__(self) -> None:
        self.look = _LEAST
        self.patience = 1
        """How many messages somebody is handed who would not say that it answers none of them."""
        self.is_busy = False
        """Whether the next message is likely to be answered."""
        self._streak = 0
        """How many messages in a row were answered; from `_STREAK` on they are not counted."""
        self._goes_on = [False] * (_STREAK + 1)
        """By the length of a streak, whether the last one of that length went on."""

    def answered(self, alone: bool) -> None:
        """A message was answered, `alone` if others before it were not handed out with it."""
        self.look = _LEAST
        streak = self._streak if alone else 0
        self._goes_on[streak] = True
        if streak < _STREAK:
            streak += 1
        self._streak = streak
        self.is_busy = self._goes_on[streak]

    def unanswered(self) -> None:
        """None of the messages that were handed out was answered."""
        self.look = min(2 * self.look, _MOST)
        self._goes_on[self._streak] = self.is_busy = False
        self._streak = 0

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
        self._takers: list[tuple[Component | Teller | None, Callable[..., int] | None, Taker]] = []
        """Who takes blocks, what it says beforehand, and how it takes messages; None for whoever takes no blocks."""

    def add(self, handler: Handler, teller: Teller | None = None) -> None:
        """One more who takes the type; `teller` is what stands for it, if anything does."""
        self.handlers.append(handler)
        owner = getattr(handler, "__self__", None)
        if teller is not None:
            self._takers.append((teller, teller.unanswered, (handler, teller.on_block)))
        elif isinstance(owner, Component) and owner.on_block is not None:
            self._takers.append((owner, owner.unanswered, (handler, guarded(owner, owner.on_block))))
        else:
            self._takers.append((None, None, (handler, handler)))

    def parted(self, run: Block, start: int, outlook: Outlook) -> Parting:
        """Who is handed messages of a run from `start` on, and how."""
        if outlook.is_busy:
            return self.handlers, [], [], start + 1
        message_type = self.message_type
        at_once: list[Handler] = []
        later: list[Taker] = []
        told: list[tuple[int, Taker]] = []
        most, all_told = len(run) - start, True
        for owner, unanswered, taker in self._takers:
            if owner is None:
                at_once.append(taker[0])
            elif message_type in owner.quiet:
                later.append(taker)
            elif unanswered is None:
                at_once.append(taker[0])
            elif count := unanswered(run, start, outlook.look):
                told.append((count, taker))
            else:
                at_once.append(taker[0])
                most, all_told = min(most, outlook.be_patient()), False
        if told:
            if all_told:
                outlook.patience = 1
            return _heeding(told, at_once, later, start, most, outlook)
        return at_once, [], later, start + min(most, outlook.look) if at_once else start + most


def _heeding(
    told: list[tuple[int, Taker]], at_once: list[Handler], later: list[Taker], start: int, most: int, outlook: Outlook
) -> Parting:
    """The parting among components that have told how many messages they will not answer, and the others."""
    count, first = told[0] if len(told) == 1 else min(told, key=_COUNT)
    if at_once or count >= most or count == outlook.look:
        # They are not the first who may answer, or have looked no farther.
        count = min(count, most, outlook.look) if at_once else min(count, most)
        later += [taker for _, taker in told]
        return at_once, [], later, start + count
    if len(told) == 1:
        return [], [first], later, start + count
    later += [taker for one, taker in told if one > count]
    return [], [taker for one, taker in told if one == count], later, start + count
