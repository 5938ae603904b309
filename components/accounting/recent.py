"""Which fills were seen lately."""

from __future__ import annotations

from itertools import islice
from typing import Final

FILLS_KEPT: Final = 10_000
"""So many fills at least are known by their ids; a broker repeats itself soon or never."""


class RecentIds:
    """The last `kept` different ids at least, and at most twice as many."""

    __slots__ = ("_ids", "_kept", "_most")

    def __init__(self, kept: int = FILLS_KEPT) -> None:
        self._kept = kept
        self._most = 2 * kept
        self._ids: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def is_new(self, identifier: str) -> bool:
        """Whether the id is not among the last ones; from now on it is."""
        ids = self._ids
        if identifier in ids:
            return False
        ids[identifier] = None
        if len(ids) == self._most:
            self._ids = dict.fromkeys(islice(ids, self._kept, None))
        return True
