"""The equity curve until it is published, with almost no work while nothing is held."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas import EquityCurve

BLOCK = 4096


class Curve:
    """The points of the curve that are not published yet.

    Between two fills neither cash nor what is held changes: such a run of points is kept as its end, its cash and
    whether something is held. A point has a time (ns UTC), and a net market value if something is held; of points whose
    gross market value is another the gross one as well. These are lists, for a list takes a value in a tenth of the
    time in which an array does; checkpoints keep them short.
    """

    def __init__(self, block: int = BLOCK) -> None:
        self.times: list[int] = []
        self.values: list[float] = []
        """Net market values, of the points at which something is held."""
        self._hedged: list[tuple[int, float]] = []
        """Number of a point and its gross market value."""
        self._ends: list[int] = []
        self._cash: list[float] = []
        self._held = bytearray()
        """Of each run, 1 or 0."""
        self._settled = 0
        self._block = block

    def add(self, ts: int, gross: float, net: float) -> None:
        """One point at which something is held."""
        if gross != net and gross != -net:
            self._hedged.append((len(self.times), gross))
        self.times.append(ts)
        self.values.append(net)

    def settle(self, cash: float, held: object) -> None:
        """End the run of the points that came since the last call, at all of which this was so. `held` is what is."""
        points = len(self.times)
        if points > self._settled:
            self._ends.append(points)
            self._cash.append(cash)
            self._held.append(1 if held else 0)
            self._settled = points

    def take_blocks(self, rest: bool = False) -> list[EquityCurve]:
        """Take the points in full blocks, and what is left as another with `rest`; all of them are settled."""
        points, block = len(self.times), self._block
        taken = points if rest else points - points % block
        if not taken:
            return []
        lengths = np.diff(_array("q", self._ends), prepend=0)
        cash = np.repeat(_array("d", self._cash), lengths)
        held = np.repeat(np.frombuffer(bytes(self._held), bool), lengths)
        net = np.zeros(points)
        net[held] = _array("d", self.values)
        net += 0.0  # which makes -0.0 0.0
        gross = np.abs(net)
        for point, value in self._hedged:
            gross[point] = value
        parts = [slice(start, min(start + block, taken)) for start in range(0, taken, block)]
        blocks = [_curve_of(self.times[part], cash[part], gross[part], net[part]) for part in parts]
        self._forget(taken, int(np.count_nonzero(held[:taken])))
        return blocks

    def _forget(self, points: int, values: int) -> None:
        """The first points, which are published, and their values."""
        del self.times[:points], self.values[:values]
        self._hedged = [(point - points, value) for point, value in self._hedged if point >= points]
        runs = bisect_right(self._ends, points)
        self._ends = [end - points for end in self._ends[runs:]]
        del self._cash[:runs], self._held[:runs]
        self._settled -= points


def _array(code: str, values: Sequence[float]) -> NDArray[Any]:
    """Numbers of a list as an array; twice as fast as numpy's own way."""
    return np.frombuffer(struct.pack(f"{len(values)}{code}", *values), code)


def _curve_of(times: Sequence[int], cash: NDArray[Any], gross: NDArray[Any], net: NDArray[Any]) -> EquityCurve:
    columns = (cash + net, cash, gross, net)
    return EquityCurve(
        struct.pack(f"<{len(times)}q", *times), *(column.astype("<f8", copy=False).tobytes() for column in columns)
    )
