"""A way to take many messages together, and all that they bring about, in place of one after another.

Somebody who knows all the components of a topology may know what a stretch of bars brings about. The local bus asks
before it hands out the bars one by one; the way of single messages is the definition, and has the same outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from bus.foresight import Foresight
from bus.respondent import Respondent
from bus.runtime.block import Block
from bus.runtime.component import Component
from bus.topics import Wiring
from schemas import Message

if TYPE_CHECKING:
    from bus.stretch_records import Pattern


class Stretch(NamedTuple):
    """Bars of one symbol that all components have taken, up to before `end`, and what came of them.

    `counts` are the answers by type; `happened` is what the express knows of it.
    """

    end: int
    symbol: str
    counts: Mapping[type[Message], int]
    happened: Any


class Express(Protocol):
    """Takes stretches of bars. `strategy` is looked ahead of, and so is its `respondent`, if it has one: who takes its
    signals.

    What comes of a stretch may be `untold`: nobody can be handed messages of these types.
    """

    strategy: Component
    untold: frozenset[type[Message]]

    @property
    def respondent(self) -> Component | None:
        """Who is looked ahead of as well."""

    def board(self, foresight: Foresight, respondent: Respondent | None, is_logged: bool) -> None:
        """The run begins: every component has been initialized. Says what stands for those that are looked ahead of,
        and whether there is a log."""

    def stretch(self, bars: Block, start: int) -> Stretch | None:
        """Let all components take bars from `start` on; None if that is not possible, or not worth the while."""

    def messages(self, message_type: type[Message], happened: Any) -> Iterable[Message]:
        """The messages of a type that came of a stretch."""

    def patterns(self, stretches: Sequence[tuple[int, Any]]) -> Sequence[Pattern]:
        """What a log needs to know of stretches that followed each other.

        Of each, how much less than in its block a bar's index is among the bars of all, and what happened.
        """


Compose = Callable[[Wiring], Express | None]
"""Gives the express of a topology, if it has one. Called before its components are initialized."""


def no_express(_wiring: Wiring) -> Express | None:
    """All goes one by one."""
    return None
