"""The records of a stretch, taken in together, make the log of the records one by one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import LogError
from bus.log import DigestLog, Log, LogWriter
from bus.log_format import SEAL_BYTES, SEGMENT_HEAD_SIZE
from bus.log_reader import LogReader
from bus.record import HEADER_SIZE, encode_record
from bus.runtime.block import Block
from bus.stretch_records import StretchRecords
from schemas.codec import encode
from tests.support.builders import T0, a_bar
from tests.support.transports import append_each
from tests.unit.bus.logs import BAR, segments

Bars = Sequence[Sequence[int]]
"""Of each bar how long the payloads are: its own, and those of its answers."""


def records(first: int, bars: Bars) -> list[list[bytes]]:
    """The records of bars, the first of which has seq `first`."""
    seqs = itertools.count(first)
    return [[encode_record(seq := next(seqs), T0, seq, 0, 1, BAR, bytes([seq % 256]) * n) for n in bar] for bar in bars]


def stretch_of(bars: list[list[bytes]]) -> StretchRecords:
    sizes = np.array([sum(map(len, bar)) for bar in bars], np.int64)
    counts = np.array(list(map(len, bars)), np.int64)
    pieces = pieces_of(bars, [4, 0, 1, 3_000])
    ends = np.cumsum(list(map(len, pieces)))
    return StretchRecords(pieces, ends, np.cumsum(sizes) - sizes, np.cumsum(counts) - counts, int(counts.sum()))


def pieces_of(bars: list[list[bytes]], counts: Sequence[int]) -> list[bytes]:
    """The records, and these in turn so many to a piece."""
    each, turns = list(itertools.chain.from_iterable(bars)), itertools.cycle(counts)
    pieces, done = [], 0
    while done < len(each):
        count = next(turns)
        pieces.append(b"".join(each[done : done + count]))
        done += count
    return pieces


def append_stretch(log: Log, first: int, bars: Bars) -> int:
    """Append a stretch; give the seq of what comes next."""
    stretch = stretch_of(records(first, bars))
    log.append_stretch(stretch)
    return first + stretch.total


def append_one_by_one(log: Log, first: int, bars: Bars) -> int:
    """What that does, record by record."""
    for record in itertools.chain.from_iterable(records(first, bars)):
        log.append_record(record)
        log.settle()
        first += 1
    return first


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in segments(folder)}


def assert_same(folder: Path, stretches: Sequence[Bars], segment_bytes: int = 10**9) -> None:
    """Stretches, with a message before, between and after them, make the same log either way."""
    together, single = (LogWriter(folder / name, segment_bytes) for name in ("together", "single"))
    logs = (together, single, DigestLog(), DigestLog())
    for log, append in zip(logs, (append_stretch, append_one_by_one) * 2, strict=True):
        log.append_message(1, T0, 1, 0, 1, BAR, a_bar())
        seq = 2
        for bars in stretches:
            seq = append(log, seq, bars)
            log.append_message(seq, T0, seq, 0, 1, BAR, a_bar())
            seq += 1
        assert log.close() == logs[0].close()
        assert log.records == seq - 1
    assert contents(folder / "together") == contents(folder / "single")
    reader = LogReader(folder / "together")
    assert [record.seq for record in reader] == list(range(1, seq))
    assert (reader.closed, reader.digest) == (True, together.close())


SIZES = st.integers(0, 90)
MANY_SIZES = SIZES | st.sampled_from([500, 9_000, 70_000, SEAL_BYTES])
BARS = st.lists(st.lists(SIZES, min_size=1, max_size=5), min_size=1, max_size=40)
UNEQUAL_BARS = st.lists(st.lists(MANY_SIZES, min_size=1, max_size=8), min_size=1, max_size=12)
REPEATED = st.tuples(BARS, st.integers(1, 60)).map(lambda drawn: drawn[0] * drawn[1])


@settings(max_examples=80)
@given(
    st.lists(BARS | UNEQUAL_BARS | REPEATED, min_size=1, max_size=3),
    st.sampled_from([1, 200, 1_000, 20_000, SEAL_BYTES, SEAL_BYTES + 100, 10**9]),
)
def test_stretches_make_the_log_of_their_records_one_by_one(tmp_path_factory, stretches, segment_bytes):
    assert_same(tmp_path_factory.mktemp("logs"), stretches, segment_bytes)


def test_a_stretch_may_be_longer_than_several_seals_prove(tmp_path: Path):
    bars = [[60, *range(n % 5)] for n in range(5 * SEAL_BYTES // 100)]
    assert stretch_of(records(1, bars)).ends[-1] > 3 * SEAL_BYTES
    assert_same(tmp_path, [bars, bars])


MESSAGE_SIZE = HEADER_SIZE + len(encode(a_bar()))
"""Of the record before the stretch."""


def bars_up_to(size: int) -> list[list[int]]:
    """Bars whose last record but some ends so many bytes after the log's first."""
    bars, left = [], size - MESSAGE_SIZE
    while left > 1_000:
        bars.append([60, 10, 0])
        left -= 3 * HEADER_SIZE + 70
    return [*bars, [left - HEADER_SIZE]]


