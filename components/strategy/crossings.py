"""Two moving averages of each symbol, bar by bar or for a block at once, and where they cross."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from bus.runtime.block import Block

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNITS_PER_PRICE: Final = 1e9
"""Prices are summed as whole numbers of 10**-9, because sums of whole numbers are exact.

A sum of floats that adds the newest price and subtracts the oldest keeps a rounding error of every bar that it ever
saw: it drifts and depends on where the data began. Units of a power of ten, because prices are decimal: averages of
9.5, 10.3 and 10.4 that tie on paper must tie here, not cross by the error of the binary fractions. Prices up to
9,000,000 keep all nine decimals.
"""

_MOST: Final = 2.0**61
"""Sums of this size and their differences still fit into 64 bits."""
_FEW: Final = 32
_ENOUGH: Final = 8
_CLOSES_A_BAR: Final = 8
"""Fewer bars of several symbols are quicker taken one by one; also with fewer of each symbol, on average, or with so
many closes of the slow average to each bar."""

# numpy is imported only where blocks of bars come: not in a process of its own.


class Averages:
    """The last `slow` closes of one symbol, and how far the average of the last `fast` is above that of all of them.

    `gap` is that times `fast` times `slow`, so that no division rounds. A close changes it by differences of closes.
    While bars come from a block that was looked at, these stay as they were before it.
    """

    __slots__ = ("closes", "fast", "gap", "side", "slow")

    def __init__(self, fast: int, slow: int) -> None:
        self.fast = fast
        self.slow = slow
        self.closes: deque[int] = deque(maxlen=slow)
        self.gap = 0
        self.side = 0

    def crossed(self, close: float) -> bool:
        """Take the next close: whether the fast average, now at `side`, crossed the slow one.

        Averages that touch and part on the same side have not crossed, nor have those seen for the first time.
        """
        gap, before = self._gap_with(close), self.side
        if gap:
            self.side = 1 if gap > 0 else -1
        return self.side == -before != 0

    def _gap_with(self, close: float) -> int:
        """The gap with one more close; 0 while there are too few."""
        units, closes, fast, slow = round(close * _UNITS_PER_PRICE), self.closes, self.fast, self.slow
        if len(closes) == slow:
            self.gap += slow * (units - closes[-fast]) - fast * (units - closes[0])
            closes.append(units)
        else:
            closes.append(units)
            if len(closes) == slow:
                self.gap = slow * sum(list(closes)[-fast:]) - fast * sum(closes)
        return self.gap


class Ahead:
    """What the closes of a block, from one of its bars on, do to the averages of their symbols.

    `next` is the index in the block of the bar that comes next, `crossing` that of the next one that makes averages
    cross, or the block's length.
    """

    __slots__ = ("_closes", "_gaps", "_parts", "crossing", "crossings", "next", "whole")

    def __init__(
        self,
        whole: Block,
        first: int,
        parts: Sequence[tuple[Averages, NDArray[Any]]],
        closes: NDArray[Any],
        gaps: NDArray[Any],
        crossings: list[int],
    ) -> None:
        self.whole = whole
        self.next = first
        self._parts = parts
        """Averages, and the indexes of their bars."""
        self._closes = closes
        """Part by part, the closes before the first of these, as many as the slow average has, and those from it on."""
        self._gaps = gaps
        """Part by part, the gap after each bar."""
        self.crossings = iter(crossings)
        self.crossing = next(self.crossings, len(whole))

    def hand_back(self) -> None:
        """Let the averages have taken the closes before the next bar."""
        first_close = first_gap = 0
        for averages, indexes in self._parts:
            taken, slow = int(indexes.searchsorted(self.next)), averages.slow
            if taken:
                averages.gap = int(self._gaps[first_gap + taken - 1])
                new = self._closes[first_close + max(slow, taken) : first_close + slow + taken]
                averages.closes.extend(new.tolist())
            first_gap += len(indexes)
            first_close += slow + len(indexes)


def look_ahead(block: Block, start: int, followed: Mapping[str, Averages], slow: int) -> Ahead | None:
    """Work out what the bars of a block from `start` on will do to the averages, by symbol, that it has bars for.

    None where that would take longer than bar by bar, where averages have no side yet, be it of one symbol, or where 64
    bits may not be enough. All averages have the same windows, of which `slow` is the longer one.
    """
    import numpy as np

    if len(followed) > 1 and len(block) - start < max(_FEW, max(_ENOUGH, slow // _CLOSES_A_BAR) * len(followed)):
        return None
    places = block.places("symbol")
    found = [(averages, places[symbol]) for symbol, averages in followed.items()]
    if start:
        found = [(averages, indexes[indexes.searchsorted(start) :]) for averages, indexes in found]
    parts = [(averages, indexes) for averages, indexes in found if len(indexes)]
    if not parts:
        return Ahead(block, start, parts, np.zeros(0), np.zeros(0), [])
    if not all(averages.side for averages, _ in parts):
        return None
    with np.errstate(all="ignore"):  # as bar by bar, whatever numbers these are
        return _looked(block, start, parts)


def _looked(block: Block, start: int, parts: Sequence[tuple[Averages, NDArray[Any]]]) -> Ahead | None:
    import numpy as np

    fast, slow = parts[0][0].fast, parts[0][0].slow
    at = np.concatenate([indexes for _, indexes in parts])
    before = list(chain.from_iterable(averages.closes for averages, _ in parts))
    prices, least, most = block.array("close")[at] * _UNITS_PER_PRICE, min(before), max(before)
    largest = max(float(np.abs(prices).max()), most, -least)
    if not largest * fast * slow * len(at) < _MOST:
        return None
    new, lengths = np.rint(prices).astype(np.int64), np.array([len(indexes) for _, indexes in parts])
    firsts, shifts = np.cumsum(lengths) - lengths, slow * np.arange(len(parts))
    places = np.arange(slow, slow + len(at)) + np.repeat(shifts, lengths)
    closes = np.empty(len(at) + len(before), np.int64)
    closes[places] = new
    closes[((firsts + shifts)[:, None] + np.arange(slow)).ravel()] = before
    moved = np.cumsum(slow * (new - closes[places - fast]) - fast * (new - closes[places - slow]))
    begin = np.array([averages.gap for averages, _ in parts]) - np.append(0, moved)[firsts]
    gaps = moved + np.repeat(begin, lengths)
    crossings = at[_changes(gaps, firsts, [averages.side > 0 for averages, _ in parts])]
    return Ahead(block, start, parts, closes, gaps, np.sort(crossings).tolist())


def _changes(gaps: NDArray[Any], firsts: NDArray[Any], was_above: list[bool]) -> NDArray[Any]:
    """The numbers of the bars at which a part's gap is on another side than before; at first it was on these."""
    import numpy as np

    apart = np.flatnonzero(gaps)
    above = gaps[apart] > 0
    before = np.append(False, above)
    # A part that is never apart has the next one's place. Of values for one place numpy keeps the last, as it says.
    before[apart.searchsorted(firsts)] = was_above
    changes: NDArray[Any] = apart[above != before[:-1]]
    return changes
