"""Who takes a message type in a run in one thread, and who of them must be handed every message at once."""

from __future__ import annotations

from bus.runtime.block import Block
from bus.runtime.component import Component, Handler
from bus.runtime.service import guarded
from schemas import Message
from schemas.registry import TYPE_IDS

_LEAST, _MOST = 32, 1024


class Outlook:
    """How many of the next messages are looked at: by those who can say which of them they will not answer, and before
    they are handed out one by one.

    More, the longer nothing was answered. Who may have answered the last message is handed the next one without being
    asked: it may answer them all. Who will not say anything is handed one message and asked again, then two, and so on.
    """

    __slots__ = ("answer", "foretold", "look", "patience")

    def __init__(self) -> None:
        self.look = _LEAST
        self.patience = 1
        """How many messages somebody is handed who would not say that it answers none of them."""
        self.answer: type[Message] | None = None
        """The type of the first answer to the last message, None where there was none."""
        self.foretold = False
        """Whether somebody may answer the next message: it said how many before it it would not."""

    def answered(self, answer: type[Message]) -> None:
        """A message was answered, first by one of this type."""
        self.look, self.answer, self.foretold = _LEAST, answer, False

    def unanswered(self) -> None:
        """None of the messages that were handed out was answered."""
        self.look, self.answer = min(2 * self.look, _MOST), None

    def told(self, count: int) -> int:
        """Somebody said that it will not answer so many messages; how many are handed out, by what it said.

        0 says nothing of any message.
        """
        if count:
            self.patience = 1
            self.foretold = count < self.look
            return count
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
        self._takers: list[tuple[Handler, Component | None, Handler]] = []
        """Handlers, and beside each the component and its way to take blocks; None where it has none."""

    def add(self, handler: Handler) -> None:
        """One more who takes the type."""
        self.handlers.append(handler)
        owner = getattr(handler, "__self__", None)
        if isinstance(owner, Component) and owner.on_block is not None:
            self._takers.append((handler, owner, guarded(owner, owner.on_block)))
        else:
            self._takers.append((handler, None, handler))

    def parted(
        self, run: Block, start: int, outlook: Outlook
    ) -> tuple[list[Handler], list[tuple[Handler, Handler]], int | None]:
        """Who must be handed every message from `start` on at once; who many of them later, one or a block; how many.

        None for all that there are.
        """
        if outlook.foretold:
            outlook.foretold = False
            return self.handlers, [], 1
        message_type = self.message_type
        at_once: list[Handler] = []
        later: list[tuple[Handler, Handler]] = []
        most = None
        for handler, owner, on_block in self._takers:
            if owner is None:
                at_once.append(handler)
            elif message_type in owner.quiet:
                later.append((handler, on_block))
            elif owner.unanswered is None:
                at_once.append(handler)
            elif outlook.answer in owner.emits:
                at_once.append(handler)
                most = 1
            else:
                count = owner.unanswered(run, start, outlook.look)
                if count:
                    later.append((handler, on_block))
                else:
                    at_once.append(handler)
                count = outlook.told(count)
                most = count if most is None else min(most, count)
        if at_once or most is None or start + most == len(run):
            outlook.foretold = False
        return at_once, later, most
