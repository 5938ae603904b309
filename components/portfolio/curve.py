"""The equity curve until it is published, with almost no work while nothing is held."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas import EquityCurve

BLOCK = 4096


class Curve:
    """The points of the curve that are not published yet.

    Between two fills neither cash nor what is held changes: all that is kept of a point is its time (ns UTC), and a
    value if something is held: its net market value, or, where a run of points says so, a price. These are lists, for a
    list takes a value in a tenth of the time in which an array does; checkpoints keep them short.
    """

    def __init__(self, cash: float, block: int = BLOCK) -> None:
        self.times: list[int] = []
        """Of the points, and as the last one the time that is not over, whose point has no value yet."""
        self.values: list[float] = []
        self.runs = [1, cash, 0.0, 0.0]
        """Four numbers for each run: from the point of which number on, which is the length of `times` when it is the
        last one; the cash; and by which two, one after the other, values are multiplied: a quantity and a point value
        if they are prices, 1.0 and 1.0 if they are market values; 0.0 first if there are none."""
        self._gross: dict[int, float] = {}
        """Number of a point to its gross market value, where that is another than the net one."""
        self._block = block

    def add(self, gross: float, net: float) -> None:
        """The market values of the time that is over now."""
        if gross != net and gross != -net:
            self._gross[len(self.times)] = gross
        self.values.append(net)

    def take_blocks(self, rest: bool = False) -> list[EquityCurve]:
        """Take the points in full blocks, and what is left as another with `rest`."""
        points, block = max(len(self.times) - 1, 0), self._block
        taken = points if rest else points - points % block
        if not taken and len(self.runs) < 4 * block:
            return []
        times, runs = _array("q", self.times), _array("d", self.runs).reshape(-1, 4)
        starts = runs[:, 0].astype(int) - 1
        lengths = np.diff(starts, append=points)
        cash, first, second = (np.repeat(column, lengths) for column in runs.T[1:])
        net = np.zeros(points)
        net[first != 0.0] = _array("d", self.values)
        net *= first
        net *= second
        net += 0.0  # which makes -0.0 0.0
        gross = np.abs(net)
        gross[_array("q", self._gross) - 1] = _array("d", self._gross.values())
        parts = [slice(start, min(start + block, taken)) for start in range(0, taken, block)]
        blocks = [_curve_of(times[part], cash[part], gross[part], net[part]) for part in parts]
        self.runs = _after(taken, runs[np.append(lengths[:-1] > np.maximum(taken - starts[:-1], 0), True)])
        self._gross = {number - taken: value for number, value in self._gross.items() if number > taken}
        del self.times[:taken], self.values[: np.count_nonzero(first[:taken])]
        return blocks


def _after(points: int, runs: NDArray[np.float64]) -> list[float]:
    """Runs when the first points are forgotten."""
    runs[:, 0] = np.maximum(runs[:, 0] - points, 1)
    return runs.ravel().tolist()


def _array(code: str, values: Collection[float]) -> NDArray[Any]:
    """Numbers as an array; of a list twice as fast as numpy's own way."""
    return np.frombuffer(struct.pack(f"{len(values)}{code}", *values), code)


def _curve_of(times: NDArray[Any], cash: NDArray[Any], gross: NDArray[Any], net: NDArray[Any]) -> EquityCurve:
    columns = (cash + net, cash, gross, net)
    return EquityCurve(
        times.astype("<i8", copy=False).tobytes(),
        *(column.astype("<f8", copy=False).tobytes() for column in columns),
    )
