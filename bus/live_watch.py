"""What the diagnostics should know of a live run: hosts that lag, data whose time is not the hub's."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from bus.live_link import LiveLink

LAGGING: Final = 10_000
"""Records that a host may be behind before the diagnostics say so."""
OFF_CLOCK_S: Final = 60.0
"""Seconds between a message of the market and the hub's clock after which they do."""
_WATCH_S: Final = 0.2

logger = logging.getLogger("admf.live")


class Watchdog:
    """Looks now and then; says everything once. `name` tells the name of a source."""

    def __init__(self, links: Sequence[LiveLink], name: Callable[[int], str]) -> None:
        self._links = links
        self._name = name
        self._looked = 0.0
        self._lagging: set[int] = set()
        self._off_clock: set[int] = set()

    def look(self, check: Callable[[], None]) -> None:
        """Call `check`, and see whether a host lags; one that is dead or silent says so itself.

        Raises:
            ComponentError: of a host that is silent for too long; and whatever `check` raises.
        """
        now = time.monotonic()
        if now - self._looked < _WATCH_S:
            return
        self._looked = now
        check()
        for index, link in enumerate(self._links):
            lag, name = link.lag(), getattr(link, "name", "a process")
            if lag > LAGGING and index not in self._lagging:
                self._lagging.add(index)
                logger.warning("%s is %d records behind; the others do not wait for it", name, lag)
            elif lag < LAGGING // 2 and index in self._lagging:
                self._lagging.discard(index)
                logger.warning("%s has caught up", name)

    def compare(self, source: int, ts: int, now_ns: Callable[[], int]) -> None:
        """Whether a source's time is near enough to the hub's that simulated orders and its data meet each other."""
        if source in self._off_clock:
            return
        off_s = (now_ns() - ts) / 1e9
        if abs(off_s) > OFF_CLOCK_S:
            self._off_clock.add(source)
            logger.warning(
                "the data of %s are %.0f s %s the hub's clock: simulated orders and their data will miss each other; "
                "let the data say what time it is, with live_trading.clock: data",
                self._name(source),
                abs(off_s),
                "behind" if off_s > 0 else "before",
            )
