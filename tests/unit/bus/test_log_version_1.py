"""Logs of version 1 are read, verified and repaired into logs of today; nobody writes them any more."""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import LogError
from bus.log import LogWriter
from bus.log_format import MAGIC, new_digest
from bus.log_reader import LogReader
from bus.log_repair import repair
from bus.record import FOOTER_TYPE, SEAL_TYPE, encode_record
from tests.support.builders import T0
from tests.unit.bus.logs import BAR, a_payload, bars, read, segments

MARKED = 40
"""Version 1 had a mark behind every 4,096 records; where it stands is not looked at."""


def sealed(body: bytes, epoch: int = 1) -> bytes:
    """A record as version 1 had it."""
    rest = struct.pack("<I", epoch) + body
    return struct.pack("<I", crc32(rest)) + rest


def head(first_seq: int, digest: bytes) -> bytes:
    data = struct.pack("<8sIQ32s", MAGIC, 1, first_seq, digest)
    return data + struct.pack("<I", crc32(data))


def version_1(records: int, footer: bool = True) -> bytes:
    """A segment of so many bars."""
    digest = new_digest(1)
    data = head(1, digest.digest())
    for n in range(1, records + 1):
        body = encode_record(n, T0 + n, n, 0, 1, BAR, a_payload(n))
        digest.update(body)
        data += sealed(body, epoch=1 + n // 50)
        if n % MARKED == 0:
            data += sealed(encode_record(n, 0, 0, 0, 0, SEAL_TYPE, digest.digest()))
    return data + (sealed(encode_record(records, 0, 0, 0, 0, FOOTER_TYPE, digest.digest())) if footer else b"")


def written(folder: Path, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{1:020d}.admflog").write_bytes(data)
    return folder


def today(folder: Path, records: int) -> LogWriter:
    log = LogWriter(folder)
    for n in range(1, records + 1):
        log.append(n, T0 + n, n, 0, 1, BAR, a_payload(n))
    log.close()
    return log


@pytest.mark.parametrize("records", [0, 1, 40, 100])
def test_a_log_of_version_1_holds_the_same_records_and_has_a_digest_of_its_own_kind(tmp_path, records):
    old, reader = read(written(tmp_path / "old", version_1(records)))
    today(tmp_path / "new", records)
    new, new_reader = read(tmp_path / "new")
    assert old == new
    assert reader.digest == reader.stored_digest != new_reader.digest
    assert (reader.version, reader.records, reader.closed, reader.torn_bytes) == (1, records, True, 0)
    assert bars(reader, old) == bars(new_reader, new)


def test_a_log_of_several_chunks_is_read_whole(tmp_path):
    records, reader = read(written(tmp_path, version_1(12_000)))
    assert ([r.seq for r in records], reader.closed) == (list(range(1, 12_001)), True)


def test_one_that_was_cut_keeps_every_whole_record(tmp_path):
    data = version_1(5, footer=False)
    size = (len(data) - 56) // 5
    for length in range(56 + 4 * size, len(data)):
        records, reader = read(written(tmp_path, data[:length]))
        assert (len(records), reader.closed, reader.torn_bytes) == (4, False, length - 56 - 4 * size)


DATA = version_1(50)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(DATA) - 90), bit=st.integers(0, 7))
def test_a_flipped_bit_is_an_error_where_it_is(at, bit, tmp_path_factory):
    harmed = bytearray(DATA)
    harmed[at] ^= 1 << bit
    path = written(tmp_path_factory.mktemp("flip"), bytes(harmed))
    reader = LogReader(path)
    with pytest.raises(LogError):
        reader.verify()
    good = [record.seq for record in read(written(path / "good", DATA))[0]]
    assert reader.last_seq <= len(good)


def test_what_stands_behind_the_footer_is_an_error(tmp_path):
    for more in (b"x", b"x" * 60, sealed(encode_record(6, 0, 6, 0, 1, BAR, b""))):
        with pytest.raises(LogError, match=r"behind the log's footer|more than the 67108864 allowed"):
            read(written(tmp_path, version_1(5) + more))


def test_a_record_that_does_not_follow_is_an_error(tmp_path):
    more = sealed(encode_record(9, 0, 9, 0, 1, BAR, b""))
    with pytest.raises(LogError, match="after seq 5: seq 9 follows seq 5"):
        read(written(tmp_path, version_1(5, footer=False) + more))


def test_a_repaired_one_is_a_log_of_today(tmp_path):
    data = bytearray(version_1(20))
    data[56 + 10 * 108 + 60] ^= 1
    done = repair(written(tmp_path / "a", bytes(data)), tmp_path / "b")
    today(tmp_path / "c", 10)
    assert (done.records, done.cut_bytes) == (10, len(data) - 56 - 10 * 108)
    assert segments(tmp_path / "b")[0].read_bytes() == segments(tmp_path / "c")[0].read_bytes()
