"""Many messages of one type at once, and their fields as columns."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from operator import attrgetter, sub
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from schemas.base import Message

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_INT64_UP_TO: Final = 2**63


class Block(list[Any]):
    """Messages of one type in order, a list of them, and their fields as columns.

    What is asked of it is worked out once, for all who ask: the bus, and every component that takes some of it. Neither
    a block nor what it gives may be changed.
    """

    __slots__ = ("_bounds", "_columns", "_gaps", "_made", "_only", "_places", "arrays", "message_type")

    def __init__(
        self,
        messages: Iterable[Message],
        columns: Mapping[str, list[Any]] = _NONE,
        only: Mapping[str, Any] = _NONE,
        arrays: Mapping[str, NDArray[Any]] = _NONE,
    ) -> None:
        """A block of messages of which some columns, and fields that are the same in all of them, are known already."""
        list.__init__(self, messages)
        self.message_type: type[Message] = type(self[0]) if self else Message
        """The type of all its messages."""
        self.arrays = arrays
        """Columns that its source has as arrays: of int64, of float64, or of equally long texts in UTF-8 (`V`).

        They say what the messages say, and nobody changes them."""
        self._columns = dict(columns)
        self._only = dict(only)
        self._bounds: dict[str, tuple[Any, Any]] = {}
        self._gaps: set[int] | None = None
        self._made: dict[str, NDArray[Any]] = {}
        self._places: dict[str, Mapping[Any, NDArray[Any]]] = {}

    def part(self, start: int, end: int) -> Block:
        """The messages from `start` to before `end`, or as far as there are any, with the columns that are known."""
        if start == 0 and end >= len(self):
            return self
        columns = {name: values[start:end] for name, values in self._columns.items()}
        only = {name: value for name, value in self._only.items() if value is not None}
        return Block(self[start:end], columns, only, {name: values[start:end] for name, values in self.arrays.items()})

    def without_messages(self) -> Block:
        """A block of none with the same arrays and fields that are the same in all: messages take much more room."""
        block = Block((), only=self._only, arrays=self.arrays)
        block.message_type = self.message_type
        return block

    def column(self, name: str) -> list[Any]:
        """The values of a field, one a message."""
        values = self._columns.get(name)
        if values is None:
            values = self._columns[name] = list(map(attrgetter(name), self))
        return values

    def array(self, name: str) -> NDArray[Any]:
        """The values of a field of floats as an array: its source's, or one that is made of the column."""
        return self._array(name, "d", "f8")

    @property
    def times(self) -> NDArray[Any]:
        """The times (ns UTC) of the messages as an array of int64."""
        return self._array("ts", "q", "i8")

    def _array(self, name: str, code: str, kind: str) -> NDArray[Any]:
        array = self.arrays.get(name)
        if array is None:
            array = self._made.get(name)
        if array is None:
            import numpy as np

            values = self.column(name)
            # Twice as fast as numpy's own way to make an array of a list.
            array = self._made[name] = np.frombuffer(struct.pack(f"{len(values)}{code}", *values), kind)
        return array

    def only(self, name: str) -> Any:
        """The one value that a field has in all messages, None where they differ."""
        if name not in self._only:
            self._only[name] = _the_only(self.column(name))
        return self._only[name]

    def distinct(self, name: str) -> tuple[Any, ...]:
        """The different values of a field, in the order of their first messages."""
        value = self.only(name)
        return tuple(dict.fromkeys(self.column(name))) if value is None else (value,)

    def places(self, name: str) -> Mapping[Any, NDArray[Any]]:
        """By each of the different values of a field, the indexes of the messages that have it."""
        places = self._places.get(name)
        if places is None:
            places = self._places[name] = self._placed(name)
        return places

    def _placed(self, name: str) -> Mapping[Any, NDArray[Any]]:
        import numpy as np

        values = self.distinct(name)
        if len(values) == 1:
            return {values[0]: np.arange(len(self))}
        numbers = dict(zip(values, range(len(values)), strict=True))
        codes = np.fromiter(map(numbers.__getitem__, self.column(name)), np.int64, len(self))
        ends = np.cumsum(np.bincount(codes))
        return dict(zip(values, np.split(np.argsort(codes, kind="stable"), ends[:-1]), strict=True))

    def bounds(self, name: str) -> tuple[Any, Any]:
        """The least and the largest value of a field."""
        bounds = self._bounds.get(name)
        if bounds is None:
            array = self.arrays.get(name)
            if array is None:
                values = self.column(name)
                bounds = min(values), max(values)
            else:
                bounds = array.min().item(), array.max().item()
            self._bounds[name] = bounds
        return bounds

    @property
    def gaps(self) -> set[int]:
        """The different times (ns) between a message and the next one; empty for a single message."""
        if self._gaps is None:
            times = self.arrays.get("ts")
            self._gaps = _gaps_of(self.column("ts")) if times is None else _gaps_in(times)
        return self._gaps

    def gaps_between(self, start: int, end: int) -> set[int]:
        """The same of the messages from `start` to before `end`."""
        gaps = self.gaps
        # All the same, as it is with bars of one length.
        return gaps if len(gaps) == 1 < end - start else _gaps_of(self.column("ts")[start:end])


def _the_only(values: list[Any]) -> Any:
    return values[0] if values.count(values[0]) == len(values) else None


def _gaps_of(times: list[int]) -> set[int]:
    return set(map(sub, times[1:], times))


def _gaps_in(times: NDArray[Any]) -> set[int]:
    if len(times) and times.max().item() - times.min().item() >= _INT64_UP_TO:
        return _gaps_of(times.tolist())  # one of them may be too large for int64
    gaps = times[1:] - times[:-1]
    if len(gaps) and (gaps == gaps[0]).all():
        return {gaps[0].item()}
    return set(gaps.tolist())


def part_of(messages: list[Any], start: int, end: int) -> list[Any]:
    """The messages from `start` to before `end`: of a block a block, of a list a list."""
    return messages.part(start, end) if isinstance(messages, Block) else messages[start:end]
