"""Two moving averages of the close, and a signal when they cross."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from pydantic import Field, model_validator

from bus.runtime.block import Block
from bus.runtime.component import Component, Parameters, handles
from components.strategy.crossings import Ahead, Averages, look_ahead
from schemas import Bar, Direction, Signal

CROSSED_ABOVE: Final = "fast average crossed above slow average"
CROSSED_BELOW: Final = "fast average crossed below slow average"


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
        self._averages: dict[str, Averages] = {}
        self._ahead: Ahead | None = None
        self._unknown: tuple[Block, int] | None = None
        """A block that was looked at in vain, and from which of its bars on it may be looked at again."""

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        """Signal if this close makes the averages cross. On the hot path: most bars are of the block looked at."""
        ahead = self._ahead
        if ahead is not None and (index := ahead.next) < len(ahead.whole) and ahead.whole[index] is bar:
            ahead.next = index + 1
            if index != ahead.crossing:
                return
            ahead.crossing = next(ahead.crossings, len(ahead.whole))
            averages = self._averages[bar.symbol]
            averages.side = -averages.side
        else:
            self._come_out()
            found = self._averages.get(bar.symbol) or self._first_bar_of(bar.symbol)
            if found is None or not found.crossed(bar.close):
                return
            averages = found
        direction, reason = (Direction.BUY, CROSSED_ABOVE) if averages.side > 0 else (Direction.SELL, CROSSED_BELOW)
        self.emit(Signal(bar.ts, bar.symbol, direction, 1.0, bar.close, reason=reason))

    def unanswered(self, bars: Block, start: int, _most: int) -> int:
        """How many bars, from `start` on, will make no averages cross; 0 also where that is not known."""
        ahead = self._ahead
        if ahead is None or ahead.whole is not bars or ahead.next != start:
            self._come_out()
            if self._unknown is not None and self._unknown[0] is bars and start < self._unknown[1]:
                return 0
            symbols = bars.distinct("symbol")
            ahead = self._ahead = self._look_ahead(bars, start, symbols)
            if ahead is None:
                # About when each symbol has been seen so often that its averages are known.
                self._unknown = bars, start + self.parameters.slow * len(symbols)
                return 0
        return ahead.crossing - start

    def on_block(self, bars: Block, _start: int, end: int) -> None:
        """Take bars that make no averages cross."""
        ahead = self._ahead
        if ahead is not None and ahead.whole is bars:
            ahead.next = end

    def _look_ahead(self, bars: Block, start: int, symbols: Iterable[str]) -> Ahead | None:
        """What the bars from `start` on will do, if it can be told of all of them."""
        averages: dict[str, Averages] = {}
        for symbol in symbols:
            if symbol in self._averages:
                averages[symbol] = self._averages[symbol]
            elif not self._ignores(symbol):
                return None
        return look_ahead(bars, start, averages, self.parameters.slow)

    def _come_out(self) -> None:
        """What comes next is not of the block that was looked at, or not known to be."""
        if self._ahead is not None:
            self._ahead.hand_back()
            self._ahead = None

    def _ignores(self, symbol: str) -> bool:
        return bool(self._symbols) and symbol not in self._symbols

    def _first_bar_of(self, symbol: str) -> Averages | None:
        if self._ignores(symbol):
            return None
        averages = self._averages[symbol] = Averages(self.parameters.fast, self.parameters.slow)
        return averages
