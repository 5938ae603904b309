"""Reads a message log of any size, one record at a time, and checks it on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from bus.errors import LogError
from bus.log import SEGMENT_HEAD_SIZE, SUFFIX, RunDigest, parse_segment_head
from bus.record import (
    FOOTER_TYPE,
    MARK_TYPE,
    SEQ_OFFSET,
    IncompleteRecord,
    Record,
    decode_record,
    digested,
)
from schemas import Message, SourceDeclared, TypeDeclared
from schemas.codec import decode
from schemas.registry import TYPE_IDS

_CHUNK: Final = 1024 * 1024
_SOURCE_DECLARED: Final = TYPE_IDS[SourceDeclared]
_TYPE_DECLARED: Final = TYPE_IDS[TypeDeclared]


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


@dataclass
class LogReader:
    """Iterates over the records of a log in order, once, and fills in what it learns.

    Checks every checksum, that seq has no gap, and every stored digest. `closed` is True when the footer was there,
    `torn_bytes` counts the bytes of an incomplete record at the very end (the writer was killed while it wrote; all
    records before it are good). Memory is constant: one chunk, and the declarations.

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
    sources: dict[int, SourceDeclared] = field(default_factory=dict)
    types: dict[int, TypeDeclared] = field(default_factory=dict)
    _digest: RunDigest = field(default_factory=RunDigest)

    @property
    def digest(self) -> str:
        """Digest of the records read so far, as hexadecimal text."""
        return self._digest.value().hex()

    def __iter__(self) -> Iterator[Record]:
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

    def _segment(self, path: Path, is_last: bool) -> Iterator[Record]:
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
            yield from self._records(file, path, is_last)

    def _records(self, file: BinaryIO, path: Path, is_last: bool) -> Iterator[Record]:
        data, offset, base = b"", 0, SEGMENT_HEAD_SIZE
        while True:
            try:
                record, end = decode_record(data, offset)
            except IncompleteRecord as incomplete:
                base, data, offset = base + offset, data[offset:], 0
                more = file.read(max(_CHUNK, incomplete.missing))
                if more:
                    data += more
                    continue
                self._end_of_segment(data, path, base, is_last)
                return
            except LogError as error:
                raise LogError(f"{path}: byte {base + offset}, after seq {self.last_seq}: {error}") from None
            if record.type_id >= FOOTER_TYPE:
                self._mark(record, path)
            else:
                self._accept(record, data[offset:end], path)
                yield record
            offset = end

    def _accept(self, record: Record, raw: bytes, path: Path) -> None:
        if self.closed:
            raise LogError(f"{path}: seq {record.seq} stands behind the log's footer")
        if record.seq != self.last_seq + 1:
            raise LogError(f"{path}: seq {record.seq} follows seq {self.last_seq}")
        self.last_seq = record.seq
        self.records += 1
        if self.check_digest:
            self._digest.update(digested(raw))
        if record.type_id == _TYPE_DECLARED:
            declared = decode(record.type_id, record.payload)
            assert isinstance(declared, TypeDeclared)
            self.types[declared.type_id] = declared
        elif record.type_id == _SOURCE_DECLARED:
            source = decode(record.type_id, record.payload)
            assert isinstance(source, SourceDeclared)
            self.sources[source.source_id] = source

    def _mark(self, record: Record, path: Path) -> None:
        self._compare(record.payload, f"{path}: the digest stored after seq {self.last_seq}")
        if record.type_id == FOOTER_TYPE:
            self.closed = True
            self.stored_digest = record.payload.hex()
        else:
            assert record.type_id == MARK_TYPE

    def _compare(self, stored: bytes, where: str) -> None:
        if self.check_digest and stored != self._digest.value():
            raise LogError(f"{where} does not fit the records: {stored.hex()}, computed {self.digest}")

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
