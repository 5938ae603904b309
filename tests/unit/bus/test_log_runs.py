"""Runs of equally long records are checked column by column: with the same result as one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import LogError
from bus.log import LogWriter
from bus.log_reader import LogReader
from bus.record import HEADER_SIZE, decode_records, encode_record
from bus.record_run import LEAST, LONGEST, MOST, check_run
from schemas.codec import encode
from tests.support.builders import T0, a_bar
from tests.unit.bus.logs import BAR, a_log, segments

COUNT = 300
SIZE = HEADER_SIZE + len(encode(a_bar(1)))


def a_record(n: int, epoch: int = 1, length: int | None = None) -> bytes:
    payload = encode(a_bar(n)) if length is None else b"x" * length
    return encode_record(n, T0 + n, n, 0, 1, BAR, payload, epoch)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("log")
    a_log(folder, COUNT)
    return segments(folder)[0].read_bytes()


def test_a_run_is_counted_up_to_the_first_record_that_does_not_belong_to_it():
    run = b"".join(a_record(n) for n in range(1, 201))
    assert check_run(run, 0, SIZE, 1, BAR)[0] == 200
    assert check_run(run, 5 * SIZE, SIZE, 6, BAR)[0] == 195
    for other in (a_record(999), a_record(101, epoch=2), a_record(101)[:-1] + b"!"):
        broken = run[: 100 * SIZE] + other + run[101 * SIZE :]
        count, digested = check_run(broken, 0, SIZE, 1, BAR)
        assert count == 100
        assert digested == b"".join(a_record(n)[8:] for n in range(1, 101))


def test_at_most_so_many_are_counted_at_once_and_short_runs_and_long_records_are_left_to_others():
    many = b"".join(a_record(n) for n in range(1, MOST + 50))
    assert check_run(many, 0, SIZE, 1, BAR)[0] == MOST
    assert check_run(many, 0, SIZE, 2, BAR)[0] == 0
    assert check_run(many, 0, SIZE, 1, BAR + 1)[0] == 0
    assert check_run(many[: (LEAST - 1) * SIZE], 0, SIZE, 1, BAR) == (0, b"")
    long = b"".join(a_record(n, length=LONGEST) for n in range(1, 100))
    assert check_run(long, 0, HEADER_SIZE + LONGEST, 1, BAR)[0] == 0


def test_reading_by_runs_gives_what_reading_one_by_one_gives(data, tmp_path):
    (tmp_path / "00000000000000000001.admflog").write_bytes(data)
    reader = LogReader(tmp_path)
    assert list(reader) == [r for r in decode_records(data[56:]) if r.type_id == BAR]
    assert (reader.records, reader.closed, reader.digest) == (COUNT, True, reader.stored_digest)


@settings(max_examples=120, deadline=None)
@given(draw=st.data())
def test_a_flipped_bit_within_a_run_is_found_where_it_is(draw, data, tmp_path_factory):
    which = draw.draw(st.integers(0, COUNT - 1))
    at = 56 + which * SIZE + draw.draw(st.integers(0, SIZE - 1))
    harmed = bytearray(data)
    harmed[at] ^= 1 << draw.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flip") / "00000000000000000001.admflog"
    path.write_bytes(harmed)
    reader = LogReader(path)
    with pytest.raises(LogError, match=rf"byte {56 + which * SIZE}, after seq {which}: "):
        reader.verify()
    assert (reader.last_seq, reader.records) == (which, which)


def test_runs_end_at_segments_and_marks_and_the_digest_is_the_same(tmp_path: Path):
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
