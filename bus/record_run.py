"""Many records at once: a run of messages from outside whose payloads are equally long, as bars of a symbol are.

The bytes are those of `bus.record.encode_record`, and the work is done column by column.

msgspec writes a list of messages in a third of the time that it takes for them one by one, but does not say where each
ends. In msgpack the first byte of a value says what it is and how long. So where those bytes are the same in all
payloads, the payloads are equally long; where they are not, the records are made one by one.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from bus.record import HEAD, HEADER_SIZE
from bus.runtime.block import Block
from schemas import Message
from schemas.codec import encode_all
from schemas.registry import field_types, fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

# numpy is imported only when a run is encoded: most processes never do.

LEAST: Final = 64
"""Fewer records are quicker encoded one by one."""
MOST: Final = 1024
"""More do not stay in the processor's cache."""
_LENGTHS_KEPT: Final = 16

_UINT64, _ARRAY, _MAP, _TEXT = 0xCF, 0x90, 0x80, 0xA0
_SIZES: Final = {
    **dict.fromkeys([*range(_TEXT), 0xC0, 0xC2, 0xC3, *range(0xE0, 0x100)], 1),
    **{_TEXT + length: 1 + length for length in range(32)},
    **dict(zip(range(0xCA, 0xD4), (5, 9, 2, 3, 5, 9, 2, 3, 5, 9), strict=True)),
}
"""Bytes of a msgpack value by its first byte, without what an array or a map holds; of those that messages of market
data are made of."""
_NUMBERS: Final = ("int", "float")
_LONGEST_NUMBERS: Final = frozenset((0xCB, 0xCF, 0xD3))
"""The first bytes of the numbers that take nine bytes, which is the most."""


def equally_long(messages: Sequence[Message]) -> NDArray[Any] | None:
    """The payloads of messages of one type, a row each; None where they are not equally long, or it is not known.

    There must be `LEAST` to `MOST` of them.
    """
    import numpy as np

    data = encode_all(messages)
    start = 3  # of the first payload: the list has a head of three bytes, as it has more than 15 items
    tags, length = _structure(data, start)
    if len(data) != start + length * len(messages):
        return None
    payloads = np.frombuffer(data, np.uint8, offset=start).reshape(-1, length)
    if isinstance(messages, Block) and _none_is_longer(messages, payloads[0, tags[1:]].tolist()):
        return payloads  # and none is shorter, for together they are as long as so many of the first
    return payloads if (payloads[:, tags] == payloads[0, tags]).all() else None


def _none_is_longer(messages: Block, firsts: list[int]) -> bool:
    """Whether no payload can be longer than that of the first message, whose values have these first bytes.

    No number takes more than nine bytes, and a text that is the same in all is as long in all.
    """
    message_type = messages.message_type
    for name, declared, first in zip(fields(message_type), field_types(message_type), firsts, strict=True):
        if declared in _NUMBERS:
            if first not in _LONGEST_NUMBERS:
                return False
        elif declared != "str" or messages.only(name) is None:
            return False
    return True


def times_of(messages: Sequence[Message], payloads: NDArray[Any]) -> NDArray[Any]:
    """The `ts` of each message, out of its payload where that begins with it."""
    import numpy as np

    if messages[0].__struct_fields__[0] == "ts" and payloads[0, 1] == _UINT64:
        times: NDArray[Any] = payloads[:, 2:10].view(">i8")[:, 0]
        if times.min() >= 0:
            return times
    return np.array(list(map(attrgetter("ts"), messages)), np.int64)


def encode_run(
    seq: int, source_seq: int, source: int, type_id: int, times: NDArray[Any], payloads: NDArray[Any]
) -> NDArray[Any]:
    """Records without a cause, a row of bytes each.

    `seq` and `source_seq` are the first one's, `times` each one's `ts` (ns UTC); the payloads are equally long.
    """
    import numpy as np

    count, length = payloads.shape
    records = np.empty(count, _layout(length))
    order = np.arange(count, dtype=np.uint64)
    records["length"] = length
    records["seq"] = order + np.uint64(seq)
    records["ts"] = times
    records["source_seq"] = order + np.uint64(source_seq)
    records["cause"] = 0
    records["source"] = source
    records["type"] = type_id
    records["payload"] = payloads.view(f"V{length}")[:, 0]
    return records.view(np.uint8).reshape(count, -1)


def run_length(data: bytes, offset: int, size: int, seq: int, type_id: int) -> int:
    """How many records of a type follow at `offset`, each of `size` bytes, numbered from `seq` on; at most `MOST`.

    0 also where they are too few to be worth the while of looking for them.
    """
    count = min(MOST, (len(data) - offset) // size)
    if count < LEAST or not _goes_on(data, offset + (LEAST - 1) * size, size, seq + LEAST - 1):
        return 0
    import numpy as np

    records = np.frombuffer(data, _layout(size - HEADER_SIZE), count, offset)
    belongs = (
        (records["length"] == size - HEADER_SIZE)
        & (records["seq"] == np.arange(count, dtype=np.uint64) + np.uint64(seq))
        & (records["type"] == type_id)
    )
    return count if belongs.all() else int(belongs.argmin())


def _goes_on(data: bytes, offset: int, size: int, seq: int) -> bool:
    """Whether a record's length and seq are what they must be in a run."""
    length, its_seq, *_ = HEAD.unpack_from(data, offset)
    return bool(length == size - HEADER_SIZE and its_seq == seq)


def _structure(data: bytes, start: int) -> tuple[list[int], int]:
    """Where the values of the payload at `start` begin, counted from there, and how long it is.

    The length is 0 when there are values among them that `_SIZES` does not know.
    """
    firsts, at, values = [], start, 1
    while values:
        first = data[at]
        if first not in _SIZES:
            return [], 0
        firsts.append(at - start)
        at += _SIZES[first]
        values -= 1
        if _MAP <= first < _TEXT:
            values += (first & 15) * (1 if first >= _ARRAY else 2)
    return firsts, at - start


@functools.lru_cache(maxsize=_LENGTHS_KEPT)
def _layout(payload: int) -> Any:
    import numpy as np

    head = "length <u4, seq <u8, ts <i8, source_seq <u8, cause <u8, source <u2, type <u2"
    fields = [(name, kind) for name, kind in (field.split() for field in head.split(", "))]
    return np.dtype([*fields, ("payload", f"V{payload}")])
