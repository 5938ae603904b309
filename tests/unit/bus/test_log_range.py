"""Who has fallen behind gets exactly what it takes, in order, however the log is cut into segments and pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus import log_range
from bus.errors import LogError
from bus.log import LogWriter
from bus.log_range import LogRange
from bus.record import decode_records

TAKEN, OTHER = 20, 30


def write(folder, type_ids: list[int], segment_bytes: int = 10_000, payload: bytes = b"payload") -> LogWriter:
    log = LogWriter(folder, segment_bytes)
    for seq, type_id in enumerate(type_ids, 1):
        log.append(seq, seq, seq, 0, 1, type_id, payload)
    log.flush()
    return log


def read_all(reader: LogRange, after: int, upto: int) -> list[int]:
    seqs = []
    while after < upto:
        after, data = reader.read(after, upto)
        seqs += [record.seq for record in decode_records(data)]
    assert after == upto
    return seqs


@given(
    st.lists(st.sampled_from([TAKEN, OTHER]), min_size=1, max_size=120),
    st.integers(100, 2000),
    st.integers(60, 3000),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_any_range_is_read_whole_and_in_order(types, segment_bytes, piece, data):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_range, "_PIECE", piece)
        log = write(Path(name), types, segment_bytes)
        reader = LogRange(Path(name), frozenset({TAKEN}))
        for _ in range(3):
            after = data.draw(st.integers(0, len(types)))
            upto = data.draw(st.integers(after, len(types)))
            wanted = [seq for seq in range(after + 1, upto + 1) if types[seq - 1] == TAKEN]
            assert read_all(reader, after, upto) == wanted
        log.close()


def test_a_log_that_is_still_written_is_read_on(tmp_path):
    log = write(tmp_path, [TAKEN] * 10, segment_bytes=300)
    reader = LogRange(tmp_path, frozenset({TAKEN}))
    assert read_all(reader, 4, 10) == [5, 6, 7, 8, 9, 10]
    for seq in range(11, 31):
        log.append(seq, seq, seq, 0, 1, TAKEN, b"more")
    log.flush()
    assert read_all(reader, 10, 30) == list(range(11, 31))
    log.close()


def test_a_record_longer_than_a_piece_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(log_range, "_PIECE", 100)
    write(tmp_path, [TAKEN] * 3, payload=b"x" * 5000).close()
    assert read_all(LogRange(tmp_path, frozenset({TAKEN})), 0, 3) == [1, 2, 3]


def test_a_log_that_ends_too_early_is_an_error(tmp_path):
    write(tmp_path, [TAKEN] * 3).close()
    reader = LogRange(tmp_path, frozenset({TAKEN}))
    after, _ = reader.read(0, 9)
    with pytest.raises(LogError, match="the message log ends at seq 3, before seq 9"):
        reader.read(after, 9)
