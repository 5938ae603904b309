"""The equity curve, 40 bytes a point until it is published, and almost no work while nothing is held."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

from schemas import EquityCurve
from schemas.base import pack_column

BLOCK = 4096


class Curve:
    """Columns of equity, cash, gross and net exposure, one entry a time (ns UTC), of what is not published yet.

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

    def add_many(self, times: Iterable[int], cash: float, values: Sequence[float]) -> None:
        """Points of an account that holds one position, with its signed market values."""
        self.times.extend(times)
        self.equity.extend([cash + value for value in values])
        self.cash.extend(array("d", [cash]) * len(values))
        self.exposure.extend(map(abs, values))
        self.net_exposure.extend(values)

    def hold(self, cash: float) -> None:
        """Give all times without values those of an account that holds nothing but `cash`."""
        missing = len(self.times) - len(self.equity)
        if missing == 1:  # as it is where an order is filled on every bar
            self.equity.append(cash)
            self.cash.append(cash)
            self.exposure.append(0.0)
            self.net_exposure.append(0.0)
        elif missing:
            self.equity.extend(array("d", [cash]) * missing)
            self.cash.extend(array("d", [cash]) * missing)
            self.exposure.extend(array("d", [0.0]) * missing)
            self.net_exposure.extend(array("d", [0.0]) * missing)

    def take_blocks(self, least: int = BLOCK) -> Iterator[EquityCurve]:
        """Take the points in blocks of 4,096 as long as there are at least `least`; every time has its values."""
        columns = (self.times, self.equity, self.cash, self.exposure, self.net_exposure)
        while len(self.times) >= least:
            yield EquityCurve(*(pack_column(column[:BLOCK]) for column in columns))
            for column in columns:
                del column[:BLOCK]
