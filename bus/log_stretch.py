"""Finds the records in a segment's bytes, a stretch at a time, and checks them against the seal behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from bus.errors import LogError
from bus.log_format import SEAL, SEGMENT_HEAD_SIZE, checksum
from bus.record import (
    FOOTER_TYPE,
    HEADER_SIZE,
    LENGTH,
    MAX_PAYLOAD,
    OUTLINE,
    SEAL_TYPE,
    SEQ_OFFSET,
    SEQ_SIZE,
    IncompleteRecord,
    Record,
    decode_record,
)
from bus.record_run import run_length
from schemas import SourceDeclared, TypeDeclared
from schemas.registry import TYPE_IDS

CHUNK: Final = 1024 * 1024
_LONGEST: Final = 1024 * 1024
"""The last record of a stretch begins within so many bytes; writers put a seal behind `SEAL_BYTES` of them."""
_STREAK: Final = 8
"""Records of equal length after which it is looked whether a run of such follows."""
LAST_DECLARATION: Final = max(TYPE_IDS[TypeDeclared], TYPE_IDS[SourceDeclared])
"""Types with this id and lower ones declare what the log holds."""
_SEAL_FIELDS: Final = [bytes(26) + type_id.to_bytes(2, "little") for type_id in (SEAL_TYPE, FOOTER_TYPE)]
"""The fields of a seal, and of a footer, behind its seq."""
_ARRAYS: Final = frozenset([*range(0x90, 0xA0), 0xDC, 0xDD])
"""The bytes with which a payload may begin: it is a msgpack array."""
_DIGEST_SIZES: Final = (0, 32)


class Seal(NamedTuple):
    """What stands behind a stretch: perhaps the digest of all records so far, and whether it closes the log."""

    digest: bytes
    closes: bool


class Stretch(NamedTuple):
    """Records one behind another, in order of seq, up to a seal or to the end of the segment."""

    data: bytes
    offsets: list[int]
    """Where in `data` each begins, and at last where the last one ends."""
    declared: list[int]
    """Those at which a declaration begins."""
    end: int
    """The byte offset in the segment behind it and its seal."""
    seal: Seal | None
    """None at the end of a segment that its writer did not close: nothing proves these records."""
    rest: bytes = b""
    """Then, what stands behind them: the beginning of one more, if anything."""

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self.offsets) - 1


def stretches(file: BinaryIO, seq: int) -> Iterator[Stretch]:
    """All that stands behind a segment's head, when `seq` is that of the last record before it.

    Raises (while iterating):
        LogError: damage, with the byte offset in the segment and the last seq before it.
    """
    data, base, more, closed = b"", SEGMENT_HEAD_SIZE, CHUNK, False
    while chunk := file.read(more):
        data += chunk
        if closed:
            raise LogError(f"byte {base}: {len(data)} or more bytes stand behind the log's footer")
        start, more = 0, CHUNK
        while not closed:
            offsets, declared = _find(data, start, seq)
            end = offsets[-1]
            last = seq + len(offsets) - 1
            try:
                record, behind = decode_record(data, end)
                seal = _proof(memoryview(data)[start:end], record, last)
            except IncompleteRecord as incomplete:
                _check_length(offsets, f"byte {base + start}, after seq {seq}")
                more = max(CHUNK, incomplete.missing)
                break
            except _Wrong as wrong:
                raise LogError(f"byte {base + start}, after seq {seq}: {wrong}") from None
            except LogError as error:
                raise LogError(f"byte {base + end}, after seq {last}: {error}") from None
            yield Stretch(data, offsets, declared, base + behind, seal)
            seq, start, closed = last, behind, seal.closes
        data, base = data[start:], base + start
    yield _tail(data, base, seq, closed)


def _check_length(offsets: list[int], where: str) -> None:
    """No writer goes on so long without a seal, and nobody could keep what would come."""
    if len(offsets) > 1 and offsets[-2] - offsets[0] > _LONGEST:
        raise LogError(f"{where}: no seal stands behind {offsets[-1] - offsets[0]:,} bytes of records") from None


class _Wrong(LogError):
    """A stretch is not as its seal says."""


def _find(data: bytes, offset: int, seq: int) -> tuple[list[int], list[int]]:
    """Where the records after `seq` begin, from `offset` on, and where the last one ends; and where declarations begin.

    That ends before a seal, or a record that does not follow, or that `data` ends in. The loop is the hottest of all
    reading.
    """
    offsets, declared, size = [offset], [], len(data)
    streak, length_before = 0, -1
    add, head = offsets.append, OUTLINE.unpack_from
    while offset + HEADER_SIZE <= size:
        length, its_seq, type_id = head(data, offset)
        end = offset + HEADER_SIZE + length
        if end > size or type_id >= FOOTER_TYPE or its_seq != seq + 1 or length > MAX_PAYLOAD:
            break
        if type_id <= LAST_DECLARATION:
            declared.append(offset)
        seq, offset = its_seq, end
        add(offset)
        streak = streak + 1 if length == length_before else 0
        length_before = length
        if streak == _STREAK and type_id > LAST_DECLARATION:
            step, streak = HEADER_SIZE + length, 0
            while count := run_length(data, offset, step, seq + 1, type_id):
                end = offset + count * step
                offsets += range(offset + step, end + 1, step)
                seq, offset = seq + count, end
    return offsets, declared


def _proof(data: memoryview, record: Record, last_seq: int) -> Seal:
    """What the record behind these bytes says as a seal of them.

    Raises:
        _Wrong: they are not what it seals.
        LogError: it is no seal, and not the next record either.
    """
    seq, _, _, _, _, type_id, payload = record
    if type_id < FOOTER_TYPE:
        raise LogError(f"seq {seq} follows seq {last_seq}")
    if seq != last_seq or not _looks_like_a_seal(record):
        raise LogError(f"a damaged seal, or one of other records: it says seq {seq}")
    epoch, stored = SEAL.unpack_from(payload)
    if checksum(data, epoch) != stored:
        raise _Wrong(f"the checksum of the {len(data):,} bytes up to seq {last_seq} does not fit them")
    return Seal(payload[SEAL.size :], type_id == FOOTER_TYPE)


def _tail(data: bytes, base: int, seq: int, closed: bool) -> Stretch:
    """What no seal stands behind.

    Raises:
        LogError: a seal does, or a whole record behind an incomplete one: then something before it is damaged.
    """
    offsets, declared = ([0], []) if closed else _find(data, 0, seq)
    last, at = seq + len(offsets) - 1, offsets[-1]
    rest = data[at:]
    if closed and rest:
        raise LogError(f"byte {base}: {len(rest)} bytes stand behind the log's footer")
    if not _may_be_torn(rest, data[:at], last):
        raise LogError(f"byte {base + at}, after seq {last}: a damaged record or seal at the end")
    if any(_holds_a_record(rest, later) for later in (last + 1, last + 2)):
        raise LogError(f"byte {base + at}, after seq {last}: a damaged record, with good ones behind it")
    if _holds_a_seal(data, seq):
        raise LogError(f"byte {base}, after seq {seq}: a damaged record, with a seal behind it")
    return Stretch(data, offsets, declared, base + at, None, rest)


def _may_be_torn(rest: bytes, sealed: bytes, last_seq: int) -> bool:
    """Whether an incomplete record or seal begins as the next one would: all that is there of it must be right."""
    if len(rest) < HEADER_SIZE:
        return True
    head, _ = decode_record(bytes(LENGTH.size) + rest[LENGTH.size : HEADER_SIZE])
    if head.type_id < FOOTER_TYPE:
        return head.seq == last_seq + 1
    (length,) = LENGTH.unpack_from(rest)
    if not _looks_like_a_seal(head._replace(payload=bytes(length))) or head.seq != last_seq:
        return False
    if len(rest) < HEADER_SIZE + SEAL.size:
        return True
    epoch, stored = SEAL.unpack_from(rest, HEADER_SIZE)
    return bool(checksum(sealed, epoch) == stored)


def _holds_a_record(rest: bytes, seq: int) -> bool:
    """Whether a whole record of this seq lies somewhere behind the first byte.

    A damaged length looks like a torn tail; what follows it tells the two apart.
    """
    needle, at = seq.to_bytes(SEQ_SIZE, "little"), SEQ_OFFSET
    while (at := rest.find(needle, at + 1)) >= 0:
        record = _decoded(rest, at - SEQ_OFFSET)
        if record is None or record.cause >= seq or not 0 < record.source_seq <= seq:
            continue
        if record.payload and record.payload[0] in _ARRAYS:
            return True
    return False


def _holds_a_seal(data: bytes, last_seq: int) -> bool:
    """Whether a whole seal behind this seq or later ones lies somewhere."""
    highest = last_seq + len(data) // HEADER_SIZE
    for fields in _SEAL_FIELDS:  # with the type: bytes of nothing but zeros are common
        at = -1
        while (at := data.find(fields, at + 1)) >= 0:
            record = _decoded(data, at - SEQ_OFFSET - SEQ_SIZE)
            if record is not None and last_seq <= record.seq <= highest and _looks_like_a_seal(record):
                return True
    return False


def _decoded(data: bytes, offset: int) -> Record | None:
    try:
        return decode_record(data, offset)[0] if offset >= 0 else None
    except LogError:
        return None


def _looks_like_a_seal(record: Record) -> bool:
    _, *others, type_id, payload = record
    return type_id >= FOOTER_TYPE and not any(others) and len(payload) - SEAL.size in _DIGEST_SIZES
