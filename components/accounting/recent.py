"""Which fills were seen lately."""

from __future__ import annotations

from collections import deque
from typing import Final

REMEMBERED: Final = 100_000
"""Fills by which a repeat is known; a broker repeats itself soon or never."""


class RecentIds:
    """The last `most` different ids."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._ids: set[str] = set()
        self._order: deque[str] = deque()

    def is_new(self, identifier: str) -> bool:
        """Whether the id is not among the last ones; from now on it is."""
        ids = self._ids
        if identifier in ids:
            return False
        ids.add(identifier)
        order = self._order
        order.append(identifier)
        if len(order) > self._most:
            ids.discard(order.popleft())
        return True
