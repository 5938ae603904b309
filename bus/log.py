"""The message log: append-only segment files of records, with a digest.

A log is a folder of segments, `00000000000000000001.admflog` and so on, each named after its first seq. A
segment starts with a head (magic, version, first seq, digest so far, checksum) and goes on with records. Every
`MARK_EVERY` records a mark holds the digest of all records so far, and a closed log ends with a footer that
holds the digest of all: two runs are equal when their digests are. Nothing in a log names the run, the machine
or the time of writing, so equal runs have equal files.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final, Protocol
from zlib import crc32

from bus.errors import LogError
from bus.record import (
    BODY,
    DIGESTED_FROM,
    EPOCH_SUM,
    FOOTER_TYPE,
    HEADER_SIZE,
    MARK_TYPE,
    MAX_PAYLOAD,
    SEAL,
    encode_record,
    too_long,
)
from bus.record_run import LEAST, MOST, encode_run
from schemas import Message
from schemas.codec import encode

MAGIC: Final = b"ADMFLOG\x01"
SUFFIX: Final = ".admflog"
MARK_EVERY: Final = 4096
SEGMENT_BYTES: Final = 256 * 1024 * 1024
_BUFFER_BYTES: Final = 1024 * 1024
_HASHED_TOGETHER: Final = 64
"""A live run flushes what may be one record: that many records are hashed at once all the same."""
_HEAD: Final = struct.Struct("<8sIQ32s")
SEGMENT_HEAD_SIZE: Final = _HEAD.size + 4
VERSION: Final = 1

_ts_of = attrgetter("ts")
_pack_body, _pack_seal = BODY.pack, SEAL.pack


def segment_head(first_seq: int, digest: bytes) -> bytes:
    """The head of a segment whose first record is `first_seq`, after records with `digest`."""
    head = _HEAD.pack(MAGIC, VERSION, first_seq, digest)
    return head + struct.pack("<I", crc32(head))


def parse_segment_head(data: bytes, path: Path) -> tuple[int, bytes]:
    """First seq and digest so far.

    Raises:
        LogError: not a segment, a version that we do not know, or a damaged head.
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise LogError(f"{path}: not a message log (it does not start with the log's magic bytes)")
    if len(data) < SEGMENT_HEAD_SIZE:
        raise LogError(f"{path}: the file ends within the segment's head")
    _, version, first_seq, digest = _HEAD.unpack_from(data)
    if version != VERSION:
        raise LogError(f"{path}: log version {version}; this program reads version {VERSION}")
    if struct.unpack_from("<I", data, _HEAD.size)[0] != crc32(data[: _HEAD.size]):
        raise LogError(f"{path}: the checksum of the segment's head does not fit")
    return first_seq, digest


class RunDigest:
    """BLAKE2b over all records, in order, without their epochs.

    `add` only notes the digested part of a record, or of several: hashing much at once is cheaper.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32)
        self._noted: list[bytes] = []
        self.add = self._noted.append

    def update(self, data: bytes | memoryview) -> None:
        """Hash what was noted, then the data."""
        self.settle()
        self._hash.update(data)

    def settle(self, at_least: int = 1) -> None:
        """Hash what was noted, if it is so much."""
        if len(self._noted) >= at_least:
            self._hash.update(b"".join(self._noted))
            self._noted.clear()

    def value(self) -> bytes:
        """The 32 bytes of the digest so far."""
        self.settle()
        return self._hash.digest()


class Appends(Protocol):
    """A log, as far as appending goes."""

    def append(
        self, seq: int, ts: int, source_seq: int, cause: int, source: int, type_id: int, payload: bytes
    ) -> bytes:
        """Append a record and return its bytes."""


def append_each(
    log: Appends, seq: int, source_seq: int, source: int, type_id: int, messages: Sequence[Message]
) -> None:
    """Append messages from outside, each at its own `ts`; `seq` and `source_seq` are the first one's."""
    for index, message in enumerate(messages):
        log.append(seq + index, _ts_of(message), source_seq + index, 0, source, type_id, encode(message))


class DigestLog:
    """Capture `digest`: every record is encoded and digested, none is kept."""

    def __init__(self) -> None:
        self._digest = RunDigest()
        self.records = 0

    def append(
        self, seq: int, ts: int, source_seq: int, cause: int, source: int, type_id: int, payload: bytes
    ) -> bytes:
        """Digest the record and return its bytes."""
        record = encode_record(seq, ts, source_seq, cause, source, type_id, payload)
        self._digest.update(record[DIGESTED_FROM:])
        self.records += 1
        return record

    def append_run(self, seq: int, source_seq: int, source: int, type_id: int, messages: Sequence[Message]) -> None:
        """As `append_each`."""
        append_each(self, seq, source_seq, source, type_id, messages)

    def flush(self) -> None:
        """Nothing is buffered."""

    def abandon(self) -> None:
        """Nothing is kept."""

    def close(self) -> str:
        """The digest as hexadecimal text."""
        return self._digest.value().hex()


