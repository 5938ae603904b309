"""Who takes part in a topology, and who takes what: whether all that would come of a stretch of bars is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bus.express import Stretch
from bus.runtime.block import Block
from bus.runtime.component import Component
from bus.topics import Wiring
from components.broker.simulated import SimulatedBroker
from components.coordinator.coordinator import BacktestCoordinator
from components.order_manager.order_manager import OrderManager
from components.portfolio.portfolio import Portfolio
from schemas import Bar, Message

OURS: Final[Mapping[str, type[Component]]] = {
    "broker": SimulatedBroker,
    "order_manager": OrderManager,
    "portfolio": Portfolio,
    "coordinator": BacktestCoordinator,
}
"""By component type, those of which it is known what they do with orders."""
AHEAD: Final = 4096
"""So many bars are looked at ahead, at most."""
TIMES: Final = range(2**32, 2**63)
"""Times (ns UTC) that take as much room in a record, all of them."""
_MOST_PATIENT: Final = 256
"""So many calls at most are let pass after one of which nothing came."""
_LEAST: Final = 64


def components_by_type(wiring: Wiring, kinds: Mapping[str, type | None]) -> dict[str, Any] | None:
    """The one component of each of these types; None if there is not one of each, or not of exactly this class.

    Subclasses may do anything. The class is None where it does not matter.
    """
    found: dict[str, Any] = {}
    for member in wiring.members:
        kind = member.component.component_type
        if kind in kinds:
            if kind in found or kinds[kind] not in (None, type(member.component)):
                return None
            found[kind] = member.component
    return found if found.keys() == kinds.keys() else None


def take_nothing_else(wiring: Wiring, takers: Mapping[type[Message], frozenset[str]]) -> bool:
    """Whether messages are taken by one component of each of these types, and by no others."""
    for message_type, kinds in takers.items():
        found = [m.component.component_type for m in wiring.members if message_type in m.component.handlers()]
        if len(found) != len(kinds) or set(found) != kinds:
            return False
    return True


def sources_by_type(wiring: Wiring) -> dict[str, int]:
    """The ids of the components by their types."""
    return {member.component.component_type: member.source_id for member in wiring.members}


def symbol_of(bars: Block, start: int) -> str | None:
    """The symbol of bars that may be taken together from `start` on; None if there are several, or it is hard to say.

    Each of them comes at a time of its own.
    """
    symbol = bars.only("symbol") if bars.message_type is Bar else None
    return symbol if symbol and 0 not in bars.gaps and bars[start].ts in TIMES else None


class Patience:
    """How often it is tried to take bars together, and how many signals are looked at for it.

    More and more seldom while it is in vain; more and more signals while they all go.
    """

    def __init__(self) -> None:
        self.most = _LEAST
        """So many signals are looked at, at most."""
        self._wait = 0
        """So many calls are let pass before it is tried again."""
        self._patience = 1

    def attempt(self, take: Callable[[Block, int], Stretch | None], bars: Block, start: int) -> Stretch | None:
        """What comes of an attempt to take a stretch of bars; None also when none is made."""
        if self._wait:
            self._wait -= 1
            return None
        stretch = take(bars, start)
        if stretch is None:
            self._wait, self._patience = self._patience, min(2 * self._patience, _MOST_PATIENT)
            self.most = _LEAST
        else:
            self._patience = 1
        return stretch

    def heard(self, count: int, to_the_end: bool) -> None:
        """So many signals can go together, and those are all there are `to_the_end` of what is known."""
        if count >= self.most:
            self.most *= 2
        elif not to_the_end:
            self.most = max(2 * count, _LEAST)
