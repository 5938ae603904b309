"""What `admf launch` says of a live run while it is under way: one line now and then, on standard error."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

from deploy.live import Status

EVERY_S = 5.0
_NS_PER_S = 1_000_000_000
_MARKET_DATA = ("Bar", "Quote", "Trade")


class StatusLines:
    """Writes a line every `every_s` seconds; `clock` counts them."""

    def __init__(
        self, write: Callable[[str], None], every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._every_s = every_s
        self._clock = clock
        self._said = clock()
        self._count = 0

    def running(self) -> None:
        """The components run."""
        self._write("Running; Ctrl-C ends the run in good order, a second one breaks it off.")

    def status(self, status: Status) -> None:
        """How far the run is."""
        now = self._clock()
        passed = now - self._said
        if passed < self._every_s:
            return
        count = sum(status.counts.get(name, 0) for name in _MARKET_DATA)
        rate = (count - self._count) / passed
        self._said, self._count = now, count
        self._write(status_line(status, count, rate))


def status_line(status: Status, count: int, rate: float) -> str:
    """The hub's time, what has come, at which rate, what was traded, and how far the slowest host is behind."""
    moment = dt.datetime.fromtimestamp(status.ts // _NS_PER_S, dt.UTC)
    counts = status.counts
    orders, fills = counts.get("Order", 0), counts.get("Fill", 0)
    behind = f", slowest host {status.lag:,} records behind" if status.lag else ""
    troubles = counts.get("EdgeReport", 0)
    reports = f", {troubles:,} edge reports" if troubles else ""
    of_all = f" of {status.total:,}" if status.total else ""
    data = f"{count:,}{of_all} data ({rate:,.0f}/s)"
    return f"{moment:%Y-%m-%d %H:%M:%S}Z  {data}, {orders:,} orders, {fills:,} fills{behind}{reports}"
