"""Time enters a component by one door: the record that it is handling."""

from __future__ import annotations


class Clock:
    """The time of the record being handled, in nanoseconds since the epoch, UTC. Set by the runner only."""

    __slots__ = ("now_ns",)

    def __init__(self) -> None:
        self.now_ns = 0
