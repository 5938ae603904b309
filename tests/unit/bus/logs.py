"""Small message logs for the tests of the log."""

from __future__ import annotations

from pathlib import Path

from bus.log import LogWriter
from bus.log_reader import LogReader
from bus.record import Record
from schemas import Bar
from schemas.codec import encode
from tests.support.builders import T0, a_bar

BAR = 20


def a_payload(n: int) -> bytes:
    return encode(a_bar(n))


def append(log, n: int, payload: bytes | None = None) -> bytes:
    """The n-th record, counted from 1."""
    return log.append(n, T0 + n, n, 0, 1, BAR, a_payload(n) if payload is None else payload)


def a_log(folder: Path, records: int, close: bool = True, **options: int) -> LogWriter:
    """A log of so many bars; without `close` it is left as a writer leaves it that is killed after a flush."""
    log = LogWriter(folder, **options)
    for n in range(1, records + 1):
        append(log, n)
    if close:
        log.close()
    else:
        log.flush()
    return log


def read(path: Path) -> tuple[list[Record], LogReader]:
    reader = LogReader(path)
    return list(reader), reader


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.admflog"))


def bars(reader: LogReader, records: list[Record]) -> list[Bar]:
    return [reader.message(record) for record in records]
