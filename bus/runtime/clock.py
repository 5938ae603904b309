"""Time enters a component by one door: the record that it handles. The hub's clocks, which stamp it, are here too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

_NS_PER_S = 1_000_000_000


class Clock:
    """The time of the record being handled, in nanoseconds since the epoch, UTC. Set by the runner only."""

    __slots__ = ("now_ns",)

    def __init__(self) -> None:
        self.now_ns = 0


class HubClock(Protocol):
    """What time it is in a live run (ns since the epoch, UTC). Only the bus holds one."""

    follows_data: bool
    """Whether data say what time it is."""

    def now_ns(self) -> int:
        """The time."""

    def follow(self, ts: int) -> None:
        """Market data of `ts` have come."""

    def seconds_until(self, ts: int) -> float:
        """How long to wait, at most, until it may be `ts`: 0 or less when it is, infinite if only data bring it."""


class WallClock:
    """The time of day. It may be set back while a run is under way: who needs order takes the later of two readings."""

    follows_data = False

    def now_ns(self) -> int:
        """The time of day."""
        return time.time_ns()

    def follow(self, ts: int) -> None:
        """Data do not change the time of day."""

    def seconds_until(self, ts: int) -> float:
        """Until the time of day is `ts`."""
        return (ts - time.time_ns()) / _NS_PER_S


class RecordingClock:
    """The time in a recording that is played: that of its last data, and from there on `speed` times as fast as ours.

    With speed 0 time stands still between data. Before the first data it is 0.
    """

    follows_data = True

    def __init__(self, speed: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._monotonic = monotonic
        self._ts = 0
        self._since = 0.0

    def now_ns(self) -> int:
        """The time in the recording."""
        if not self._speed or not self._ts:
            return self._ts
        return self._ts + int((self._monotonic() - self._since) * self._speed * _NS_PER_S)

    def follow(self, ts: int) -> None:
        """It is `ts`, if it was not later already."""
        if ts > self.now_ns():
            self._ts, self._since = ts, self._monotonic()

    def seconds_until(self, ts: int) -> float:
        """Until the recording is at `ts`, by our clock."""
        if self._ts >= ts:
            return 0.0
        if not self._speed or not self._ts:
            return float("inf")
        return (ts - self.now_ns()) / (self._speed * _NS_PER_S)
