"""The message log: append-only segment files of records, sealed, with a digest.

A log is a folder of segments, `00000000000000000001.admflog` and so on, each named after its first seq. A segment
starts with a head (magic, version, first seq, digest so far, checksum) and goes on with records. Behind every
`SEAL_BYTES` of them, and at a segment's end, stands a seal: epoch and checksum of all bytes since the last one, and the
digest of all records so far. The last seal of a closed log is its footer: two runs are equal when their digests are.
Nothing in a log names the run, the machine or the time of writing, so equal runs have equal files.

    seal: a record without ts, source and cause, of which the payload is  epoch u32 | crc32 u32 | digest, or nothing
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from isal.isal_zlib import crc32

from bus.errors import LogError
from bus.log_format import FIRST_EPOCH, SEAL, SEAL_BYTES, SEGMENT_HEAD_SIZE, SUFFIX, checksum, new_digest, segment_head
from bus.record import FOOTER_TYPE, HEAD, HEADER_SIZE, MAX_PAYLOAD, SEAL_TYPE, encode_record, fitting, too_long
from bus.record_run import FEW, MOST, BlockEncoder
from bus.runtime.block import Block
from schemas import Message
from schemas.codec import encode_into

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from bus.stretch_records import StretchRecords

_pack_head_into = HEAD.pack_into

SEGMENT_BYTES: Final = 256 * 1024 * 1024
TOGETHER: Final = 32 * 1024
"""So many bytes of records are worth the while of taking them in; more do not stay in the processor's cache."""
_RESERVED: Final = 4 * TOGETHER
"""Bytes before those that wait. A bytearray that gets longer than ever takes an eighth more and is copied, and msgspec
asks for half as much again as it needs; but one that is never less than half full gives nothing back."""
_MANY: Final = 256
"""So many records of equal length are taken in as they are."""


