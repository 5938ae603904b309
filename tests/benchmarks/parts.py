"""Components for benchmarks: synthetic minute bars, a strategy that does nothing, one that trades on every bar."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from pydantic import Field

from bus.runtime.component import Component, Parameters, Source, handles
from schemas import Bar, Direction, Message, Signal

_MINUTE_NS = 60_000_000_000
_START_NS = 1_577_923_200_000_000_000
_BLOCK = 4096


class MinuteBars(Source):
    """A seeded random walk in steps of a cent, one bar a minute, made block by block."""

    class Parameters(Parameters):
        count: int = Field(default=100_000, ge=0)
        symbol: str = "SYN"
        seed: int = 7

    component_type = "data_handler"
    emits = (Bar,)

    def blocks(self) -> Iterable[list[Message]]:
        draw = random.Random(self.parameters.seed).gauss
        symbol, close = self.parameters.symbol, 100.0
        for first in range(0, self.parameters.count, _BLOCK):
            block: list[Message] = []
            for n in range(first, min(first + _BLOCK, self.parameters.count)):
                opened = close
                close = round(max(1.0, opened + draw(0.0, 0.05)), 2)
                high = round(max(opened, close) + 0.02, 2)
                low = round(min(opened, close) - 0.02, 2)
                volume = float(10_000 + int(math.fabs(draw(0.0, 1000.0))))
                block.append(Bar(_START_NS + n * _MINUTE_NS, symbol, opened, high, low, close, volume))
            yield block

    @property
    def total(self) -> int:
        return self.parameters.count


class Empty(Component):
    """Takes every bar and does nothing."""

    component_type = "strategy"
    emits = (Signal,)

    @handles(Bar)
    def on_bar(self, _: Bar) -> None:
        return


class EveryBar(Component):
    """One market order a bar: buys and sells in turn."""

    component_type = "strategy"
    emits = (Signal,)

    def reset(self) -> None:
        self.long = False

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.long = not self.long
        direction = Direction.BUY if self.long else Direction.SELL
        self.emit(Signal(bar.ts, bar.symbol, direction, 1.0, bar.close))
