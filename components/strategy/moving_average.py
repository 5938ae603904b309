"""Two moving averages of the close, and a signal when they cross."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Final

from pydantic import Field, model_validator

from bus.runtime.component import Component, Parameters, handles
from schemas import Bar, Direction, Signal

CROSSED_ABOVE: Final = "fast average crossed above slow average"
CROSSED_BELOW: Final = "fast average crossed below slow average"

_UNITS_PER_PRICE: Final = 1e9
"""Prices are summed as whole numbers of 10**-9, because sums of whole numbers are exact.

A sum of floats that adds the newest price and subtracts the oldest keeps a rounding error of every bar that it ever
saw: it drifts and depends on where the data began. Units of a power of ten, because prices are decimal: averages of
9.5, 10.3 and 10.4 that tie on paper must tie here, not cross by the error of the binary fractions. Prices up to
9,000,000 keep all nine decimals.
"""


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


class _Averages:
    """The last `slow` closes of one symbol, and how far the average of the last `fast` is above that of all of them.

    `gap` is that times `fast` times `slow`, so that no division rounds. A close changes it by differences of closes.
    """

    __slots__ = ("closes", "fast", "gap", "side", "slow")

    def __init__(self, fast: int, slow: int) -> None:
        self.fast = fast
        self.slow = slow
        self.closes: deque[int] = deque()
        self.gap = 0
        self.side = 0

    def crossed(self, close: float) -> int:
        """Take the next close: +1 when the fast average crossed above the slow one, -1 below, else 0.

        Averages that touch and part on the same side have not crossed, nor have those seen for the first time.
        """
        units, closes, fast, slow = round(close * _UNITS_PER_PRICE), self.closes, self.fast, self.slow
        closes.append(units)
        if len(closes) > slow:
            gap = self.gap + slow * (units - closes[-1 - fast]) - fast * (units - closes.popleft())
        elif len(closes) == slow:
            gap = slow * sum(list(closes)[-fast:]) - fast * sum(closes)
        else:
            return 0
        self.gap = gap
        if gap > 0:
            before, self.side = self.side, 1
            return 1 if before < 0 else 0
        if gap < 0:
            before, self.side = self.side, -1
            return -1 if before > 0 else 0
        return 0


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

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        """Signal if this close makes the averages cross."""
        averages = self._averages.get(bar.symbol) or self._first_bar_of(bar.symbol)
        if averages is None:
            return
        crossed = averages.crossed(bar.close)
        if crossed:
            direction, reason = (Direction.BUY, CROSSED_ABOVE) if crossed > 0 else (Direction.SELL, CROSSED_BELOW)
            self.emit(Signal(bar.ts, bar.symbol, direction, 1.0, bar.close, reason=reason))

    def _first_bar_of(self, symbol: str) -> _Averages | None:
        if self._symbols and symbol not in self._symbols:
            return None
        averages = self._averages[symbol] = _Averages(self.parameters.fast, self.parameters.slow)
        return averages
