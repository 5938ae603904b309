"""Runs of equally long records are checked column by column: with the same result as one by one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import LogError
from bus.log import LogWriter
from bus.log_reader import LogReader
from bus.record import HEADER_SIZE, decode_records, encode_record
from bus.record_run import LEAST, MOST, run_length
from schemas.codec import encode
from tests.support.builders import T0, a_bar
from tests.unit.bus.logs import BAR, a_log, segments

COUNT = 300
SIZE = HEADER_SIZE + len(encode(a_bar(1)))


def a_record(n: int) -> bytes:
    return encode_record(n, T0 + n, n, 0, 1, BAR, encode(a_bar(n)))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("log")
    a_log(folder, COUNT)
    return segments(folder)[0].read_bytes()


def test_a_run_is_counted_up_to_the_first_record_that_does_not_belong_to_it():
    run = b"".join(a_record(n) for n in range(1, 201))
    assert run_length(run, 0, SIZE, 1, BAR) == 200
    assert run_length(run, 5 * SIZE, SIZE, 6, BAR) == 195
    for other in (a_record(999), b"\1" + a_record(101)[1:], encode_record(101, T0, 101, 0, 1, BAR + 1, b"x" * 60)):
        broken = run[: 100 * SIZE] + other[:SIZE].ljust(SIZE, b"x") + run[101 * SIZE :]
        assert run_length(broken, 0, SIZE, 1, BAR) == 100


def test_at_most_so_many_are_counted_at_once_and_short_runs_are_left_to_others():
    many = b"".join(a_record(n) for n in range(1, MOST + 50))
    assert run_length(many, 0, SIZE, 1, BAR) == MOST
    assert run_length(many, 0, SIZE, 2, BAR) == 0
    assert run_length(many, 0, SIZE, 1, BAR + 1) == 0
    assert run_length(many[: (LEAST - 1) * SIZE], 0, SIZE, 1, BAR) == 0


def test_reading_by_runs_gives_what_reading_one_by_one_gives(data, tmp_path):
    (tmp_path / "00000000000000000001.admflog").write_bytes(data)
    reader = LogReader(tmp_path)
    assert list(reader) == [r for r in decode_records(data[56:]) if r.type_id == BAR]
    assert (reader.records, reader.closed, reader.digest) == (COUNT, True, reader.stored_digest)


@settings(max_examples=120, deadline=None)
@given(draw=st.data())
def test_a_flipped_bit_within_a_run_is_found_with_the_place_from_which_on_nothing_is_sure(draw, data, tmp_path_factory):
    which = draw.draw(st.integers(0, COUNT - 1))
    at = 56 + which * SIZE + draw.draw(st.integers(0, SIZE - 1))
    harmed = bytearray(data)
    harmed[at] ^= 1 << draw.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flip") / "00000000000000000001.admflog"
    path.write_bytes(harmed)
    reader = LogReader(path)
    with pytest.raises(LogError, match=r"byte (\d+), after seq (\d+): ") as info:
        reader.verify()
    (seq,) = map(int, re.findall(r"byte \d+, after seq (\d+)", str(info.value)))
    assert seq in (0, which, which + 1)
    assert (reader.last_seq, reader.records) == (0, 0), "nothing of what the seal does not prove is handed out"


def test_runs_end_at_segments_and_seals_and_the_digest_is_the_same(tmp_path: Path):
    small, large = LogWriter(tmp_path / "a", segment_bytes=20_000), LogWriter(tmp_path / "b")
    for n in range(1, 9000):
        for log in (small, large):
            log.append(n, T0 + n, n, 0, 1, BAR, encode(a_bar(n % 500)))
    digest = small.close()
    assert large.close() == digest
    for folder in ("a", "b"):
        reader = LogReader(tmp_path / folder)
        reader.verify()
        assert (reader.records, reader.digest) == (8999, digest)