AROUND = pytest.mark.parametrize("off", [-HEADER_SIZE, -1, 0, 1])


@AROUND
@pytest.mark.parametrize("following", [[], [[60, 10]] * 9])
def test_a_record_may_end_just_where_a_seal_does(tmp_path: Path, off, following):
    assert_same(tmp_path, [[*bars_up_to(SEAL_BYTES + off), *following]])


@AROUND
@pytest.mark.parametrize("following", [[], [[60, 10]] * 9])
def test_a_record_may_end_just_where_a_segment_is_full(tmp_path: Path, off, following):
    size = 30_000
    assert_same(tmp_path, [[*bars_up_to(size - SEGMENT_HEAD_SIZE + off), *following]], size)
    assert len(segments(tmp_path / "together")) == 1 + (off >= 0 or bool(following))


@AROUND
def test_the_answers_of_one_bar_may_be_parted_by_a_seal(tmp_path: Path, off):
    *bars, [last] = bars_up_to(SEAL_BYTES + off)
    assert_same(tmp_path, [[*bars, [5, last - 5 - HEADER_SIZE, 10, 10], [60, 10]]])


def test_the_answers_of_one_bar_may_fill_many_segments(tmp_path: Path):
    assert_same(tmp_path, [[[60], [60, *[300] * 40], [60, 10]]], 1_000)
    assert len(segments(tmp_path / "together")) > 10


def test_an_empty_stretch_leaves_the_log_as_it_is(tmp_path: Path):
    assert_same(tmp_path, [[], [[60]], []])


def test_what_waits_has_its_place_before_the_stretch_and_nothing_waits_behind_it(tmp_path: Path):
    log = LogWriter(tmp_path / "log")
    log.append_message(1, T0, 1, 0, 1, BAR, a_bar())
    assert log.records == 0
    assert append_stretch(log, 2, [[60, 10], [60]]) == 5
    assert log.records == 4
    log.append(5, T0, 5, 0, 1, BAR, encode(a_bar()))
    log.append_run(6, 6, 1, BAR, Block(map(a_bar, range(30))), 0, 30)
    log.close()
    assert [record.seq for record in LogReader(tmp_path / "log")] == list(range(1, 36))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["run", "stretch"]), st.integers(1, 300)), max_size=6), st.data())
def test_stretches_and_runs_may_follow_each_other(tmp_path_factory, steps, data):
    folder = tmp_path_factory.mktemp("logs")
    segment_bytes = data.draw(st.sampled_from([200, 5_000, 10**9]))
    together, single = (LogWriter(folder / name, segment_bytes) for name in ("together", "single"))
    seq = 1
    for what, count in steps:
        if what == "run":
            block = Block(map(a_bar, range(count)))
            together.append_run(seq, seq, 1, BAR, block, 0, count)
            append_each(single, seq, seq, 1, BAR, block)
            seq += count
        else:
            bars = [[60, n % 90] for n in range(count)]
            append_stretch(together, seq, bars)
            seq = append_one_by_one(single, seq, bars)
    assert together.close() == single.close()
    assert contents(folder / "together") == contents(folder / "single")


def test_a_record_of_a_stretch_that_no_reader_would_accept_is_not_written(tmp_path: Path, monkeypatch):
    stretch = stretch_of(records(1, [[60, 10], [60, SEAL_BYTES + 1]]))
    monkeypatch.setattr("bus.record.MAX_PAYLOAD", SEAL_BYTES)
    log = LogWriter(tmp_path / "log")
    with pytest.raises(LogError, match=r"^a message of type 20 has 131073 bytes, more than the 131072 allowed"):
        log.append_stretch(stretch)
    log.close()
    assert [record.seq for record in LogReader(tmp_path / "log")] == [1, 2, 3]


def test_a_closed_log_takes_no_stretch(tmp_path: Path):
    log = LogWriter(tmp_path / "log")
    log.close()
    with pytest.raises(LogError, match="the message log is closed and takes no more records"):
        append_stretch(log, 1, [[60]] * (2 * SEAL_BYTES // 100))
