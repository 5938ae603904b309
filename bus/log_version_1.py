"""Reads segments of version 1: every record has a checksum and an epoch of its own before its head.

    crc32 u32 | epoch u32 | a record as it is today

A mark behind every 4,096 records, and the footer, have the digest (BLAKE2b) as their payload. Nobody writes such logs
any more; that they can be read and replayed is all that is promised of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import BinaryIO, Final

from isal.isal_zlib import crc32

from bus.errors import LogError
from bus.log_format import SEGMENT_HEAD_SIZE
from bus.log_stretch import CHUNK, LAST_DECLARATION, Seal, Stretch
from bus.record import FOOTER_TYPE, HEAD, HEADER_SIZE, SEQ_OFFSET, IncompleteRecord, Record, decode_record

_LEAD: Final = 8
_EPOCH_AT: Final = 4


def stretches_of_version_1(file: BinaryIO, seq: int) -> Iterator[Stretch]:
    """As `bus.log_stretch.stretches`; what follows no mark yet is proven by its checksums."""
    data, base, more, closed = b"", SEGMENT_HEAD_SIZE, CHUNK, False
    while chunk := file.read(more):
        data, start, more = data + chunk, 0, CHUNK
        records: list[bytes] = []
        while True:
            try:
                record, end = _decode(data, start)
                _check_place(record, seq, closed)
            except IncompleteRecord as incomplete:
                more = max(CHUNK, incomplete.missing)
                break
            except LogError as error:
                yield _stretch(records, base + start)
                raise LogError(f"byte {base + start}, after seq {seq}: {error}") from None
            if record.type_id >= FOOTER_TYPE:
                closed = record.type_id == FOOTER_TYPE
                yield _stretch(records, base + end, Seal(record.payload, closed))
                records = []
            else:
                records.append(data[start + _LEAD : end])
                seq = record.seq
            start = end
        data, base = data[start:], base + start
        yield _stretch(records, base)
    if data and (closed or _holds_a_record(data, seq)):
        what = "bytes behind the log's footer" if closed else "a damaged record, with good ones behind it"
        raise LogError(f"byte {base}, after seq {seq}: {what}")
    yield Stretch(b"", [0], [], base, None, data)


def _decode(data: bytes, offset: int) -> tuple[Record, int]:
    if offset + _LEAD > len(data):
        raise IncompleteRecord(offset + _LEAD + HEADER_SIZE - len(data))
    record, end = decode_record(data, offset + _LEAD)
    if crc32(data[offset + _EPOCH_AT : end]) != int.from_bytes(data[offset : offset + _EPOCH_AT], "little"):
        raise LogError(f"the checksum of the record that says it is seq {record.seq} does not fit its bytes")
    return record, end


def _check_place(record: Record, last_seq: int, closed: bool) -> None:
    if closed:
        raise LogError(f"seq {record.seq} stands behind the log's footer")
    if record.type_id < FOOTER_TYPE and record.seq != last_seq + 1:
        raise LogError(f"seq {record.seq} follows seq {last_seq}")


def _stretch(records: list[bytes], end: int, seal: Seal | None = None) -> Stretch:
    offsets = [0, *itertools.accumulate(map(len, records))]
    types = [HEAD.unpack_from(record)[-1] for record in records]
    declared = [at for at, type_id in zip(offsets[:-1], types, strict=True) if type_id <= LAST_DECLARATION]
    return Stretch(b"".join(records), offsets, declared, end, seal or Seal(b"", closes=False))


def _holds_a_record(rest: bytes, last_seq: int) -> bool:
    for seq in (last_seq + 1, last_seq + 2):
        needle, at = seq.to_bytes(8, "little"), _LEAD + SEQ_OFFSET
        while (at := rest.find(needle, at + 1)) >= 0:
            try:
                _decode(rest, at - SEQ_OFFSET - _LEAD)
            except LogError:
                continue
            return True
    return False