class _Appends(ABC):
    """What every log has: records that wait until there are many, and runs that are many."""

    def __init__(self) -> None:
        self.records = 0
        """Those that have been taken in."""
        self.waiting = bytearray(2 * _RESERVED)
        del self.waiting[_RESERVED:]
        """Behind `_RESERVED` bytes that mean nothing: records, one behind another, that are taken in later, at the
        latest by `settle`. Who writes some there says how many by `wrote` before anything else is done with the log."""
        self._count = 0
        """How many wait."""
        self._left = TOGETHER
        """Of the room that there was when some were taken in last."""
        self._fit = 0, 0
        """The size, and the number, of some that wait and begin within that: where one begins that does not is looked
        for behind them."""
        self._digest = new_digest()
        self._encoder = BlockEncoder()

    def append(
        self, seq: int, ts: int, source_seq: int, cause: int, source: int, type_id: int, payload: bytes
    ) -> bytes:
        """Append the record and return its bytes, which are those of `encode_record`."""
        record = encode_record(seq, ts, source_seq, cause, source, type_id, payload)
        self.append_record(record)
        self.settle(TOGETHER)
        return record

    def append_record(self, record: bytes) -> None:
        """Append the record with these bytes."""
        self.waiting += record
        self._count += 1

    def append_message(
        self, seq: int, ts: int, source_seq: int, cause: int, source: int, type_id: int, message: Message
    ) -> None:
        """Append the record of a message.

        Raises:
            LogError: it is longer than a reader would accept; then nothing is appended, as where it cannot be encoded.
        """
        waiting = self.waiting
        start = len(waiting)
        begin = start + HEADER_SIZE
        try:
            encode_into(message, waiting, begin)
            length = len(waiting) - begin
            if length > MAX_PAYLOAD:
                raise too_long(type_id, length)
            _pack_head_into(waiting, start, length, seq, ts, source_seq, cause, source, type_id)
        except BaseException:
            del waiting[start:]
            raise
        self._count += 1

    def wrote(self, count: int) -> None:
        """So many records more stand in `waiting`."""
        self._count += count

    def settle(self, at_least: int = 1) -> None:
        """Take in the records that were appended, if they are so many bytes or all that there is room for."""
        waiting = self.waiting
        size = len(waiting) - _RESERVED
        if size < at_least and size < self._left:
            self._fit = size, self._count
            return
        (start, known), self._fit = self._fit, (0, 0)
        left, self._count = self._count, 0
        begin, behind, start = _RESERVED, len(waiting), _RESERVED + start
        try:
            while left:
                room, end, count = self._room(), behind, left
                if behind - begin > room:
                    if start >= begin + room:  # others were taken in meanwhile
                        start, known = begin, 0
                    count, end = fitting(waiting, start, begin + room - start, known)
                self._take(waiting[begin:end], count)
                self._left = begin + room - end
                begin = start = end
                left, known = left - count, 0
        finally:
            del waiting[_RESERVED:]

    def append_run(
        self, seq: int, source_seq: int, source: int, type_id: int, block: Block, start: int, end: int
    ) -> None:
        """Append messages of a block from outside, from `start` to before `end`, each at its own `ts`.

        `seq` and `source_seq` are the first one's. Where payloads are equally long, many are encoded at once.
        """
        behind = end
        while start < behind:
            end = min(behind, start - start % MOST + MOST)
            count = end - start
            run = (seq, source_seq, source, type_id, block, start, end)
            records = self._encoder.together(*run) if count >= FEW else None
            if records is None:
                self._append_each(*run)
            elif count < _MANY:
                self.waiting.extend(records)
                self._count += count
            else:
                self.settle()
                self._append_equal(records)
            seq, source_seq, start = seq + count, source_seq + count, end
        self.settle(TOGETHER)

    def append_stretch(self, records: StretchRecords) -> None:
        """Append the records of a stretch of bars and of their answers."""
        self.settle()
        pieces, ends, starts, befores, total = records
        begin = done = joined = at = 0
        data = b""
        while done < total:
            room = self._room()
            if len(data) - at < room and joined < len(pieces):
                behind = int(ends.searchsorted(begin + room)) + 1
                data, at, joined = b"".join([data[at:], *pieces[joined:behind]]), 0, behind
            end, count = len(data), total - done
            if joined < len(pieces) or end - at > room:
                bar = int(starts.searchsorted(begin + room)) - 1
                ahead, known = (0, 0) if starts[bar] < begin else (int(starts[bar]) - begin, int(befores[bar]) - done)
                count, end = fitting(data, at + ahead, room - ahead, known)
            self._take(memoryview(data)[at:end], count)
            done, begin, at = done + count, begin + end - at, end

    def _append_each(
        self, seq: int, source_seq: int, source: int, type_id: int, block: Block, start: int, end: int
    ) -> None:
        for n, message in enumerate(block[start:end]):
            self.append_message(seq + n, message.ts, source_seq + n, 0, source, type_id, message)

    def _append_equal(self, records: NDArray[Any]) -> None:
        """Take in equally long records."""
        count, size, done = len(records), records.itemsize, 0
        while done < count:
            part = records[done : done - (-self._room() // size)]
            done += len(part)
            self._take(part.view("u1"), len(part))

    def flush(self, sealed: bool = False) -> None:
        """Hand all appended records to the operating system, if they are to be kept; `sealed`: with a checksum."""
        self.settle()
        self._hand_over(sealed)

    @abstractmethod
    def _hand_over(self, sealed: bool) -> None:
        """Hand what was taken in to the operating system."""

    @abstractmethod
    def _room(self) -> int:
        """Records that begin within so many bytes, of which there is one, may be taken in."""

    @abstractmethod
    def _take(self, data: Buffer, count: int) -> None:
        """Take in so many records, one behind another."""


class DigestLog(_Appends):
    """Capture `digest`: every record is encoded and digested, none is kept."""

    def abandon(self) -> None:
        """Nothing is kept."""

    def close(self) -> str:
        """The digest as hexadecimal text."""
        self.settle()
        return str(self._digest.hexdigest())

    def _hand_over(self, sealed: bool) -> None:
        """Nothing is kept."""

    def _room(self) -> int:
        return SEGMENT_BYTES

    def _take(self, data: Buffer, count: int) -> None:
        self._digest.update(data)
        self.records += count


class LogWriter(_Appends):
    """Capture `full`: appends records to segment files in `folder`, which must not hold a log already.

    Records are buffered until `flush`, `close`, or many kilobytes of them. A flushed record survives the death of this
    process, not of the machine; unless the flush was `sealed`, up to `SEAL_BYTES` of them are without a checksum.

    Raises:
        LogError: the folder holds a log, or the disk refuses (full, read-only, ...).
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES, epoch: int = FIRST_EPOCH) -> None:
        super().__init__()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogError(f"{folder}: cannot create the folder of the message log: {error.strerror}") from error
        if any(folder.glob(f"*{SUFFIX}")):
            raise LogError(f"{folder}: holds a message log already; a log is never overwritten")
        self.folder = folder
        self._segment_bytes = max(segment_bytes, SEGMENT_HEAD_SIZE + 1)  # one record at least
        self._epoch = epoch
        self._buffer: list[Buffer] = []
        self._unsummed: list[Buffer] = []
        """Records, written or not, that are in neither checksum nor digest."""
        self._size = 0
        """Of the segment, with what is buffered."""
        self._unsealed = 0
        """Bytes since the last seal."""
        self._proven = 0
        """The size of the segment when it was last sealed with the digest."""
        self._start = self._sum = checksum(b"", epoch)
        """The checksum of no bytes, and of those."""
        self._file = -1
        self._open_segment(1)

    def abandon(self) -> None:
        """Write what was appended and close the file, without footer and seal: the run was broken off.

        That may have been anywhere, also in here: between a record's way into the file and into the checksum.
        """
        if self._file >= 0:
            self.settle()
            self._close_file()

    def close(self) -> str:
        """Write the footer, close the file, and return the digest as hexadecimal text.

        Again, or after the disk refused a write: only return the digest, of all that was appended.
        """
        if self._file >= 0:
            self.settle()
            self._seal(FOOTER_TYPE, with_digest=True)
            self._close_file()
        self._sum_up()
        return str(self._digest.hexdigest())

    def _room(self) -> int:
        if self._size >= self._segment_bytes:
            self._roll()
        return min(SEAL_BYTES - self._unsealed, self._segment_bytes - self._size)

    def _take(self, data: Buffer, count: int) -> None:
        self._buffer.append(data)
        self._unsummed.append(data)
        size = memoryview(data).nbytes
        self._size += size
        self._unsealed += size
        self.records += count
        if self._unsealed >= SEAL_BYTES:
            self._seal(SEAL_TYPE, with_digest=True)
            self._hand_over(sealed=False)

    def _sum_up(self) -> None:
        """Take all records so far into the checksum and the digest.

        Checksum first: isal leaves the upper halves of vector registers in use (it has no `vzeroupper`), and on some
        processors all of the program is 7 per cent slower until somebody clears them, as BLAKE3 does.
        """
        unsummed, self._unsummed = self._unsummed, []
        data = unsummed[0] if len(unsummed) == 1 else b"".join(unsummed)
        self._sum = crc32(data, self._sum)
        self._digest.update(data)

    def _hand_over(self, sealed: bool) -> None:
        if sealed and self._unsealed:
            self._seal(SEAL_TYPE, with_digest=self._size - self._proven >= SEAL_BYTES)
        if not self._buffer:
            return
        if self._file < 0:
            raise LogError(f"{self.folder}: the message log is closed and takes no more records")
        buffer, self._buffer = self._buffer, []  # whatever breaks a write off, nothing is written twice
        self._write(buffer[0] if len(buffer) == 1 else b"".join(buffer))

    def _write(self, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            # What stands in the file may end within a record. Nothing may follow that, should there be room again.
            self._let_go()
            raise LogError(f"{self.folder}: cannot write the message log: {error.strerror}; the run stops") from error

    def _seal(self, type_id: int, with_digest: bool) -> None:
        self._sum_up()
        digest = self._digest.digest() if with_digest else b""
        seal = encode_record(self.records, 0, 0, 0, 0, type_id, SEAL.pack(self._epoch, self._sum) + digest)
        self._buffer.append(seal)
        self._size += len(seal)
        self._unsealed, self._sum = 0, self._start
        if with_digest:
            self._proven = self._size

    def _roll(self) -> None:
        self._hand_over(sealed=True)
        self._let_go()
        self._open_segment(self.records + 1)

    def _close_file(self) -> None:
        self._hand_over(sealed=False)
        self._let_go()

    def _let_go(self) -> None:
        file, self._file = self._file, -1
        os.close(file)

    def _open_segment(self, first_seq: int) -> None:
        path = self.folder / f"{first_seq:020d}{SUFFIX}"
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LogError(f"{path}: cannot create the message log: {error.strerror}") from error
        head = segment_head(first_seq, self._digest.digest())
        self._write(head)
        self._size = self._proven = len(head)


Log = LogWriter | DigestLog
