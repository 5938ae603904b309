"""Reads a message log of any size, one record at a time, and checks it on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from bus.errors import LogError
from bus.log_format import SEAL_BYTES, SEGMENT_HEAD_SIZE, SUFFIX, new_digest, parse_segment_head
from bus.log_stretch import Stretch, stretches
from bus.log_version_1 import stretches_of_version_1
from bus.record import Record, decode_record, decode_records
from schemas import Message, SourceDeclared, TypeDeclared
from schemas.codec import DecodeError, decode


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
    """A stored digest does not fit the records before it, though they fit their checksums."""


class Place(NamedTuple):
    """A place between two records: the segment, the byte offset in it, and the seq of the record before."""

    segment: Path
    offset: int
    seq: int


@dataclass
class LogReader:
    """Iterates over the records of a log in order, once, and fills in what it learns.

    Checks every seal's checksum, that seq has no gap, and every stored digest. `version` is that of the log's format, 0
    before the first segment was read, and `digest` is of the kind that this version has. `closed` is True when the
    footer was there. Where it is not, the writer was killed or still writes: `unsealed` counts the records at the end
    that no checksum covers, `torn_bytes` the bytes of an incomplete one behind them (all records before it are whole).
    `sound` is the place up to which everything was in order, `proven` the last place up to which a stored digest said
    so. Memory is constant: some chunks, and the declarations.

    Raises (while iterating):
        LogError: damage anywhere else, with file, byte offset and the last good seq.
    """

    path: Path
    check_digest: bool = True
    version: int = 0
    records: int = 0
    last_seq: int = 0
    closed: bool = False
    unsealed: int = 0
    torn_bytes: int = 0
    stored_digest: str = ""
    sound: Place | None = None
    proven: Place | None = None
    sources: dict[int, SourceDeclared] = field(default_factory=dict)
    types: dict[int, TypeDeclared] = field(default_factory=dict)
    _digest: Any = field(default_factory=new_digest)

    @property
    def digest(self) -> str:
        """Digest of the records read so far, as hexadecimal text."""
        return str(self._digest.hexdigest())

    def __iter__(self) -> Iterator[Record]:
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[Record]]:
        """The records in lists of up to some thousand, each list checked before it is handed out.

        What the reader knows (`last_seq`, `digest`, declarations, ...) is then that of the end of the list.
        """
        records: list[Record] = []
        size = 0
        try:
            for stretch in self._stretches():
                records += decode_records(stretch.data[stretch.offsets[0] : stretch.offsets[-1]])
                size += stretch.offsets[-1] - stretch.offsets[0]
                if size >= SEAL_BYTES:  # live runs have a seal behind every few records
                    yield records
                    records, size = [], 0
        except LogError:
            if records:
                yield records
            raise
        if records:
            yield records

    def verify(self) -> None:
        """Read to the end and check everything, without making records of the bytes."""
        for _ in self._stretches():
            pass

    def _stretches(self) -> Iterator[Stretch]:
        """What there is, checked, without stretches of nothing."""
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

    def _segment(self, path: Path, is_last: bool) -> Iterator[Stretch]:
        with _open(path) as file:
            head = file.read(SEGMENT_HEAD_SIZE)
            if is_last and self.last_seq and len(head) < SEGMENT_HEAD_SIZE:
                self.torn_bytes = len(head)
                return
            version, first_seq, digest = parse_segment_head(head, path)
            if first_seq != self.last_seq + 1 and self.last_seq:
                raise LogError(f"{path}: starts at seq {first_seq}, after seq {self.last_seq}: a segment is missing")
            if first_seq != 1 and not self.last_seq:
                raise LogError(f"{path}: starts at seq {first_seq}: the segments before it are missing")
            self._belongs(version, path)
            self._compare(digest, f"{path}: the digest in the segment's head")
            self.sound = self.proven = Place(path, SEGMENT_HEAD_SIZE, self.last_seq)
            found = stretches_of_version_1 if version == 1 else stretches
            try:
                for stretch in found(file, self.last_seq):
                    self._take(stretch, path, is_last)
                    if stretch.records:
                        yield stretch
            except DigestError:
                raise
            except LogError as error:
                raise LogError(f"{path}: {error}") from None

    def _belongs(self, version: int, path: Path) -> None:
        """The first segment says of which version a log is, and with it of which kind its digest."""
        if not self.version:
            self.version, self._digest = version, new_digest(version)
        elif version != self.version:
            raise LogError(
                f"{path}: log version {version}, and the segments before it are of version {self.version}: "
                "they are not of one log"
            )

    def _take(self, stretch: Stretch, path: Path, is_last: bool) -> None:
        """Count the stretch's records, digest them, and compare what its seal says."""
        data, offsets, declared, end, seal, _ = stretch
        self.records += stretch.records
        self.last_seq += stretch.records
        if self.check_digest:
            self._digest.update(memoryview(data)[offsets[0] : offsets[-1]])
        for at in declared:
            self._declare(decode_record(data, at)[0])
        if seal is None:
            self._end_of_segment(stretch, is_last)
        elif seal.digest:
            self._compare(seal.digest, f"{path}: the digest stored after seq {self.last_seq}")
            self.proven = Place(path, end, self.last_seq)
            if seal.closes:
                self.closed, self.stored_digest = True, seal.digest.hex()
        self.sound = Place(path, end, self.last_seq)

    def _declare(self, record: Record) -> None:
        try:
            declared = decode(record.type_id, record.payload)
        except DecodeError as error:
            raise LogError(f"seq {record.seq} declares nothing that can be read: {error}") from None
        if isinstance(declared, TypeDeclared):
            self.types[declared.type_id] = declared
        elif isinstance(declared, SourceDeclared):
            self.sources[declared.source_id] = declared

    def _compare(self, stored: bytes, where: str) -> None:
        if self.check_digest and stored != self._digest.digest():
            raise DigestError(f"{where} does not fit the records: {stored.hex()}, computed {self.digest}")

    def _end_of_segment(self, tail: Stretch, is_last: bool) -> None:
        if not is_last and (tail.records or tail.rest):
            raise LogError(f"byte {tail.end}: the segment ends without a seal, and others follow it")
        if not is_last and self.closed:
            raise LogError("holds the log's footer, and other segments follow it")
        self.unsealed, self.torn_bytes = tail.records, len(tail.rest)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise LogError(f"{path}: cannot read the message log: {error.strerror}") from error
