"""Which fills were seen lately."""

from __future__ import annotations

from typing import Final

FILLS_KEPT: Final = 10_000
"""So many fills at least are known by their ids; a broker repeats itself soon or never."""


class RecentIds:
    """The last `kept` different ids at least, and at most twice as many."""

    __slots__ = ("_earlier", "_ids", "_kept")

    def __init__(self, kept: int = FILLS_KEPT) -> None:
        self._kept = kept
        self._ids: set[str] = set()
        self._earlier: set[str] = set()

    def __len__(self) -> int:
        return len(self._ids) + len(self._earlier)

    def is_new(self, identifier: str) -> bool:
        """Whether the id is not among the last ones; from now on it is."""
        ids = self._ids
        if identifier in ids or identifier in self._earlier:
            return False
        ids.add(identifier)
        if len(ids) == self._kept:
            self._earlier, self._ids = ids, set()
        return True
