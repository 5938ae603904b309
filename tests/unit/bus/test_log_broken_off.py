"""A run that is broken off anywhere in its log leaves one that can be read, as the death of its process does."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import bus.log
from bus.errors import StopNow
from bus.log import SEAL_BYTES, LogWriter
from bus.log_reader import LogReader
from bus.record import encode_record

LONG = SEAL_BYTES // 3
COUNT = 12


def a_record(n: int) -> bytes:
    return encode_record(n, n, n, 0, 1, 20, b"\x90" + bytes(LONG))


def write(log: LogWriter, sealed: bool) -> None:
    """Records up to `COUNT`, some of them settled one by one, and two flushes."""
    for n in range(1, COUNT + 1):
        log.append_record(a_record(n))
        if n % 5 == 0:
            log.flush(sealed)
        if n % 2:
            log.settle()
    log.flush(sealed)


def broken_off(log: LogWriter, sealed: bool, line: int) -> bool:
    """Write, and be stopped before the n-th line of the log's that is executed; whether there are so many."""
    count = 0

    def on_event(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != bus.log.__file__:
            return None
        count += event == "line"
        if count == line and event == "line":
            raise StopNow("now")
        return on_event

    before = sys.gettrace()
    sys.settrace(on_event)
    try:
        write(log, sealed)
    except StopNow:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("segment_bytes", [2 * SEAL_BYTES, 10**9])
@pytest.mark.parametrize("sealed", [False, True])
def test_wherever_it_is_broken_off_its_log_is_read_to_its_end(tmp_path: Path, sealed: bool, segment_bytes: int):
    line, stopped = 0, True
    while stopped:
        line += 1
        folder = tmp_path / str(line)
        log = LogWriter(folder, segment_bytes)
        stopped = broken_off(log, sealed, line)
        log.abandon()
        reader = LogReader(folder)
        records = list(reader)
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        assert not reader.closed
        for path in folder.iterdir():
            path.unlink()
    assert line > 100, "it was stopped in many places"
    assert len(records) == COUNT
