"""Reads a message log of any size, one record at a time, and checks it on the way."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple
from zlib import crc32

from bus.errors import LogError
from bus.log import SEGMENT_HEAD_SIZE, SUFFIX, RunDigest, parse_segment_head
from bus.record import (
    DIGESTED_FROM,
    FOOTER_TYPE,
    HEAD,
    HEADER_SIZE,
    MARK_TYPE,
    MAX_PAYLOAD,
    SEQ_OFFSET,
    IncompleteRecord,
    Record,
    decode_record,
)
from bus.record_run import check_run
from schemas import Message, SourceDeclared, TypeDeclared
from schemas.codec import DecodeError, decode
from schemas.registry import TYPE_IDS

_CHUNK: Final = 256 * 1024
_SOURCE_DECLARED: Final = TYPE_IDS[SourceDeclared]
_CRC_FROM: Final = 4
_STREAK: Final = 8
"""Records of equal length after which it is looked whether a run of such follows."""
_CHECKED: Final = struct.Struct("<I4xIQ26xH")
"""Of a record's head what checking needs: crc32, length, seq, type."""


def find_segments(path: Path) -> list[Path]:
    """The segment files of a log given as a run folder, a log folder, or one segment file.

    Raises:
        LogError: there is no log.
    """
    if path.is_file():
        return [path]
    for folder in (path, path / "log"):
        segments = sorted(folder.glob(f"*{SUFFIX}"))
        if segments:
            return segments
    if not path.exists():
        raise LogError(f"{path}: no such file or folder")
    raise LogError(f"{path}: holds no message log (no *{SUFFIX} file there or in its folder 'log')")


class DigestError(LogError):
    """A stored digest does not fit the records before it, though each of them fits its checksum."""


class Place(NamedTuple):
    """A place between two records: the segment, the byte offset in it, and the seq of the record before."""

    segment: Path
    offset: int
    seq: int