class LogWriter:
    """Capture `full`: appends records to segment files in `folder`, which must not hold a log already.

    Records are buffered until `flush`, `close`, or a megabyte of them. A flushed record survives the death of this
    process, not of the machine.

    Raises:
        LogError: the folder holds a log, or the disk refuses (full, read-only, ...).
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogError(f"{folder}: cannot create the folder of the message log: {error.strerror}") from error
        if any(folder.glob(f"*{SUFFIX}")):
            raise LogError(f"{folder}: holds a message log already; a log is never overwritten")
        self.folder = folder
        self.records = 0
        self._segment_bytes = max(segment_bytes, SEGMENT_HEAD_SIZE + 1)  # one record at least
        self._digest = RunDigest()
        self._buffer: list[bytes] = []
        self._note, self._keep = self._digest.add, self._buffer.append
        self._size = 0
        """Of the segment, with what is buffered."""
        self._flush_at = 0
        self._last_seq = 0
        self._file = -1
        self._open_segment(1)

    def append(
        self, seq: int, ts: int, source_seq: int, cause: int, source: int, type_id: int, payload: bytes
    ) -> bytes:
        """Append the record and return its bytes, which are those of `encode_record`."""
        if self._size >= self._segment_bytes:
            self._roll(seq)
        length = len(payload)
        if length > MAX_PAYLOAD:
            raise too_long(type_id, payload)
        body = _pack_body(length, seq, ts, source_seq, cause, source, type_id) + payload
        record = _pack_seal(crc32(body, EPOCH_SUM), 1) + body
        self._note(body)
        self._keep(record)
        self._size = size = self._size + HEADER_SIZE + length
        self._last_seq = seq
        self.records = count = self.records + 1
        if not count % MARK_EVERY or size >= self._flush_at:
            self._pause()
        return record

    def append_run(self, seq: int, source_seq: int, source: int, type_id: int, messages: Sequence[Message]) -> None:
        """As `append_each`, many at once where their payloads are equally long."""
        payloads = list(map(encode, messages))
        if len(payloads) < LEAST or len(set(map(len, payloads))) > 1:
            append_each(self, seq, source_seq, source, type_id, messages)
            return
        times = list(map(_ts_of, messages))
        done = 0
        while done < len(payloads):
            if self._size >= self._segment_bytes:
                self._roll(seq + done)
            part = slice(done, done + self._room(HEADER_SIZE + len(payloads[0])))
            records, bodies = encode_run(seq + done, source_seq + done, source, type_id, times[part], payloads[part])
            done += len(payloads[part])
            self._note(bodies)
            self._keep(records)
            self._size += len(records)
            self._last_seq = seq + done - 1
            self.records += len(payloads[part])
            self._pause()

    def _room(self, size: int) -> int:
        """How many records of this size fit before the next mark and the end of the segment, at most `MOST`."""
        return min(MARK_EVERY - self.records % MARK_EVERY, -(-(self._segment_bytes - self._size) // size), MOST)

    def _pause(self) -> None:
        """Between two records: write a mark, and what is buffered, if it is time."""
        if not self.records % MARK_EVERY:
            self._mark(MARK_TYPE)
        if self._size >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Hand all appended records to the operating system."""
        if not self._buffer:
            return
        if self._file < 0:
            raise LogError(f"{self.folder}: the message log is closed and takes no more records")
        self._digest.settle(_HASHED_TOGETHER)
        self._write(b"".join(self._buffer))
        self._buffer.clear()
        self._flush_at = self._size + _BUFFER_BYTES

    def abandon(self) -> None:
        """Write what was appended and close the file without a footer: the run was broken off."""
        if self._file >= 0:
            self._close_file()

    def close(self) -> str:
        """Write the footer, close the file, and return the digest as hexadecimal text.

        Again, or after the disk refused a write: only return the digest, of all that was appended.
        """
        if self._file >= 0:
            self._mark(FOOTER_TYPE)
            self._close_file()
        return self._digest.value().hex()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            # What stands in the file may end within a record. Nothing may follow that, should there be room again.
            os.close(self._file)
            self._file = -1
            self._buffer.clear()
            raise LogError(f"{self.folder}: cannot write the message log: {error.strerror}; the run stops") from error

    def _mark(self, type_id: int) -> None:
        mark = encode_record(self._last_seq, 0, 0, 0, 0, type_id, self._digest.value())
        self._buffer.append(mark)
        self._size += len(mark)

    def _roll(self, next_seq: int) -> None:
        self._close_file()
        self._open_segment(next_seq)

    def _close_file(self) -> None:
        self.flush()
        os.close(self._file)
        self._file = -1

    def _open_segment(self, first_seq: int) -> None:
        path = self.folder / f"{first_seq:020d}{SUFFIX}"
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LogError(f"{path}: cannot create the message log: {error.strerror}") from error
        head = segment_head(first_seq, self._digest.value())
        self._write(head)
        self._size = len(head)
        self._flush_at = self._size + _BUFFER_BYTES


Log = LogWriter | DigestLog
