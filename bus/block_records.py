"""Records of a block's messages, made of the arrays that its source has, without touching the messages.

The bytes are those of `bus.record.encode_record`. In msgpack a float takes nine bytes, one that says so and eight of
its own, big endian; so does an int of more than 32 bits, and a short text has one byte before it. So where all ints are
large and all texts equally long, records are the rows of a table: one row is repeated, and what differs is written into
it column by column.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bus.record import HEAD, HEADER_SIZE
from bus.runtime.block import Block
from schemas.base import Message
from schemas.registry import field_types, fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

# numpy is imported only when a table is made: most processes never make one.

_KEPT: Final = 16
"""Layouts, rows, and types that are remembered."""
ARRAY, TEXT, UINT64 = 0x90, 0xA0, 0xCF
"""First bytes of msgpack values: of short arrays and short texts, to which their length is added, and of large ints."""
_LONG_ARRAY, _FLOAT, _INT64 = 0xDC, 0xCB, 0xD3
LONGEST_NUMBERS: Final = frozenset((_FLOAT, UINT64, _INT64))
"""The first bytes of the numbers that take nine bytes, which is the most."""
SIZES: Final = {
    **dict.fromkeys([*range(0x80), 0xC0, 0xC2, 0xC3, *range(0xE0, 0x100)], 1),
    **{TEXT + length: 1 + length for length in range(32)},
    **dict(zip(range(0xCA, 0xD4), (5, 9, 2, 3, 5, 9, 2, 3, 5, 9), strict=True)),
}
"""Bytes of a msgpack value by its first byte: of nothing, truth values, numbers and short texts."""
_MANY_VALUES: Final = 16
"""An array of fewer says in one byte what it is."""
_LONG_TEXT: Final = 32
"""A text of fewer bytes says in one more what it is."""
_UINT64_FROM: Final = 2**32
_INT64_BELOW: Final = -(2**31)
"""Ints below the one and not below the other take less than nine bytes."""

_Value = tuple[bytes, str]
"""A field in msgpack: the bytes that all rows have, and what numpy calls those that follow and differ, if any do."""


class _Row(NamedTuple):
    """What a table is made of."""

    sample: bytes
    """A row, with zeros where rows differ."""
    places: list[tuple[str, Any, int]]
    """Of each field that differs its name, its dtype, and where in a row it stands."""


@functools.lru_cache(maxsize=_KEPT)
def layout(payload: int) -> Any:
    """A record with a payload of so many bytes, as a dtype."""
    import numpy as np

    head = "length <u4, seq <u8, ts <i8, source_seq <u8, cause <u8, source <u2, type <u2"
    parts = [(name, kind) for name, kind in (part.split() for part in head.split(", "))]
    return np.dtype([*parts, ("payload", f"V{payload}")])


def has_table(block: Block, start: int, end: int) -> bool:
    """Whether `table_of` makes one of these messages, for which it needs the block's columns only."""
    return _values(block, start, end) is not None


def table_of(block: Block, start: int, end: int, source: int, type_id: int) -> NDArray[Any] | None:
    """Records of the messages from `start` to before `end`, as `layout` has them, with seq and source_seq 0.

    None where the block lacks an array, or payloads may not be equally long.
    """
    values = _values(block, start, end)
    if values is None:
        return None
    import numpy as np

    sample, places = _row(block.message_type, values, source, type_id)
    size, times = len(sample), block.arrays["ts"][start:end]
    data = bytearray(sample) * len(times)
    for name, kind, offset in places:
        np.ndarray(len(times), kind, data, offset, size)[:] = block.arrays[name][start:end]
    table: NDArray[Any] = np.frombuffer(data, layout(size - HEADER_SIZE))
    table["ts"] = times
    return table


def _values(block: Block, start: int, end: int) -> tuple[_Value, ...] | None:
    """The fields of these messages, None where that cannot be said of one."""
    if "ts" not in block.arrays:
        return None
    found = []
    for name, declared in _declared(block.message_type):
        array = block.arrays.get(name)
        value = _the_same(declared, block, name) if array is None else _value(declared, array[start:end])
        if value is None:
            return None
        found.append(value)
    return tuple(found)


@functools.lru_cache(maxsize=_KEPT)
def _declared(message_type: type[Message]) -> list[tuple[str, str]]:
    return list(zip(fields(message_type), field_types(message_type), strict=True))


def _the_same(declared: str, block: Block, name: str) -> _Value | None:
    """A text that is the same in all messages."""
    text = block.only(name) if declared == "str" else None
    if text is None or len(content := text.encode()) >= _LONG_TEXT:
        return None
    return bytes([TEXT + len(content)]) + content, ""


def _value(declared: str, values: NDArray[Any]) -> _Value | None:
    """Values of a field of this type, where all take the same number of bytes."""
    size = values.itemsize
    match declared, values.dtype.kind:
        case "float", "f":
            return bytes([_FLOAT]), ">f8"
        case "int", "i" if values.min() >= _UINT64_FROM:
            return bytes([UINT64]), ">i8"
        case "int", "i" if values.max() < _INT64_BELOW:
            return bytes([_INT64]), ">i8"
        case "str", "V" if size < _LONG_TEXT:
            return bytes([TEXT + size]), f"V{size}"
    return None


@functools.lru_cache(maxsize=_KEPT)
def _row(message_type: type[Message], values: tuple[_Value, ...], source: int, type_id: int) -> _Row:
    import numpy as np

    count, places = len(values), []
    payload = bytes([ARRAY + count] if count < _MANY_VALUES else [_LONG_ARRAY, *count.to_bytes(2)])
    for name, (same, kind) in zip(fields(message_type), values, strict=True):
        payload += same
        if kind:
            places.append((name, np.dtype(kind), HEADER_SIZE + len(payload)))
            payload += bytes(np.dtype(kind).itemsize)
    return _Row(HEAD.pack(len(payload), 0, 0, 0, 0, source, type_id) + payload, places)
