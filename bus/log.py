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
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from bus.errors import LogError
from bus.record import (
    BODY,
    DIGESTED_FROM,
    FOOTER_TYPE,
    HEADER_SIZE,
    MARK_TYPE,
    MAX_PAYLOAD,
    encode_record,
    fitting,
    seal,
    seal_all,
    seq_of,
    too_long,
)
from bus.record_run import LEAST, MOST, encode_bodies, equally_long, seal_bodies, times_of
from schemas import Message
from schemas.codec import encode

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

MAGIC: Final = b"ADMFLOG\x01"
SUFFIX: Final = ".admflog"
MARK_EVERY: Final = 4096
SEGMENT_BYTES: Final = 256 * 1024 * 1024
TOGETHER: Final = 256
"""So many bodies are worth the while of taking them in; more do not stay in the processor's cache."""
_BUFFER_BYTES: Final = 64 * 1024
_HASHED_TOGETHER: Final = 64
"""A live run flushes what may be one record: that many records are hashed at once all the same."""
_HEAD: Final = struct.Struct("<8sIQ32s")
SEGMENT_HEAD_SIZE: Final = _HEAD.size + 4
VERSION: Final = 1

_pack_body = BODY.pack


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

    def update(self, data: Buffer) -> None:
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


class _Appends(ABC):
    """What every log has: bodies that wait until there are many, and runs that are many."""

    def __init__(self) -> None:
        self.records = 0
        """Those that have been taken in."""
        self._digest = RunDigest()
        self._bodies: list[bytes] = []
        self.append_body = self._bodies.append
        """Append the record of the first epoch with this body. It is taken in later, at the latest by `settle`."""

    def settle(self, at_least: int = 1) -> None:
        """Take in the bodies that were appended, if they are so many."""
        bodies = self._bodies
        if len(bodies) < at_least:
            return
        try:
            while bodies:
                part = bodies[: fitting(bodies, *self._room(seq_of(bodies[0])))]
                del bodies[: len(part)]
                self._take(b"".join(part), len(part), seq_of(part[-1]), partial(seal_all, part))
        except BaseException:
            bodies.clear()  # nothing may follow what is lacking
            raise

    def append_run(self, seq: int, source_seq: int, source: int, type_id: int, messages: Sequence[Message]) -> None:
        """Append messages of one type from outside, each at its own `ts`; `seq` and `source_seq` are the first one's.

        Where their payloads are equally long, many are taken in at once.
        """
        for start in range(0, len(messages), MOST):
            part = messages[start : start + MOST]
            payloads = equally_long(part) if len(part) >= LEAST else None
            if payloads is None:
                self._append_each(seq + start, source_seq + start, source, type_id, part)
            else:
                self.settle()
                self._append_equal(seq + start, source_seq + start, source, type_id, part, payloads)

    def _append_each(self, seq: int, source_seq: int, source: int, type_id: int, messages: Sequence[Any]) -> None:
        for message in messages:
            payload = encode(message)
            body = _pack_body(len(payload), seq, message.ts, source_seq, 0, source, type_id) + payload
            self.append_body(body)
            seq += 1
            source_seq += 1
        self.settle(TOGETHER)

    def _append_equal(
        self, seq: int, source_seq: int, source: int, type_id: int, messages: Sequence[Message], payloads: NDArray[Any]
    ) -> None:
        times, size = times_of(messages, payloads), HEADER_SIZE + payloads.shape[1]
        done = 0
        while done < len(messages):
            most, room = self._room(seq + done)
            part = slice(done, done + min(most, -(-room // size)))
            bodies = encode_bodies(seq + done, source_seq + done, source, type_id, times[part], payloads[part])
            done += len(bodies)
            self._take(bodies, len(bodies), seq + done - 1, partial(seal_bodies, bodies))

    def flush(self) -> None:
        """Hand all appended records to the operating system, if they are to be kept."""
        self.settle()
        self._hand_over()

    @abstractmethod
    def _hand_over(self) -> None:
        """Hand what was taken in to the operating system."""

    @abstractmethod
    def _room(self, seq: int) -> tuple[int, int]:
        """How many records, and bytes of which at least one, may be taken in at once when `seq` is the next one."""

    @abstractmethod
    def _take(self, bodies: Buffer, count: int, last_seq: int, records: Callable[[], Buffer]) -> None:
        """Take in so many records, of which these are the bodies, one behind another."""


class DigestLog(_Appends):
    """Capture `digest`: every record is encoded and digested, none is kept."""

    def append(
        self, seq: int, ts: int, source_seq: int, cause: int, source: int, type_id: int, payload: bytes
    ) -> bytes:
        """Digest the record and return its bytes."""
        record = encode_record(seq, ts, source_seq, cause, source, type_id, payload)
        self.settle()
        self._digest.update(record[DIGESTED_FROM:])
        self.records += 1
        return record

    def abandon(self) -> None:
        """Nothing is kept."""

    def close(self) -> str:
        """The digest as hexadecimal text."""
        self.settle()
        return self._digest.value().hex()

    def _hand_over(self) -> None:
        """Nothing is kept."""

    def _room(self, _: int) -> tuple[int, int]:
        return MOST, SEGMENT_BYTES

    def _take(self, bodies: Buffer, count: int, *_: object) -> None:
        self._digest.update(bodies)
        self.records += count


class LogWriter(_Appends):
    """Capture `full`: appends records to segment files in `folder`, which must not hold a log already.

    Records are buffered until `flush`, `close`, or many kilobytes of them. A flushed record survives the death of this
    process, not of the machine.

    Raises:
        LogError: the folder holds a log, or the disk refuses (full, read-only, ...).
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        super().__init__()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogError(f"{folder}: cannot create the folder of the message log: {error.strerror}") from error
        if any(folder.glob(f"*{SUFFIX}")):
            raise LogError(f"{folder}: holds a message log already; a log is never overwritten")
        self.folder = folder
        self._segment_bytes = max(segment_bytes, SEGMENT_HEAD_SIZE + 1)  # one record at least
        self._buffer: list[Buffer] = []
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
        if self._bodies:
            self.settle()
        if self._size >= self._segment_bytes:
            self._roll(seq)
        length = len(payload)
        if length > MAX_PAYLOAD:
            raise too_long(type_id, length)
        body = _pack_body(length, seq, ts, source_seq, cause, source, type_id) + payload
        record = seal(body)
        self._digest.add(body)
        self._buffer.append(record)
        self._size = size = self._size + HEADER_SIZE + length
        self._last_seq = seq
        self.records = count = self.records + 1
        if not count % MARK_EVERY or size >= self._flush_at:
            self._pause()
        return record

    def _room(self, seq: int) -> tuple[int, int]:
        if self._size >= self._segment_bytes:
            self._roll(seq)
        return MARK_EVERY - self.records % MARK_EVERY, self._segment_bytes - self._size

    def _take(self, bodies: Buffer, count: int, last_seq: int, records: Callable[[], Buffer]) -> None:
        data = records()
        self._digest.update(bodies)
        self._buffer.append(data)
        self._size += memoryview(data).nbytes
        self._last_seq = last_seq
        self.records += count
        self._pause()

    def _pause(self) -> None:
        """Between two records: write a mark, and what is buffered, if it is time."""
        if not self.records % MARK_EVERY:
            self._mark(MARK_TYPE)
        if self._size >= self._flush_at:
            self._hand_over()

    def _hand_over(self) -> None:
        if not self._buffer:
            return
        if self._file < 0:
            raise LogError(f"{self.folder}: the message log is closed and takes no more records")
        self._digest.settle(_HASHED_TOGETHER)
        self._write(self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer))
        self._buffer.clear()
        self._flush_at = self._size + _BUFFER_BYTES

    def abandon(self) -> None:
        """Write what was appended and close the file without a footer: the run was broken off."""
        if self._file >= 0:
            self.settle()
            self._close_file()

    def close(self) -> str:
        """Write the footer, close the file, and return the digest as hexadecimal text.

        Again, or after the disk refused a write: only return the digest, of all that was appended.
        """
        if self._file >= 0:
            self.settle()
            self._mark(FOOTER_TYPE)
            self._close_file()
        return self._digest.value().hex()

    def _write(self, data: Buffer) -> None:
        view = memoryview(data).cast("B")
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
        self._hand_over()
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
