"""Two moving averages of the close, and a signal when they cross."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field, model_validator

from bus.runtime.block import Block
from bus.runtime.component import Component, Parameters, handles
from schemas import Bar, Direction, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

CROSSED_ABOVE: Final = "fast average crossed above slow average"
CROSSED_BELOW: Final = "fast average crossed below slow average"

_UNITS_PER_PRICE: Final = 1e9
"""Prices are summed as whole numbers of 10**-9, because sums of whole numbers are exact.

A sum of floats that adds the newest price and subtracts the oldest keeps a rounding error of every bar that it ever
saw: it drifts and depends on where the data began. Units of a power of ten, because prices are decimal: averages of
9.5, 10.3 and 10.4 that tie on paper must tie here, not cross by the error of the binary fractions. Prices up to
9,000,000 keep all nine decimals.
"""

_MOST: Final = 2.0**61
"""Sums of this size and their differences still fit into 64 bits."""

# numpy is imported only where blocks of bars come: not in a process of its own.


class MovingAverageCrossoverParameters(Parameters):
    """`fast` and `slow` are numbers of bars. `symbols` limits the strategy to these (empty: all that there are)."""

    fast: int = Field(default=10, ge=1)
    slow: int = Field(default=30, ge=2)
    symbols: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fast_is_shorter(self) -> MovingAverageCrossoverParameters:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow}): both are numbers of bars")
        return self


class _Ahead:
    """What the closes of a block, from one of its bars on, do to the averages of their symbol.

    `next` is the index in the block of the bar that comes next, `crossing` that of the next one that makes them cross,
    or the block's length.
    """

    __slots__ = ("_first", "_gaps", "_known", "averages", "crossing", "crossings", "next", "whole")

    def __init__(
        self,
        averages: _Averages,
        whole: Block,
        first: int,
        known: NDArray[Any],
        gaps: NDArray[Any],
        crossings: list[int],
    ) -> None:
        self.averages = averages
        self.whole = whole
        self.next = self._first = first
        self._known = known
        """The closes before the first bar that was looked at, as many as the slow average has, and those from it on."""
        self._gaps = gaps
        self.crossings = iter(crossings)
        self.crossing = next(self.crossings, len(whole))

    def hand_back(self) -> None:
        """Let the averages have taken the closes before the next bar."""
        taken, averages = self.next - self._first, self.averages
        if taken:
            averages.gap = int(self._gaps[taken - 1])
            averages.closes.extend(self._known[taken : taken + averages.slow].tolist())


class _Averages:
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

    def ahead(self, block: Block, start: int) -> _Ahead | None:
        """Work out what the rest of a block will do; None where 64 bits may not be enough for it."""
        import numpy as np

        fast, slow = self.fast, self.slow
        prices = block.array("close")[start:] * _UNITS_PER_PRICE
        largest = max(float(np.abs(prices).max()), abs(max(self.closes)), abs(min(self.closes)))
        if not largest * fast * slow * len(prices) < _MOST:
            return None
        closes = np.rint(prices).astype(np.int64)
        known = np.concatenate((np.array(list(self.closes), np.int64), closes))
        gaps = np.cumsum(slow * (closes - known[slow - fast : -fast]) - fast * (closes - known[:-slow]))
        gaps += self.gap
        apart = np.flatnonzero(gaps)
        above = np.concatenate(([self.side > 0], gaps[apart] > 0))
        return _Ahead(self, block, start, known, gaps, (apart[above[1:] != above[:-1]] + start).tolist())


class MovingAverageCrossover(Component):
    """Signals BUY when the average of the last `fast` closes crosses above that of the last `slow`, SELL when below.

    Says nothing about a symbol until it has seen `slow` bars of it, and then a real cross: the side on which the
    averages are at first is not one.
    """

    component_type = "strategy"
    Parameters = MovingAverageCrossoverParameters
    emits = (Signal,)
    partition_by: ClassVar = {Bar: "symbol"}

    parameters: MovingAverageCrossoverParameters

    def reset(self) -> None:
        """Forget all closes."""
        self._symbols = frozenset(self.parameters.symbols)
        self._averages: dict[str, _Averages] = {}
        self._ahead: _Ahead | None = None

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        """Signal if this close makes the averages cross. On the hot path: most bars are of the block looked at."""
        ahead = self._ahead
        if ahead is not None and (index := ahead.next) < len(ahead.whole) and ahead.whole[index] is bar:
            ahead.next = index + 1
            if index != ahead.crossing:
                return
            ahead.crossing = next(ahead.crossings, len(ahead.whole))
            side = ahead.averages.side = -ahead.averages.side
        else:
            self._come_out()
            averages = self._averages.get(bar.symbol) or self._first_bar_of(bar.symbol)
            if averages is None or not averages.crossed(bar.close):
                return
            side = averages.side
        direction, reason = (Direction.BUY, CROSSED_ABOVE) if side > 0 else (Direction.SELL, CROSSED_BELOW)
        self.emit(Signal(bar.ts, bar.symbol, direction, 1.0, bar.close, reason=reason))

    def unanswered(self, bars: Block, start: int, _most: int) -> int:
        """How many bars, from `start` on, will make no averages cross; 0 also for bars of many symbols."""
        ahead = self._ahead
        if ahead is None or ahead.whole is not bars or ahead.next != start:
            self._come_out()
            symbol = bars.only("symbol")
            averages = self._averages.get(symbol)
            if averages is None:
                return len(bars) - start if symbol is not None and self._ignores(symbol) else 0
            ahead = self._ahead = averages.ahead(bars, start) if averages.side else None
            if ahead is None:
                return 0
        return ahead.crossing - start

    def on_block(self, bars: Block, _start: int, end: int) -> None:
        """Take bars of one symbol that make no averages cross."""
        ahead = self._ahead
        if ahead is not None and ahead.whole is bars:
            ahead.next = end

    def _come_out(self) -> None:
        """What comes next is not of the block that was looked at, or not known to be."""
        if self._ahead is not None:
            self._ahead.hand_back()
            self._ahead = None

    def _ignores(self, symbol: str) -> bool:
        return bool(self._symbols) and symbol not in self._symbols

    def _first_bar_of(self, symbol: str) -> _Averages | None:
        if self._ignores(symbol):
            return None
        averages = self._averages[symbol] = _Averages(self.parameters.fast, self.parameters.slow)
        return averages
