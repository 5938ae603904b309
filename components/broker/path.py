"""The way a price is assumed to take inside a bar.

A bar tells four prices and not their order. The path fills that in with three straight legs: from the open to one
extreme, to the other extreme, to the close. A place on the path is a number from 0.0 (the open) to 3.0 (the close);
its whole part is the leg. The same number stands for the share of the bar's time that has gone by, a third a leg.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas import Bar

PathStyle = Literal["OHLC", "OLHC", "adaptive"]
"""Which extreme comes first; `adaptive`: the one nearer to the open, and the low when both are equally near."""

CLOSE = 3.0

NEGLIGIBLE = 0.01
"""What happens in this first part of a bar's time happens at its open: a bar does not tell more exactly."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where on a path, and the price there."""

    position: float
    price: float


class Path(msgspec.Struct, frozen=True, gc=False):
    """The four prices that the legs connect, in the order in which they are visited."""

    start: float
    first: float
    second: float
    end: float

    @property
    def prices(self) -> tuple[float, float, float, float]:
        """All four."""
        return self.start, self.first, self.second, self.end

    def at(self, position: float) -> Place:
        """The place at a position between 0.0 and 3.0."""
        if position == 0.0:
            return Place(0.0, self.start)
        leg = int(position)
        if leg >= 3:
            return Place(CLOSE, self.end)
        begin, end = self.prices[leg : leg + 2]
        return Place(position, begin + (end - begin) * (position - leg))

    def reach(self, level: float, here: Place, sign: int, strict: bool = False) -> float | None:
        """The first position, from `here` on, at which the price has come to `level`; None if it never does.

        With `sign` +1 the price has to be at or above the level, with -1 at or below it; if `strict`, it has to go
        beyond it, and the position is where it leaves the level behind.
        """
        if _beyond(here.price, level, sign, strict):
            return here.position
        prices = self.prices
        for leg in range(int(here.position), 3):
            if _beyond(prices[leg + 1], level, sign, strict):
                return max(here.position, leg + _share(prices[leg], prices[leg + 1], level))
        return None


def _beyond(price: float, level: float, sign: int, strict: bool) -> bool:
    distance = sign * (price - level)
    return distance > 0 if strict else distance >= 0


def _share(begin: float, end: float, level: float) -> float:
    """How far along the leg the level is; a strict level may be the very beginning of it."""
    return min(max((level - begin) / (end - begin), 0.0), 1.0)


def bar_path(bar: Bar, style: PathStyle) -> Path:
    """The path of a bar."""
    if style == "OHLC" or (style == "adaptive" and bar.high - bar.open < bar.open - bar.low):
        return Path(bar.open, bar.high, bar.low, bar.close)
    return Path(bar.open, bar.low, bar.high, bar.close)


def flat_path(price: float) -> Path:
    """The path of a single price: a quote's side, or a trade."""
    return Path(price, price, price, price)


def position_at(ts: int, bar_ts: int, interval: int) -> float:
    """Where on its path a bar is at time `ts`, given when it closes and how long it lasts (ns); 0.0 before it opens."""
    gone = ts - (bar_ts - interval)
    return CLOSE * gone / interval if gone > interval * NEGLIGIBLE and interval > 0 else 0.0
