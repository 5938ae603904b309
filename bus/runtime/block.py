"""Many messages of one type at once, and their fields as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter, sub
from types import MappingProxyType
from typing import Any, Final

from schemas.base import Message

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Block(list[Any]):
    """Messages of one type in order, a list of them, and their fields as columns.

    What is asked of it is worked out once, for all who ask: the bus, and every component that takes the block. A part
    of a block takes what it can from the whole. Neither a block nor what it gives may be changed.
    """

    __slots__ = ("_bounds", "_columns", "_gaps", "_only")

    def __init__(
        self, messages: Iterable[Message], columns: Mapping[str, list[Any]] = _NONE, only: Mapping[str, Any] = _NONE
    ) -> None:
        """A block of messages of which some columns, and fields that are the same in all of them, are known already."""
        list.__init__(self, messages)
        self._columns = dict(columns)
        self._only = dict(only)
        self._bounds: dict[str, tuple[Any, Any]] = {}
        self._gaps: set[int] | None = None

    @property
    def message_type(self) -> type[Message]:
        """The type of all its messages."""
        return type(self[0])

    @property
    def whole(self) -> Block:
        """The block of which it is a part, or itself."""
        return self

    @property
    def start(self) -> int:
        """Its place in the whole: the index of its first message."""
        return 0

    def part(self, start: int, end: int) -> Block:
        """The messages from `start` to before `end`, or as far as there are any."""
        return self if start == 0 and end >= len(self) else _Part(self, start, self[start:end])

    def apart(self) -> Block:
        """The same messages as a whole of their own."""
        return self

    def cut(self, start: int, end: int) -> Block:
        """The messages from `start` to before `end` as a whole of their own, with the columns that are known."""
        columns = {name: values[start:end] for name, values in self._columns.items()}
        return Block(self[start:end], columns, {name: value for name, value in self._only.items() if value is not None})

    def column(self, name: str) -> list[Any]:
        """The values of a field, one a message."""
        values = self._columns.get(name)
        if values is None:
            values = self._columns[name] = list(map(attrgetter(name), self))
        return values

    def only(self, name: str) -> Any:
        """The one value that a field has in all messages, None where they differ."""
        if name not in self._only:
            self._only[name] = _the_only(self.column(name))
        return self._only[name]

    def bounds(self, name: str) -> tuple[Any, Any]:
        """The least and the largest value of a field."""
        bounds = self._bounds.get(name)
        if bounds is None:
            values = self.column(name)
            bounds = self._bounds[name] = min(values), max(values)
        return bounds

    @property
    def gaps(self) -> set[int]:
        """The different times (ns) between a message and the next one; empty for a single message."""
        if self._gaps is None:
            self._gaps = _gaps_of(self.column("ts"))
        return self._gaps


class _Part(Block):
    """A part of a block; there are many, and most are short."""

    __slots__ = ("start", "whole")

    def __init__(self, whole: Block, start: int, messages: list[Any]) -> None:
        list.__init__(self, messages)
        self.whole = whole  # type: ignore[misc]
        self.start = start  # type: ignore[misc]

    def part(self, start: int, end: int) -> Block:
        if start == 0 and end >= len(self):
            return self
        return _Part(self.whole, self.start + start, self[start:end])

    def apart(self) -> Block:
        return self.whole.cut(self.start, self.start + len(self))

    def column(self, name: str) -> list[Any]:
        start = self.start
        return self.whole.column(name)[start : start + len(self)]

    def only(self, name: str) -> Any:
        value = self.whole.only(name)
        return _the_only(self.column(name)) if value is None else value

    def bounds(self, name: str) -> tuple[Any, Any]:
        values = self.column(name)
        return min(values), max(values)

    @property
    def gaps(self) -> set[int]:
        gaps = self.whole.gaps
        # All the same, as it is with bars of one length.
        return gaps if len(gaps) == 1 < len(self) else _gaps_of(self.column("ts"))


def _the_only(values: list[Any]) -> Any:
    return values[0] if values.count(values[0]) == len(values) else None


def _gaps_of(times: list[int]) -> set[int]:
    return set(map(sub, times[1:], times))


def part_of(messages: list[Any], start: int, end: int) -> list[Any]:
    """The messages from `start` to before `end`: of a block a block, of a list a list."""
    return messages.part(start, end) if isinstance(messages, Block) else messages[start:end]
