"""What a run gave, in the same words for every implementation, and how two of them differ."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

TOLERANCE: Final = 1e-6
"""In money; prices are compared by it too."""

WORKING, FILLED, CANCELLED, EXPIRED = "working", "filled", "cancelled", "expired"


class Costs(NamedTuple):
    """`commission` and `slippage` are fractions of the price; `within_bar` keeps slippage inside the bar's range."""

    commission: float = 0.001
    slippage: float = 0.0
    within_bar: bool = False


class Execution(NamedTuple):
    """An order's one fill; `side` is +1 for a buy. The bar is known by symbol and day."""

    symbol: str
    day: dt.date
    side: int
    quantity: float
    price: float
    commission: float


class Point(NamedTuple):
    """The account at the end of a day."""

    day: dt.date
    cash: float
    equity: float


@dataclass
class Outcome:
    """Everything that is compared; executions and final states by order."""

    executions: dict[str, Execution] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)

    @property
    def end(self) -> Point:
        """The account after the last bar."""
        return self.curve[-1]


def differences(ours: Outcome, theirs: Outcome) -> list[str]:
    """Every fill, final state and point of the equity curve that is not the same, a sentence each."""
    return [
        *_unlike("execution", ours.executions, theirs.executions),
        *_unlike("state", ours.states, theirs.states),
        *_unlike("account", _by_day(ours), _by_day(theirs)),
    ]


def changed(one: Outcome, other: Outcome) -> set[str]:
    """The orders that fill in one and not, or on another day or at another price, in the other."""
    names = one.executions.keys() | other.executions.keys()
    return {name for name in names if not _alike(one.executions.get(name), other.executions.get(name))}


def _by_day(outcome: Outcome) -> dict[str, Point]:
    return {f"{point.day}": point for point in outcome.curve}


def _unlike(what: str, ours: dict[str, object], theirs: dict[str, object]) -> Iterator[str]:
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name), theirs.get(name)
        if not _alike(one, other):
            yield f"{what} {name}: {one} here, {other} there"


def _alike(one: object, other: object) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= TOLERANCE
    return one == other
