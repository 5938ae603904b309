"""Which fills were seen lately."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

FILLS_KEPT: Final = 10_000
"""So many fills at least are known by their ids; a broker repeats itself soon or never."""


class RecentIds:
    """The last `kept` different ids at least, and less than twice as many.

    A broker counts its fills, so most ids are beyond all before them: longer, or as long and greater. Such a one is
    new and need not be looked for. Until there is another they are a queue, which is cheaper than a table to fill.
    """

    __slots__ = ("_counted", "_greatest", "_ids", "_kept", "_length")

    def __init__(self, kept: int = FILLS_KEPT) -> None:
        self._kept = kept
        self._counted: deque[str] = deque(maxlen=2 * kept - 1)
        self._ids: dict[str, None] = {}
        self._greatest = ""
        self._length = 0
        """Of the greatest id so far, and more than any id has once they are in a table."""

    def __len__(self) -> int:
        return len(self._counted) + len(self._ids)

    def is_new(self, identifier: str) -> bool:
        """Whether the id is not among the last ones; from now on it is."""
        if identifier > self._greatest and len(identifier) == self._length:
            self._greatest = identifier
            self._counted.append(identifier)
            return True
        if len(identifier) > self._length:
            self._greatest, self._length = identifier, len(identifier)
            self._counted.append(identifier)
            return True
        return self._is_not_in_table(identifier)

    def extend(self, identifiers: Sequence[str]) -> None:
        """Note ids of one counter, in order, that are new."""
        if not identifiers:
            return
        first, last = identifiers[0], identifiers[-1]
        length = len(first)
        if length > self._length or (length == self._length and first > self._greatest):
            self._counted.extend(identifiers)
            self._greatest, self._length = last, len(last)
            return
        for identifier in identifiers:
            self.is_new(identifier)

    def _is_not_in_table(self, identifier: str) -> bool:
        if self._counted:
            self._ids = dict.fromkeys(self._counted)
            self._counted.clear()
        self._length = sys.maxsize
        ids = self._ids
        if identifier in ids:
            return False
        ids[identifier] = None
        if len(ids) == 2 * self._kept:
            self._ids = dict.fromkeys(islice(ids, self._kept, None))
        return True
