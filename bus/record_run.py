"""Many records at once: a run of messages from outside whose payloads are equally long, as bars of a symbol are.

The bytes are those of `bus.record.encode_record`, and the work is done column by column: out of the arrays that the
source has (see `bus.block_records`), or else out of what msgspec writes.

msgspec writes a list of messages in a third of the time that it takes for them one by one, but does not say where each
ends. In msgpack the first byte of a value says what it is and how long. So where those bytes are the same in all
payloads, the payloads are equally long; where they are not, the records are made one by one.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from bus.block_records import ARRAY, LONGEST_NUMBERS, SIZES, TEXT, UINT64, layout, table_of
from bus.record import HEAD, HEADER_SIZE
from bus.runtime.block import Block
from schemas.codec import encode_all
from schemas.registry import field_types, fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

# numpy is imported only when a run is encoded: most processes never do.

FEW: Final = 8
"""Fewer records are quicker encoded one by one."""
LEAST: Final = 64
"""So long a run of records is worth the while of looking for it."""
MOST: Final = 1024
"""More do not stay in the processor's cache."""
_LISTED: Final = 16
"""A list of so many messages, and up to 65,535, has a head of three bytes."""

_MAP: Final = 0x80
_SIZES: Final = {**SIZES, **dict.fromkeys(range(_MAP, TEXT), 1)}
"""Bytes of a msgpack value by its first byte, without what an array or a map holds; of those that messages of market
data are made of."""

_NUMBERS: Final = ("int", "float")


class BlockEncoder:
    """Makes records of ranges of blocks. What those of a block have in common is made once, `MOST` at a time.

    A range must not go across a multiple of `MOST`. Where payloads are not equally long, there is nothing: None.
    """

    def __init__(self) -> None:
        self._window: _Window | None = None

    def together(
        self, seq: int, source_seq: int, source: int, type_id: int, block: Block, start: int, end: int
    ) -> NDArray[Any] | None:
        """Records without a cause of the messages from `start` to before `end`.

        `seq` and `source_seq` are the first one's.
        """
        window = self._window
        if (
            window is None
            or window.block is not block
            or not window.next <= start < window.end
            or window.of != (source, type_id)
        ):
            window = self._window = _Window(start - start % MOST, source, type_id, block)
        return None if window.records is None else window.numbered(seq, source_seq, start, end)


class _Window:
    """Some messages of a block, from `first` to before `end`, as records that have no numbers yet."""

    def __init__(self, first: int, source: int, type_id: int, block: Block) -> None:
        self.of = source, type_id
        self.block = block
        self.end = end = min(first + MOST, len(block))
        self.next = self._first = first
        """Messages before this one have been numbered: their records are out of our hands, and may not change."""
        self.records: NDArray[Any] | None = None
        table = table_of(block, first, end, source, type_id)
        if table is None:
            table = _table_of_payloads(block, first, end, source, type_id)
        if table is None:
            return
        import numpy as np

        self._count_from = np.arange  # an import statement would add a tenth to each range
        self.records = table.view(f"V{table.itemsize}")
        self._seqs, self._source_seqs = table["seq"].view("<i8"), table["source_seq"].view("<i8")
        self._ahead: int | None = None
        """How much further than its index a message's `source_seq` is, from `next` on."""

    def numbered(self, seq: int, source_seq: int, start: int, end: int) -> NDArray[Any]:
        """The records of messages from `start` to before `end`, of which these are the first one's numbers."""
        assert self.records is not None
        at, behind = start - self._first, end - self._first
        self._seqs[at:behind] = self._count_from(seq, seq + behind - at)
        if source_seq - start != self._ahead:  # once a block, as nothing else comes from its source meanwhile
            self._ahead = source_seq - start
            rest = self._source_seqs[at:]
            rest[:] = self._count_from(source_seq, source_seq + len(rest))
        self.next = end
        return self.records[at:behind]


def _table_of_payloads(block: Block, start: int, end: int, source: int, type_id: int) -> NDArray[Any] | None:
    """The same as `table_of` gives, of what msgspec writes."""
    messages = block[start:end]
    payloads = equally_long(block, messages)
    if payloads is None:
        return None
    import numpy as np

    count, length = payloads.shape
    table = np.empty(count, layout(length))
    table["length"] = length
    table["ts"] = times_of(messages, payloads)
    table["cause"] = 0
    table["source"] = source
    table["type"] = type_id
    table["payload"] = payloads.view(f"V{length}")[:, 0]
    return table


def equally_long(block: Block, messages: list[Any]) -> NDArray[Any] | None:
    """The payloads of messages of a block, a row each; None where they are not equally long, or it is not known."""
    if len(messages) < _LISTED:
        return None
    import numpy as np

    data = encode_all(messages)
    start = 3  # of the first payload: the list has a head
    tags, length = _structure(data, start)
    if len(data) != start + length * len(messages):
        return None
    payloads = np.frombuffer(data, np.uint8, offset=start).reshape(-1, length)
    if _none_is_longer(block, payloads[0, tags[1:]].tolist()):
        return payloads  # and none is shorter, for together they are as long as so many of the first
    return payloads if (payloads[:, tags] == payloads[0, tags]).all() else None


def _none_is_longer(block: Block, firsts: list[int]) -> bool:
    """Whether no payload can be longer than that of the first message, whose values have these first bytes.

    No number takes more than nine bytes, and a text that is the same in all is as long in all.
    """
    message_type = block.message_type
    for name, declared, first in zip(fields(message_type), field_types(message_type), firsts, strict=True):
        if declared in _NUMBERS:
            if first not in LONGEST_NUMBERS:
                return False
        elif declared != "str" or block.only(name) is None:
            return False
    return True


def times_of(messages: list[Any], payloads: NDArray[Any]) -> NDArray[Any]:
    """The `ts` of each message, out of its payload where that begins with it."""
    import numpy as np

    if messages[0].__struct_fields__[0] == "ts" and payloads[0, 1] == UINT64:
        times: NDArray[Any] = payloads[:, 2:10].view(">i8")[:, 0]
        if times.min() >= 0:
            return times
    return np.array(list(map(attrgetter("ts"), messages)), np.int64)


def run_length(data: bytes, offset: int, size: int, seq: int, type_id: int) -> int:
    """How many records of a type follow at `offset`, each of `size` bytes, numbered from `seq` on; at most `MOST`.

    0 also where they are too few to be worth the while of looking for them.
    """
    count = min(MOST, (len(data) - offset) // size)
    if count < LEAST or not _goes_on(data, offset + (LEAST - 1) * size, size, seq + LEAST - 1):
        return 0
    import numpy as np

    records = np.frombuffer(data, layout(size - HEADER_SIZE), count, offset)
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
        if _MAP <= first < TEXT:
            values += (first & 15) * (1 if first >= ARRAY else 2)
    return firsts, at - start