@dataclass
class LogReader:
    """Iterates over the records of a log in order, once, and fills in what it learns.

    Checks every checksum, that seq has no gap, and every stored digest. `closed` is True when the footer was there,
    `torn_bytes` counts the bytes of an incomplete record at the very end (the writer was killed while it wrote; all
    records before it are good). `sound` is the place up to which everything was in order, `proven` the last place up to
    which a stored digest said so. Memory is constant: one chunk, and the declarations.

    Raises (while iterating):
        LogError: damage anywhere else, with file, byte offset and the last good seq.
    """

    path: Path
    check_digest: bool = True
    records: int = 0
    last_seq: int = 0
    closed: bool = False
    torn_bytes: int = 0
    stored_digest: str = ""
    sound: Place | None = None
    proven: Place | None = None
    sources: dict[int, SourceDeclared] = field(default_factory=dict)
    types: dict[int, TypeDeclared] = field(default_factory=dict)
    _digest: RunDigest = field(default_factory=RunDigest)

    @property
    def digest(self) -> str:
        """Digest of the records read so far, as hexadecimal text."""
        return self._digest.value().hex()

    def __iter__(self) -> Iterator[Record]:
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[Record]]:
        """The records in lists of up to some thousand, each list checked before it is handed out.

        What the reader knows (`last_seq`, `digest`, declarations, ...) is then that of the end of the list.
        """
        return (_records_at(data, offsets) for data, offsets in self._slices())

    def verify(self) -> None:
        """Read to the end and check everything, without making records of the bytes."""
        for _ in self._slices():
            pass

    def _slices(self) -> Iterator[tuple[bytes, list[int]]]:
        """Bytes, and the offsets in them at which checked records begin; the last is where the last record ends."""
        segments = find_segments(self.path)
        for index, segment in enumerate(segments):
            yield from self._segment(segment, is_last=index == len(segments) - 1)

    def message(self, record: Record) -> Message:
        """The record's payload as a message."""
        return decode(record.type_id, record.payload)

    def type_name(self, type_id: int) -> str:
        """The declared name of a type, or its number."""
        declared = self.types.get(type_id)
        return declared.name if declared else f"type {type_id}"

    def source_name(self, source: int) -> str:
        """The declared name of a source, or its number."""
        declared = self.sources.get(source)
        return declared.name if declared else "hub" if source == 0 else f"source {source}"

    def _segment(self, path: Path, is_last: bool) -> Iterator[tuple[bytes, list[int]]]:
        with _open(path) as file:
            head = file.read(SEGMENT_HEAD_SIZE)
            if is_last and self.last_seq and len(head) < SEGMENT_HEAD_SIZE:
                self._end_of_segment(head, path, 0, is_last)
                return
            first_seq, digest = parse_segment_head(head, path)
            if first_seq != self.last_seq + 1 and self.last_seq:
                raise LogError(f"{path}: starts at seq {first_seq}, after seq {self.last_seq}: a segment is missing")
            if first_seq == 1 or self.last_seq:
                self._compare(digest, f"{path}: the digest in the segment's head")
            else:
                raise LogError(f"{path}: starts at seq {first_seq}: the segments before it are missing")
            self.sound = self.proven = Place(path, SEGMENT_HEAD_SIZE, self.last_seq)
            yield from self._records(file, path, is_last)

    def _records(self, file: BinaryIO, path: Path, is_last: bool) -> Iterator[tuple[bytes, list[int]]]:
        data, base, more = b"", SEGMENT_HEAD_SIZE, _CHUNK
        while chunk := file.read(more):
            data += chunk
            offset = 0
            while True:
                offsets = self._sound_records(data, offset)
                end = offsets[-1]
                if end > offset:
                    self.sound = Place(path, base + end, self.last_seq)
                    yield data, offsets
                try:
                    record, offset = decode_record(data, end)
                except IncompleteRecord as incomplete:
                    more = max(_CHUNK, incomplete.missing)
                    break
                except LogError as error:
                    raise LogError(f"{path}: byte {base + end}, after seq {self.last_seq}: {error}") from None
                self._odd_record(record, path)
                self.sound = self.proven = Place(path, base + offset, self.last_seq)
            data, base = data[end:], base + end
        self._end_of_segment(data, path, base, is_last)

    def _sound_records(self, data: bytes, offset: int) -> list[int]:
        """The offsets of the records from `offset` on, up to the first that is no message in its place.

        Such are marks and footers, damage, and a record that `data` ends in. The loop is the hottest of all reading.
        """
        offsets, declared = [offset], []
        digested: list[bytes | memoryview] = []
        streak, length_before = 0, -1
        view, size, last_seq = memoryview(data), len(data), self.last_seq
        add, digest, check, head = offsets.append, digested.append, crc32, _CHECKED.unpack_from
        while offset + HEADER_SIZE <= size and not self.closed:
            stored, length, seq, type_id = head(data, offset)
            end = offset + HEADER_SIZE + length
            if end > size or type_id >= FOOTER_TYPE or seq != last_seq + 1 or length > MAX_PAYLOAD:
                break
            covered = view[offset + _CRC_FROM : end]
            if check(covered) != stored:
                break
            if type_id <= _SOURCE_DECLARED:
                declared.append(offset)
            digest(covered[DIGESTED_FROM - _CRC_FROM :])
            last_seq, offset = seq, end
            add(offset)
            streak = streak + 1 if length == length_before else 0
            length_before = length
            if streak == _STREAK and type_id > _SOURCE_DECLARED:
                step, streak = HEADER_SIZE + length, 0
                while (run := check_run(data, offset, step, last_seq + 1, type_id))[0]:
                    digest(run[1])
                    last_seq, end = last_seq + run[0], offset + run[0] * step
                    offsets += range(offset + step, end + 1, step)
                    offset = end
        self.last_seq = last_seq
        self.records += len(offsets) - 1
        if self.check_digest:
            self._digest.update(b"".join(digested))
        for at in declared:
            self._declare(decode_record(data, at)[0])
        return offsets

    def _declare(self, record: Record) -> None:
        try:
            declared = decode(record.type_id, record.payload)
        except DecodeError as error:
            raise LogError(f"{self.path}: seq {record.seq} declares nothing that can be read: {error}") from None
        if isinstance(declared, TypeDeclared):
            self.types[declared.type_id] = declared
        elif isinstance(declared, SourceDeclared):
            self.sources[declared.source_id] = declared

    def _odd_record(self, record: Record, path: Path) -> None:
        """A record that is sound in itself and yet no message in its place."""
        if record.type_id >= FOOTER_TYPE:
            self._mark(record, path)
        elif self.closed:
            raise LogError(f"{path}: seq {record.seq} stands behind the log's footer")
        else:
            raise LogError(f"{path}: seq {record.seq} follows seq {self.last_seq}")

    def _mark(self, record: Record, path: Path) -> None:
        self._compare(record.payload, f"{path}: the digest stored after seq {self.last_seq}")
        if record.type_id == FOOTER_TYPE:
            self.closed = True
            self.stored_digest = record.payload.hex()
        else:
            assert record.type_id == MARK_TYPE

    def _compare(self, stored: bytes, where: str) -> None:
        if self.check_digest and stored != self._digest.value():
            raise DigestError(f"{where} does not fit the records: {stored.hex()}, computed {self.digest}")

    def _end_of_segment(self, rest: bytes, path: Path, base: int, is_last: bool) -> None:
        if rest and not is_last:
            raise LogError(f"{path}: byte {base}: the segment ends within a record, and others follow it")
        if rest and self.closed:
            raise LogError(f"{path}: byte {base}: {len(rest)} bytes stand behind the log's footer")
        if _holds_a_record(rest, self.last_seq):
            raise LogError(
                f"{path}: byte {base}, after seq {self.last_seq}: a damaged record, with good ones behind it"
            )
        self.torn_bytes = len(rest)


def _records_at(data: bytes, offsets: list[int]) -> list[Record]:
    head, make = HEAD.unpack_from, Record._make
    records = []
    for start, end in itertools.pairwise(offsets):
        _, epoch, _, seq, ts, source_seq, cause, source, type_id = head(data, start)
        payload = data[start + HEADER_SIZE : end]
        records.append(make((seq, ts, source_seq, cause, epoch, source, type_id, payload)))
    return records


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise LogError(f"{path}: cannot read the message log: {error.strerror}") from error


def _holds_a_record(rest: bytes, last_seq: int) -> bool:
    """Whether a whole record lies somewhere behind the first byte of `rest`.

    A damaged length looks like a torn tail; what follows it tells the two apart. A record that follows has the seq
    after the damaged one's, a mark or footer has the same.
    """
    for seq in (last_seq + 1, last_seq + 2):
        needle = seq.to_bytes(8, "little")
        at = rest.find(needle, SEQ_OFFSET + 1)
        while at >= 0:
            try:
                decode_record(rest, at - SEQ_OFFSET)
            except LogError:
                at = rest.find(needle, at + 1)
            else:
                return True
    return False
