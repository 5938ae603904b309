"""Reads ranges of a log that is still being written, a piece at a time, for those who have fallen behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bus.errors import LogError
from bus.log_format import SEGMENT_HEAD_SIZE, SUFFIX
from bus.record import FOOTER_TYPE, HEADER_SIZE, LENGTH, OUTLINE

_PIECE: Final = 1024 * 1024
"""Bytes that are read at a time: some milliseconds of work, for which nobody else is kept waiting."""


@dataclass
class LogRange:
    """The records of some types in the log in `folder`, read in order of seq. Remembers where it was.

    The bytes are not checked against their seals: this process, or one beside it, has just written them.
    """

    folder: Path
    takes: frozenset[int]
    _path: Path | None = None
    _offset: int = 0
    _next: int = 0
    """The record at this offset has this seq or a later one."""

    def read(self, after: int, upto: int) -> tuple[int, bytes]:
        """Records after seq `after`, at most up to `upto`, and the seq up to which these are all.

        One call reads a limited number of bytes, so this seq may be `after` again: the next call goes on from there.

        Raises:
            LogError: the log ends before `upto`.
        """
        path = self._path
        if path is None or self._next > after + 1:
            path = self._begin(self._segment_with(after + 1))
        data = _piece(path, self._offset)
        if len(data) < HEADER_SIZE:
            following = self._segment_with(self._next)
            if following == path:
                raise LogError(f"{self.folder}: the message log ends at seq {self._next - 1}, before seq {upto}")
            self._begin(following)
            return after, b""
        parts = self._parts(data, after, upto)
        return max(after, self._next - 1), b"".join(parts)

    def _parts(self, data: bytes, after: int, upto: int) -> list[bytes]:
        """The wanted records in `data`."""
        parts, offset, size = [], 0, len(data)
        while offset + HEADER_SIZE <= size:
            length, seq, type_id = OUTLINE.unpack_from(data, offset)
            end = offset + HEADER_SIZE + length
            is_record = type_id < FOOTER_TYPE
            if end > size or (is_record and seq > upto):
                break
            if is_record:
                self._next = seq + 1
                if seq > after and type_id in self.takes:
                    parts.append(data[offset:end])
            offset = end
        self._offset += offset
        return parts

    def _begin(self, segment: Path) -> Path:
        self._path, self._offset = segment, SEGMENT_HEAD_SIZE
        self._next = int(segment.name.removesuffix(SUFFIX))
        return segment

    def _segment_with(self, seq: int) -> Path:
        segments = sorted(self.folder.glob(f"*{SUFFIX}"))
        return max(path for path in segments if int(path.name.removesuffix(SUFFIX)) <= seq)


def _piece(path: Path, offset: int) -> bytes:
    """What stands there: some records, or one that is longer than a piece."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(_PIECE)
        if len(data) >= HEADER_SIZE:
            (length,) = LENGTH.unpack_from(data)
            data += file.read(max(0, HEADER_SIZE + length - len(data)))
    return data
