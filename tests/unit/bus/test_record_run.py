"""Many records at once are, byte for byte, the records one by one."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import LogError
from bus.log import TOGETHER, DigestLog, Log, LogWriter
from bus.log_format import SEAL_BYTES
from bus.log_reader import LogReader
from bus.record import HEAD, MAX_PAYLOAD, encode_record
from bus.record_run import _LISTED, LEAST, MOST, BlockEncoder, equally_long, times_of
from bus.runtime.block import Block
from schemas import Bar, Message, Quote, Signal
from schemas.codec import encode
from schemas.enums import Direction
from schemas.registry import TYPE_IDS
from tests.support.blocks import with_arrays
from tests.support.builders import T0
from tests.support.transports import append_each

PRICES = st.floats(allow_nan=False)


def bars(count: int, symbols: tuple[str, ...] = ("AAPL",)) -> list[Message]:
    return [
        Bar(T0 + n, symbols[n % len(symbols)], 1.0 + n, 2.0 + n, 0.5, 1.5 / (n + 1), float(n % 7)) for n in range(count)
    ]


BLOCKS = pytest.mark.parametrize("block_of", [Block, with_arrays])


@BLOCKS
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ranges_of_a_block_have_the_bytes_of_their_records_and_keep_them(block_of, data):
    count = data.draw(st.integers(_LISTED, 3 * MOST))
    block, encoder, made = block_of(bars(count)), BlockEncoder(), []
    for _ in range(data.draw(st.integers(1, 6))):
        seq, source_seq = data.draw(st.integers(1, 2**62)), data.draw(st.sampled_from([1, 7, 2**62]))
        start = data.draw(st.integers(0, count - 1))
        end = data.draw(st.integers(start + 1, min(count, start - start % MOST + MOST)))
        records = encoder.together(seq, source_seq, 3, 20, block, start, end)
        single = [
            encode_record(seq + n, message.ts, source_seq + n, 0, 3, 20, encode(message))
            for n, message in enumerate(block[start:end])
        ]
        if records is None:
            assert block_of is Block, "no table of arrays is too small"
            assert count % MOST < _LISTED, "the last messages are too few"
        else:
            made.append((records, single))
    for records, single in made:
        assert list(map(bytes, records)) == single


@BLOCKS
def test_ranges_one_behind_another_are_numbered_with_what_comes_between(block_of):
    block, encoder = block_of(bars(MOST)), BlockEncoder()
    seq, source_seq, made, expected = 5, 9, [], []
    for start, end in itertools.pairwise([0, 12, 13, 300, 301, MOST]):
        made.append(encoder.together(seq, source_seq, 3, 20, block, start, end))
        for message in block[start:end]:
            expected.append(encode_record(seq, message.ts, source_seq, 0, 3, 20, encode(message)))
            seq, source_seq = seq + 1, source_seq + 1
        seq += 10  # answers
        source_seq += end == 300  # something else of the source
    assert b"".join(records.tobytes() for records in made) == b"".join(expected)


@BLOCKS
def test_a_block_that_is_fed_twice_is_encoded_twice(block_of):
    block, encoder = block_of(bars(100)), BlockEncoder()
    first = encoder.together(1, 1, 3, 20, block, 0, 100)
    before = first.tobytes()
    assert encoder.together(101, 101, 3, 20, block, 0, 100).tobytes() != before
    assert first.tobytes() == before


VALUES = st.one_of(PRICES, st.integers(-300, 2**33), st.none(), st.booleans())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**63 - 1), st.sampled_from(["AB", "CD", "EFG"]), VALUES), min_size=1, max_size=4
    ),
    st.sampled_from(
        [
            lambda ts, symbol, value: Bar(ts, symbol, value, 1.0, 2.0, value, 3.0),
            lambda ts, symbol, value: Quote(ts, symbol, value, 1.0, 2.0, value),
            lambda ts, symbol, value: Signal(ts, symbol, Direction.BUY, 1.0, value),
        ]
    ),
)
def test_payloads_that_are_taken_for_equally_long_are(content, make):
    messages = Block(make(*content[n % len(content)]) for n in range(LEAST))
    payloads = equally_long(messages, list(messages))
    single = list(map(encode, messages))
    if payloads is None:
        assert len(content) > 1
    else:
        assert [row.tobytes() for row in payloads] == single
        assert times_of(messages, payloads).tolist() == [message.ts for message in messages]


def test_payloads_of_unknown_structure_are_left_to_others():
    assert equally_long(block := Block([Bar(T0, "S" * 31, 1.0, 1.0, 1.0, 1.0, 1.0)] * LEAST), block) is not None
    assert equally_long(block := Block([Bar(T0, "S" * 32, 1.0, 1.0, 1.0, 1.0, 1.0)] * LEAST), block) is None


def test_times_before_the_epoch_are_found_too():
    messages = Block([Bar(-1, "S", 1.0, 1.0, 1.0, 1.0, 1.0)] * LEAST)
    payloads = equally_long(messages, messages)
    assert payloads is not None
    assert times_of(messages, payloads).tolist() == [-1] * LEAST


def append_in_parts(log: Log, seq: int, block: Block, data: st.DataObject) -> None:
    """Append a block as a run with orders between its bars does."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(block)), max_size=5)) | {0, len(block)})
    for start, end in itertools.pairwise(cuts):
        log.append_run(seq + start, seq + start, 1, TYPE_IDS[Bar], block, start, end)


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=4),
    st.sampled_from([("AAPL",), ("AAPL", "MSFT"), ("AAPL", "F")]),
    st.sampled_from([200, 5_000, 60_000, 10**9]),
    st.integers(0, 2000),
    st.data(),
)
def test_a_log_of_runs_is_the_log_of_single_records(tmp_path_factory, sizes, symbols, segment_bytes, before, data):
    folder = tmp_path_factory.mktemp("logs")
    together, single = (LogWriter(folder / name, segment_bytes) for name in ("together", "single"))
    digest_only = DigestLog()
    seq = 1
    for size in [before, *sizes]:
        if not size:
            continue
        block = (
            with_arrays(bars(size)) if len(symbols) == 1 and data.draw(st.booleans()) else Block(bars(size, symbols))
        )
        append_each(single, seq, seq, 1, TYPE_IDS[Bar], block)
        for log in (together, digest_only):
            append_in_parts(log, seq, block, data)
        seq += size
    assert together.close() == single.close() == digest_only.close()
    assert files(folder / "together") == files(folder / "single")


