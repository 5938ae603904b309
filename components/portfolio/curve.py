"""The equity curve, 32 bytes a point until it is published."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas import EquityCurve

BLOCK = 4096


class Curve:
    """Columns of cash, gross and net exposure, one entry a time (ns UTC), of what is not published yet."""

    def __init__(self) -> None:
        self.times = array("q")
        self.cash = array("d")
        self.exposure = array("d")
        self.net_exposure = array("d")

    def add(self, ts: int, cash: float, gross: float, net: float) -> None:
        """One point."""
        self.times.append(ts)
        self.cash.append(cash)
        self.exposure.append(gross)
        self.net_exposure.append(net)

    def add_many(self, times: Sequence[int], cash: float, values: Sequence[float]) -> None:
        """Points of an account that holds one position, with its signed market values."""
        self.times.extend(times)
        self.cash.extend(array("d", [cash]) * len(values))
        self.exposure.extend(map(abs, values))
        self.net_exposure.extend(values)

    def add_flat(self, times: Sequence[int], cash: float) -> None:
        """Points of an account that holds nothing but cash."""
        self.times.extend(times)
        self.cash.extend(array("d", [cash]) * len(times))
        zeros = bytes(self.exposure.itemsize * len(times))
        self.exposure.frombytes(zeros)
        self.net_exposure.frombytes(zeros)

    def take_blocks(self, least: int = BLOCK) -> list[EquityCurve]:
        """Take the points in blocks of 4,096 as long as there are at least `least`."""
        points = len(self.times)
        taken = points if least <= points % BLOCK else points - points % BLOCK
        if not taken:
            return []
        given = [np.array(column) for column in (self.times, self.cash, self.exposure, self.net_exposure)]
        for column in (self.times, self.cash, self.exposure, self.net_exposure):
            del column[:taken]
        times, cash, gross, net = (column[:taken] for column in given)
        net += 0.0  # -0.0 becomes 0.0
        columns = (times, cash + net, cash, gross, net)
        return [
            EquityCurve(*(_packed(column[start : start + BLOCK]) for column in columns))
            for start in range(0, taken, BLOCK)
        ]


def _packed(values: NDArray[Any]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
