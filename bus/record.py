"""A record: one message in its place in the total order. The same bytes on the wire and on disk.

    length u32 | seq u64 | ts i64 | source_seq u64 | cause u64 | source u16 | type u16 | payload

Little endian, 40 bytes of head, `length` counts the payload only. The run's digest covers all of it. What guards the
bytes on disk against damage are seals (see `bus.log`): one checksum for many records, which costs a twentieth of one
for each.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import Final, NamedTuple

from bus.errors import LogError

HEAD: Final = struct.Struct("<IQqQQHH")
"""All fields of the head, in the order above."""
HEADER_SIZE: Final = HEAD.size
JOINED_HEAD: Final = struct.Struct("<IQqQQI")
"""The same with source and type in one, see `origin_of`."""
_pack_head, _unpack_head = HEAD.pack, HEAD.unpack_from
OUTLINE: Final = struct.Struct("<IQ26xH")
"""Of the head what finding records needs: length, seq, type."""
LENGTH: Final = struct.Struct("<I")
"""The first field of the head."""
_length_of = LENGTH.unpack_from
SEQ_OFFSET: Final = 4
SEQ_SIZE: Final = 8
MAX_PAYLOAD: Final = 64 * 1024 * 1024
"""A longer payload is refused: no message of ours comes near, so a larger length is damage."""

SEAL_TYPE: Final = 0xFFFF
"""Not a message: a seal, which proves the bytes before it. Has the last record's seq."""
FOOTER_TYPE: Final = 0xFFFE
"""Not a message: the last seal, written when the log is closed."""


class Record(NamedTuple):
    """A decoded head with its payload, still encoded.

    `cause` is the seq of the record that was being handled when this was emitted, 0 when it came from outside.
    """

    seq: int
    ts: int
    source_seq: int
    cause: int
    source: int
    type_id: int
    payload: bytes


_record = partial(tuple.__new__, Record)
"""Makes one of a tuple of its fields, in half the time that a NamedTuple takes for it."""


def encode_record(seq: int, ts: int, source_seq: int, cause: int, source: int, type_id: int, payload: bytes) -> bytes:
    """The record's bytes.

    Raises:
        LogError: the payload is longer than a reader would accept.
    """
    length = len(payload)
    if length > MAX_PAYLOAD:
        raise too_long(type_id, length)
    return _pack_head(length, seq, ts, source_seq, cause, source, type_id) + payload


def origin_of(source: int, type_id: int) -> int:
    """Source and type as the one number that `JOINED_HEAD` has for them."""
    return source | type_id << 16


def fitting(data: bytes | bytearray, start: int, room: int, before: int = 0) -> tuple[int, int]:
    """How many of the records in `data` can be written, and where the last of them ends: so many `before` `start`, and
    behind it each that begins within so many bytes.

    Raises:
        LogError: the first one's payload is longer than a reader would accept.
    """
    count, end, behind = before, start, min(start + room, len(data))
    while end < behind:
        (length,) = _length_of(data, end)
        if length > MAX_PAYLOAD:
            if not count:
                raise too_long(int.from_bytes(data[end + HEADER_SIZE - 2 : end + HEADER_SIZE], "little"), length)
            break
        count += 1
        end += HEADER_SIZE + length
    return count, end


def too_long(type_id: int, length: int) -> LogError:
    """The error of a payload that no reader would accept."""
    return LogError(f"a message of type {type_id} has {length} bytes, more than the {MAX_PAYLOAD} allowed")


def decode_record(data: bytes, offset: int = 0) -> tuple[Record, int]:
    """The record at `offset` and the offset after it.

    Raises:
        IncompleteRecord: `data` ends before the record does.
        LogError: the length cannot be right.
    """
    start = offset + HEADER_SIZE
    if start > len(data):
        raise IncompleteRecord(start - len(data))
    length, seq, ts, source_seq, cause, source, type_id = _unpack_head(data, offset)
    if length > MAX_PAYLOAD:
        raise LogError(f"a record says that its payload has {length} bytes, more than the {MAX_PAYLOAD} allowed")
    end = start + length
    if end > len(data):
        raise IncompleteRecord(end - len(data))
    return _record((seq, ts, source_seq, cause, source, type_id, data[start:end])), end


def decode_records(data: bytes) -> list[Record]:
    """All records in `data`, which must end where a record ends."""
    records, offset, size = [], 0, len(data)
    while (start := offset + HEADER_SIZE) <= size:
        length, seq, ts, source_seq, cause, source, type_id = _unpack_head(data, offset)
        end = start + length
        if end > size:
            break
        records.append(_record((seq, ts, source_seq, cause, source, type_id, data[start:end])))
        offset = end
    if offset < size:
        decode_record(data, offset)  # which says what is wrong
    return records


class IncompleteRecord(LogError):
    """The bytes end in the middle of a record; `missing` more are needed at least."""

    def __init__(self, missing: int) -> None:
        self.missing = missing
        super().__init__(f"the last record is incomplete: at least {missing} bytes are missing")
