"""A record: one message in its place in the total order. The same bytes on the wire and on disk.

    crc32 u32 | epoch u32 | length u32 | seq u64 | ts i64 | source_seq u64 | cause u64 | source u16 | type u16 | payload

Little endian, 48 bytes of head, `length` counts the payload only. The checksum covers all that follows it. The run's
digest covers all from `length` on: not the epoch, so that a run which was interrupted and recovered can equal one
which was not. That is why crc32 and epoch come first: each of the two is over one contiguous slice.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
from itertools import repeat
from typing import Final, NamedTuple
from zlib import crc32

from bus.errors import LogError

BODY: Final = struct.Struct("<IQqQQHH")
"""The head from `length` on. With the payload behind it, it is what the run's digest covers."""
SEAL: Final = struct.Struct("<II")
"""Checksum and epoch, which stand before the body."""
EPOCH_SUM: Final = crc32(struct.pack("<I", 1))
"""The checksum of the first epoch, from which that of a record of the first epoch goes on."""
_CRC: Final = struct.Struct("<I")
_pack_body, _pack_seal = BODY.pack, SEAL.pack
HEAD: Final = struct.Struct("<IIIQqQQHH")
"""All fields of the head, in the order above: for readers that unpack it at once."""
HEADER_SIZE: Final = HEAD.size
_unpack_head = HEAD.unpack_from
SEQ_OFFSET: Final = 12
DIGESTED_FROM: Final = 8
"""The run's digest covers a record's bytes from here on: all but the checksum and the epoch."""
MAX_PAYLOAD: Final = 64 * 1024 * 1024
"""A longer payload is refused: no message of ours comes near, so a larger length is damage."""

MARK_TYPE: Final = 0xFFFF
"""Not a message: the digest of all records before it, every so often. Has the last record's seq."""
FOOTER_TYPE: Final = 0xFFFE
"""Not a message: the digest of the whole log, written when it is closed."""


class Record(NamedTuple):
    """A decoded head with its payload, still encoded.

    `cause` is the seq of the record that was being handled when this was emitted, 0 when it came from outside.
    """

    seq: int
    ts: int
    source_seq: int
    cause: int
    epoch: int
    source: int
    type_id: int
    payload: bytes


_record = partial(tuple.__new__, Record)
"""Makes one of a tuple of its fields, in half the time that a NamedTuple takes for it."""


def encode_record(
    seq: int, ts: int, source_seq: int, cause: int, source: int, type_id: int, payload: bytes, epoch: int = 1
) -> bytes:
    """The record's bytes.

    Raises:
        LogError: the payload is longer than a reader would accept.
    """
    if len(payload) > MAX_PAYLOAD:
        raise too_long(type_id, len(payload))
    body = _pack_body(len(payload), seq, ts, source_seq, cause, source, type_id) + payload
    return SEAL.pack(crc32(body, crc32(_CRC.pack(epoch))), epoch) + body


def seal(body: bytes) -> bytes:
    """The record of the first epoch with this body."""
    return _pack_seal(crc32(body, EPOCH_SUM), 1) + body


def seal_all(bodies: Sequence[bytes]) -> bytes:
    """The records of the first epoch with these bodies, one behind another."""
    parts = [b""] * (2 * len(bodies))
    parts[::2] = map(_pack_seal, map(crc32, bodies, repeat(EPOCH_SUM)), repeat(1))
    parts[1::2] = bodies
    return b"".join(parts)


def seq_of(body: bytes) -> int:
    """The seq that a body says."""
    return int.from_bytes(body[4:12], "little")


def fitting(bodies: Sequence[bytes], most: int, room: int) -> int:
    """How many records with these bodies can be written: at most `most`, each where some of so many bytes is left.

    Raises:
        LogError: the first one's payload is longer than a reader would accept.
    """
    count = min(most, len(bodies))
    if sum(map(len, bodies[:count])) + SEAL.size * count <= min(room, MAX_PAYLOAD):
        return count
    for index, body in enumerate(bodies[:count]):
        if room <= 0 or (index and len(body) - BODY.size > MAX_PAYLOAD):
            return index
        if len(body) - BODY.size > MAX_PAYLOAD:
            raise too_long(int.from_bytes(body[38:40], "little"), len(body) - BODY.size)
        room -= SEAL.size + len(body)
    return count


def too_long(type_id: int, length: int) -> LogError:
    """The error of a payload that no reader would accept."""
    return LogError(f"a message of type {type_id} has {length} bytes, more than the {MAX_PAYLOAD} allowed")


def digested(record: bytes) -> bytes:
    """The part of a record's bytes that the run's digest covers."""
    return record[DIGESTED_FROM:]


def decode_record(data: bytes, offset: int = 0) -> tuple[Record, int]:
    """The record at `offset` and the offset after it.

    Raises:
        IncompleteRecord: `data` ends before the record does.
        LogError: the checksum does not fit, or the length cannot be right.
    """
    start = offset + HEADER_SIZE
    if start > len(data):
        raise IncompleteRecord(start - len(data))
    checksum, epoch, length, seq, ts, source_seq, cause, source, type_id = _unpack_head(data, offset)
    if length > MAX_PAYLOAD:
        raise LogError(f"a record says that its payload has {length} bytes, more than the {MAX_PAYLOAD} allowed")
    end = start + length
    if end > len(data):
        raise IncompleteRecord(end - len(data))
    if crc32(data[offset + 4 : end]) != checksum:  # a copy is cheaper than a view of so little
        raise LogError(f"the checksum of the record that says it is seq {seq} does not fit its bytes")
    return _record((seq, ts, source_seq, cause, epoch, source, type_id, data[start:end])), end


def decode_records(data: bytes) -> list[Record]:
    """All records in `data`, which must end where a record ends."""
    records, offset, size = [], 0, len(data)
    while offset < size:
        record, offset = decode_record(data, offset)
        records.append(record)
    return records


class IncompleteRecord(LogError):
    """The bytes end in the middle of a record; `missing` more are needed at least."""

    def __init__(self, missing: int) -> None:
        self.missing = missing
        super().__init__(f"the last record is incomplete: at least {missing} bytes are missing")
