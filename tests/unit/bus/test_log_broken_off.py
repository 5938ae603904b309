"""A run that is broken off anywhere in its log leaves one that can be read, as the death of its process does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

import bus.local
import bus.local_order
import bus.log
from bus.errors import StopNow
from bus.local import LocalBus
from bus.log import LogWriter
from bus.log_format import SEAL_BYTES
from bus.log_reader import LogReader
from bus.record import encode_record
from bus.runtime.settings import RunContext
from tests.support.builders import a_bar
from tests.support.parts import Bars, EveryNth
from tests.support.tracing import traced
from tests.support.transports import KeepingLog, wiring_of

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


def broken_off(write: Callable[[], None], line: int, *modules: ModuleType) -> bool:
    """Write, and be stopped before the n-th line of the modules' that is executed; whether there are so many."""
    count = 0
    files = {module.__file__ for module in modules}

    def on_event(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        count += event == "line"
        if count == line and event == "line":
            raise StopNow("now")
        return on_event

    try:
        with traced(on_event):
            write()
    except StopNow:
        return True
    return False


@pytest.mark.parametrize("segment_bytes", [2 * SEAL_BYTES, 10**9])
@pytest.mark.parametrize("sealed", [False, True])
def test_wherever_it_is_broken_off_its_log_is_read_to_its_end(tmp_path: Path, sealed: bool, segment_bytes: int):
    line, stopped = 0, True
    while stopped:
        line += 1
        folder = tmp_path / str(line)
        log = LogWriter(folder, segment_bytes)
        stopped = broken_off(partial(write, log, sealed), line, bus.log)
        log.abandon()
        reader = LogReader(folder)
        records = list(reader)
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        assert not reader.closed
        for path in folder.iterdir():
            path.unlink()
    assert line > 100, "it was stopped in many places"
    assert len(records) == COUNT


def feed(log: LogWriter | KeepingLog) -> None:
    """Run bars of which every second one is answered, two of them one behind another."""
    bus = LocalBus(wiring_of([Bars("source", {"count": 0}), EveryNth("strategy", {"n": 2})]), RunContext(), log)
    bus.open()
    for first in range(0, 6, 3):
        bus.feed(1, [a_bar(first + n) for n in range(3)])


def test_a_run_in_one_thread_that_is_broken_off_anywhere_leaves_the_first_of_its_records(tmp_path: Path):
    whole = KeepingLog()
    feed(whole)
    whole.settle()
    line, stopped = 0, True
    while stopped:
        line += 1
        log = LogWriter(tmp_path / str(line))
        stopped = broken_off(partial(feed, log), line, bus.log, bus.local, bus.local_order)
        log.abandon()
        records = list(LogReader(tmp_path / str(line)))
        assert records == whole.kept[: len(records)]
    assert line > 100, "it was stopped in many places"
    assert len(records) == len(whole.kept) > 6
