"""The equity curve in memory: 40 bytes a point, and almost no work while nothing is held."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from schemas import EquityCurve

_BLOCK = 4096


class Curve:
    """Columns of equity, cash, gross and net exposure, one entry a time.

    While nothing is held every value stays what it is. So a flat account only appends to `times`, and `hold` fills the
    columns up with the unchanging values once that is over.
    """

    def __init__(self) -> None:
        self.times = array("q")
        self.equity = array("d")
        self.cash = array("d")
        self.exposure = array("d")
        self.net_exposure = array("d")

    def add(self, ts: int, cash: float, gross: float, net: float) -> None:
        """One point of an account that holds something."""
        self.times.append(ts)
        self.equity.append(cash + net)
        self.cash.append(cash)
        self.exposure.append(gross)
        self.net_exposure.append(net)

    def hold(self, cash: float) -> None:
        """Give all times without values those of an account that holds nothing but `cash`."""
        missing = len(self.times) - len(self.equity)
        if missing:
            self.equity.extend(array("d", [cash]) * missing)
            self.cash.extend(array("d", [cash]) * missing)
            self.exposure.extend(array("d", [0.0]) * missing)
            self.net_exposure.extend(array("d", [0.0]) * missing)

    def blocks(self) -> Iterator[EquityCurve]:
        """The whole curve, in blocks of at most 4,096 points."""
        columns = (self.equity, self.cash, self.exposure, self.net_exposure)
        for start in range(0, len(self.times), _BLOCK):
            part = slice(start, start + _BLOCK)
            yield EquityCurve(tuple(self.times[part]), *(tuple(column[part]) for column in columns))
