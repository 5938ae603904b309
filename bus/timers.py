"""The timers that components have set, in the order in which they will fire. No clock: the bus says what time it is."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator
from typing import Final

from bus.runtime.component import Component, Emit
from schemas import CancelTimer, Message, SetTimer, TimerFired

NEVER: Final = sys.maxsize
"""A time (ns UTC) that never comes."""

TimerRequest = SetTimer | CancelTimer
TIMER_REQUESTS: Final = (SetTimer, CancelTimer)


def sets_timers(component: Component) -> bool:
    """Whether the component may set timers."""
    return SetTimer in component.emits


def heeding(emit: Emit, timers: TimerQueue, component: Component) -> Emit:
    """An emit that also sets and cancels the component's timers."""

    def emit_and_heed(message: Message) -> None:
        emit(message)
        if isinstance(message, TIMER_REQUESTS):
            timers.heed(component.name, message)

    return emit_and_heed


class TimerQueue:
    """Timers by time, then by when they were set. `next_ts` is the time of the first (ns UTC), `NEVER` without any."""

    def __init__(self) -> None:
        self.next_ts = NEVER
        self._heap: list[tuple[int, int, str, str]] = []
        self._number_of: dict[tuple[str, str], int] = {}
        self._set = 0

    def heed(self, component: str, request: TimerRequest) -> None:
        """Set, move or cancel a component's timer."""
        key = (component, request.timer_id)
        if isinstance(request, SetTimer):
            self._set += 1
            self._number_of[key] = self._set
            heapq.heappush(self._heap, (request.ts, self._set, *key))
        else:
            self._number_of.pop(key, None)
        self._find_next()

    def due(self, before: int) -> Iterator[TimerFired]:
        """Take the timers that are set for a time earlier than `before` (ns UTC), one after another.

        What a caller does with one may set or cancel others: those are seen.
        """
        while self.next_ts < before:
            ts, _, component, timer_id = heapq.heappop(self._heap)
            del self._number_of[component, timer_id]
            self._find_next()
            yield TimerFired(component, timer_id, ts)

    def _find_next(self) -> None:
        """Drop what was cancelled or moved since from the front."""
        heap = self._heap
        while heap and self._number_of.get(heap[0][2:]) != heap[0][1]:
            heapq.heappop(heap)
        self.next_ts = heap[0][0] if heap else NEVER
