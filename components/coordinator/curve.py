"""Return and risk of an equity curve that comes in blocks, of any length in constant memory.

Elementwise arithmetic is numpy's, which IEEE 754 fixes to the bit; sums over a block are exact, so that no
result depends on a version of numpy or Python. Blocks are put together by the pairwise update of Chan,
Golub and LeVeque (1979), which loses nothing where the mean is large beside the deviation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from components.coordinator.exact import exact_sum

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_NS_PER_DAY = 24 * 3_600_000_000_000


@dataclass
class Moments:
    """Number, mean and sum of squared deviations from the mean of some values."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: Floats) -> None:
        """Take in more values."""
        count = len(values)
        if not count:
            return
        mean = exact_sum(values) / count
        deviations = values - mean
        self._put(count, mean, exact_sum(deviations * deviations))

    def add_zeros(self, count: int) -> None:
        """Take in so many values of 0.0."""
        if count:
            self._put(count, 0.0, 0.0)

    def _put(self, count: int, mean: float, squares: float) -> None:
        total, step = self.count + count, mean - self.mean
        if self.count:
            squares += self.squares + step * step * (self.count * count / total)
            mean = self.mean + step * (count / total)
        self.count, self.mean, self.squares = total, mean, squares

    def deviation(self, ddof: int = 0) -> float:
        """The root of the mean squared deviation; 0.0 of too few values."""
        return math.sqrt(self.squares / (self.count - ddof)) if self.count > ddof else 0.0

    def root_mean_square(self) -> float:
        """The root of the mean square of the values themselves; 0.0 of none."""
        return math.sqrt(self.squares / self.count + self.mean * self.mean) if self.count else 0.0


@dataclass
class Returns:
    """Simple returns from point to point, up to the point where nothing is left to earn a return on."""

    all: Moments = field(default_factory=Moments)
    negative: Moments = field(default_factory=Moments)
    losses: Moments = field(default_factory=Moments)
    """The negative returns, with 0.0 for every other."""
    positive: int = 0
    largest: float = 0.0
    """Of either sign."""
    _last: float | None = None

    def add(self, equity: Floats) -> None:
        """The next points."""
        points = equity if self._last is None else np.concatenate(([self._last], equity))
        self._last = float(points[-1])
        if 0 < points.min() == points.max():
            self.all.add_zeros(len(points) - 1)
            self.losses.add_zeros(len(points) - 1)
            return
        ruined = np.flatnonzero(points[:-1] <= 0)
        if len(ruined):
            points, self._last = points[: ruined[0] + 1], 0.0
        if len(points) < 2:
            return
        returns = points[1:] / points[:-1] - 1.0
        self.all.add(returns)
        self.negative.add(returns[returns < 0])
        self.losses.add(np.minimum(returns, 0.0))
        self.positive += int(np.count_nonzero(returns > 0))
        self.largest = max(self.largest, float(np.abs(returns).max()))


@dataclass
class Drawdown:
    """The largest fall from a peak as a positive fraction of it, the first of several that are equally deep.

    `peak`, `trough` and `recovery` are times, None without a fall; the recovery is the first point after it at the
    height of the peak, None if there is none.
    """

    depth: float = 0.0
    peak: int | None = None
    trough: int | None = None
    recovery: int | None = None
    _height: float = 0.0
    _highest: float = -math.inf
    _highest_ts: int = 0

    def add(self, ts: Ints, equity: Floats) -> None:
        """The next points."""
        least, most = float(equity.min()), float(equity.max())
        # No fall in here is deeper than that from the highest to the lowest point.
        shallow = least > 0 and 1.0 - least / max(self._highest, most) <= self.depth
        begin = 0 if shallow else self._deepen(ts, equity)
        if self.depth and self.recovery is None and most >= self._height:
            back = np.flatnonzero(equity[begin:] >= self._height)
            self.recovery = int(ts[begin + back[0]]) if len(back) else None
        if most >= self._highest:
            self._highest = most
            self._highest_ts = int(ts[np.flatnonzero(equity == most)[-1]])

    def _deepen(self, ts: Ints, equity: Floats) -> int:
        """Look for a deeper fall; where to look for its recovery."""
        peaks = np.maximum.accumulate(np.maximum(equity, self._highest))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            falls = np.where(peaks > 0, 1.0 - equity / peaks, 0.0)
        lowest = int(falls.argmax())
        if not falls[lowest] > self.depth:
            return 0
        self.depth, self._height = float(falls[lowest]), float(peaks[lowest])
        at_height = np.flatnonzero(equity[:lowest] == self._height)
        self.peak = int(ts[at_height[-1]]) if len(at_height) else self._highest_ts
        self.trough, self.recovery = int(ts[lowest]), None
        return lowest + 1


@dataclass
class Calendar:
    """The times of the points: on which days they are, and how many there are a day."""

    days: set[int] = field(default_factory=set)
    changes: int = 0
    last: int | None = None

    def add(self, ts: Ints) -> None:
        """The next times, ascending."""
        times = ts if self.last is None else np.concatenate(([self.last], ts))
        self.changes += int(np.count_nonzero(np.diff(times)))
        self.last = int(ts[-1])
        # Midnight is the end of a day: Friday's bar may close on it.
        days = (ts - 1) // _NS_PER_DAY
        self.days.update((int(days[0]), *days[1:][np.diff(days) != 0].tolist()))


@dataclass
class Sum:
    """Number and exact sum of values that come in blocks."""

    count: int = 0
    _parts: list[float] = field(default_factory=list)

    def add(self, values: Floats) -> None:
        """Take in more values."""
        self.count += len(values)
        self._parts.append(exact_sum(values))

    def mean(self) -> float:
        """The arithmetic mean; 0.0 of nothing."""
        return math.fsum(self._parts) / self.count if self.count else 0.0


@dataclass
class CurveAnalysis:
    """All that is gathered of an equity curve. `first` and `last` are its ends, 0.0 without points."""

    returns: Returns = field(default_factory=Returns)
    drawdown: Drawdown = field(default_factory=Drawdown)
    calendar: Calendar = field(default_factory=Calendar)
    equity: Sum = field(default_factory=Sum)
    exposure: Sum = field(default_factory=Sum)
    """Gross market value as a part of the equity, where that is above 0."""
    points: int = 0
    invested: int = 0
    """Points at which something is held."""
    first: float = 0.0
    last: float = 0.0

    def add(self, ts: Ints, equity: Floats, exposure: Floats) -> None:
        """The next points: times (ns UTC, ascending), equity, gross market value; equally long."""
        if not len(equity):
            return
        if not self.points:
            self.first = float(equity[0])
        self.last = float(equity[-1])
        self.points += len(equity)
        self.returns.add(equity)
        self.drawdown.add(ts, equity)
        self.calendar.add(ts)
        self.equity.add(equity)
        solvent = equity > 0
        if solvent.all():
            self.exposure.add(exposure / equity)
        else:
            self.exposure.add(exposure[solvent] / equity[solvent])
        self.invested += int(np.count_nonzero(exposure > 0))
