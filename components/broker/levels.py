"""Orders by the price that they wait for, the nearest first, at a cost that does not grow with how many there are."""

from __future__ import annotations

import heapq
import math
from typing import Final

from components.broker.working import Working

_SPARE: Final = 64
"""So many levels without orders are let be before the heap is made anew."""


class Levels:
    """Working orders by level. The smaller a level the nearer it is, so falling prices come as their negatives.

    The levels are on a heap; one whose last order was taken out stays there until it comes up, or until more than half
    of the levels are such.
    """

    __slots__ = ("_heap", "_orders", "nearest")

    def __init__(self) -> None:
        self.nearest = math.inf
        """The nearest level with an order, infinite without one."""
        self._heap: list[float] = []
        self._orders: dict[float, dict[int, Working]] = {}

    def add(self, level: float, order: Working) -> None:
        """Take an order in, which is not here yet."""
        orders = self._orders.get(level)
        if orders is None:
            orders = self._orders[level] = {}
            heapq.heappush(self._heap, level)
            self.nearest = min(self.nearest, level)
        orders[order.number] = order

    def remove(self, level: float, order: Working) -> None:
        """Take out an order, which is here under the same level and number as when it came."""
        orders = self._orders[level]
        del orders[order.number]
        if not orders:
            del self._orders[level]
            self._tidy()

    def up_to(self, bound: float) -> list[Working]:
        """Orders at levels up to `bound`, by level, then in the order in which they came."""
        found: list[Working] = []
        taken: list[float] = []
        heap, orders = self._heap, self._orders
        while heap and heap[0] <= bound:
            level = heapq.heappop(heap)
            if level in orders and not (taken and taken[-1] == level):
                taken.append(level)
                found += orders[level].values()
        for level in taken:
            heapq.heappush(heap, level)
        return found

    def _tidy(self) -> None:
        heap, orders = self._heap, self._orders
        if len(heap) > 2 * len(orders) + _SPARE:
            heap[:] = orders
            heapq.heapify(heap)
        while heap and heap[0] not in orders:
            heapq.heappop(heap)
        self.nearest = heap[0] if heap else math.inf
