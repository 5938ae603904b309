"""Many records at once are, byte for byte, the records one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.log import MARK_EVERY, DigestLog, LogWriter, append_each
from bus.record import MAX_PAYLOAD, digested, encode_record
from bus.record_run import encode_run
from schemas import Bar, Message
from schemas.registry import TYPE_IDS
from tests.support.builders import T0

PRICES = st.floats(allow_nan=False)


def bars(count: int, symbols: tuple[str, ...] = ("AAPL",)) -> list[Message]:
    return [
        Bar(T0 + n, symbols[n % len(symbols)], 1.0 + n, 2.0 + n, 0.5, 1.5 / (n + 1), float(n % 7)) for n in range(count)
    ]


@settings(deadline=None)  # the first example makes the tables
@given(
    st.integers(1, 2**63),
    st.integers(1, 2**62),
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.binary(min_size=9, max_size=9)), min_size=1, max_size=40),
)
def test_a_run_has_the_bytes_of_its_records(seq, source_seq, content):
    times, payloads = [ts for ts, _ in content], [payload for _, payload in content]
    records, bodies = encode_run(seq, source_seq, 3, 20, times, payloads)
    single = [encode_record(seq + n, ts, source_seq + n, 0, 3, 20, payload) for n, (ts, payload) in enumerate(content)]
    assert records == b"".join(single)
    assert bodies == b"".join(map(digested, single))


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=4),
    st.sampled_from([("AAPL",), ("AAPL", "MSFT"), ("AAPL", "F")]),
    st.sampled_from([200, 5_000, 60_000, 10**9]),
    st.integers(0, MARK_EVERY),
)
def test_a_log_of_runs_is_the_log_of_single_records(tmp_path_factory, sizes, symbols, segment_bytes, before):
    folder = tmp_path_factory.mktemp("logs")
    together, single = (LogWriter(folder / name, segment_bytes) for name in ("together", "single"))
    digest_only = DigestLog()
    seq = 1
    for size in [before, *sizes]:
        run = (seq, seq, 1, TYPE_IDS[Bar], bars(size, symbols))
        append_each(single, *run)
        together.append_run(*run)
        digest_only.append_run(*run)
        seq += size
    assert together.close() == single.close() == digest_only.close()
    assert files(folder / "together") == files(folder / "single")


def test_a_payload_that_no_reader_would_accept_is_not_written(tmp_path: Path):
    log = LogWriter(tmp_path / "log")
    with pytest.raises(Exception, match=r"^a message of type 20 has \d+ bytes, more than the \d+ allowed"):
        log.append(1, 0, 1, 0, 1, 20, bytes(MAX_PAYLOAD + 1))