def test_a_payload_that_no_reader_would_accept_is_not_written(tmp_path: Path):
    log = LogWriter(tmp_path / "log")
    with pytest.raises(Exception, match=r"^a message of type 20 has \d+ bytes, more than the \d+ allowed"):
        log.append(1, 0, 1, 0, 1, 20, bytes(MAX_PAYLOAD + 1))


def test_what_waits_before_a_payload_that_no_reader_would_accept_is_written(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("bus.record.MAX_PAYLOAD", SEAL_BYTES)
    log = LogWriter(tmp_path / "log")
    log.append(1, T0, 1, 0, 1, 20, b"short")
    log.append_record(HEAD.pack(SEAL_BYTES + 1, 2, T0, 2, 0, 1, 20) + bytes(SEAL_BYTES + 1))
    with pytest.raises(LogError, match=r"^a message of type 20 has 131073 bytes, more than the 131072 allowed"):
        log.settle()
    log.close()
    assert [record.seq for record in LogReader(tmp_path / "log")] == [1]


def test_records_that_wait_are_taken_in_when_they_are_many_and_before_anything_else(tmp_path: Path):
    log = LogWriter(tmp_path / "log")
    seq = size = 0
    while size < TOGETHER:
        log.settle(TOGETHER)
        assert log.records == 0
        seq += 1
        log.append_record(record := encode_record(seq, T0, seq, 0, 1, 20, b"x" * (seq % 90)))
        size += len(record)
    log.settle(TOGETHER)
    assert log.records == seq
    log.append_record(encode_record(seq + 1, T0, seq + 1, 0, 1, 20, b""))
    log.append(seq + 2, T0, seq + 2, 0, 1, 20, b"")
    log.append_message(seq + 3, T0, seq + 3, 0, 1, 20, bars(1)[0])
    log.append_run(seq + 4, seq + 4, 1, 20, Block(bars(1)), 0, 1)
    digest = log.close()
    reader = LogReader(tmp_path / "log")
    assert [record.seq for record in reader] == list(range(1, seq + 5))
    assert (reader.closed, reader.digest) == (True, digest)


def test_a_record_that_no_reader_would_accept_is_not_written_and_those_before_it_are(tmp_path: Path):
    log = LogWriter(tmp_path / "log")
    for seq, length in ((1, 5), (2, MAX_PAYLOAD + 1), (3, 5)):
        log.append_record(HEAD.pack(length, seq, T0, seq, 0, 1, 20) + bytes(length))
    with pytest.raises(LogError, match=r"^a message of type 20 has \d+ bytes, more than the \d+ allowed"):
        log.settle()
    log.close()
    assert [record.seq for record in LogReader(tmp_path / "log")] == [1]


def test_a_run_goes_on_behind_a_seal(tmp_path: Path):
    logs = [LogWriter(tmp_path / name) for name in "ab"]
    block = Block(bars(SEAL_BYTES // 50))
    append_each(logs[0], 1, 1, 1, TYPE_IDS[Bar], block)
    logs[1].append_run(1, 1, 1, TYPE_IDS[Bar], block, 0, len(block))
    assert logs[0].close() == logs[1].close()
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_runs_longer_than_are_taken_in_at_once_are_taken_in_in_parts(tmp_path: Path):
    logs = [LogWriter(tmp_path / name) for name in "ab"]
    block = Block(bars(2 * MOST + 10))
    append_each(logs[0], 1, 1, 1, TYPE_IDS[Bar], block)
    logs[1].append_run(1, 1, 1, TYPE_IDS[Bar], block, 0, len(block))
    assert logs[0].close() == logs[1].close()
    assert files(tmp_path / "a") == files(tmp_path / "b")
