"""Logs of every version are read and verified, each with a digest of its kind; what is written is of the last one."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from zlib import crc32

import pytest
from blake3 import blake3

from bus.errors import LogError
from bus.log_format import MAGIC, SEAL, VERSION, checksum
from bus.log_reader import LogReader
from bus.log_repair import repair
from bus.record import FOOTER_TYPE, encode_record
from tests.support.builders import T0
from tests.unit.bus.logs import BAR, a_log, a_payload, read, segments

GOLDEN = Path(__file__).parents[2] / "golden" / "versions"
CAPTURES = {1: GOLDEN / "0.1.0-log-1", 2: GOLDEN / "0.1.0-log-2", 3: GOLDEN / "0.1.0"}


def blake2b(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def bars(first: int, last: int) -> bytes:
    return b"".join(encode_record(n, T0 + n, n, 0, 1, BAR, a_payload(n)) for n in range(first, last + 1))


def head(first_seq: int, digest: bytes) -> bytes:
    data = struct.pack("<8sIQ32s", MAGIC, 2, first_seq, digest)
    return data + struct.pack("<I", crc32(data))


def version_2(records: int) -> bytes:
    """A segment of so many bars, closed."""
    body = bars(1, records)
    footer = SEAL.pack(1, checksum(body, 1)) + blake2b(body)
    return head(1, blake2b(b"")) + body + encode_record(records, 0, 0, 0, 0, FOOTER_TYPE, footer)


def written(folder: Path, data: bytes, first_seq: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{first_seq:020d}.admflog").write_bytes(data)
    return folder


@pytest.mark.parametrize("version", CAPTURES)
def test_a_capture_of_every_version_is_sound_and_says_of_which_it_is(version):
    records, reader = read(CAPTURES[version])
    assert (reader.version, reader.closed, reader.digest) == (version, True, reader.stored_digest)
    data = b"".join(encode_record(*record) for record in records)
    assert reader.digest == (blake2b(data).hex() if version < 3 else blake3(data).hexdigest())


def test_there_is_a_capture_of_every_version():
    assert sorted(CAPTURES) == list(range(1, VERSION + 1))


def test_the_records_of_versions_1_and_2_are_the_same_and_so_is_their_digest():
    (one, first), (two, second) = read(CAPTURES[1]), read(CAPTURES[2])
    assert one == two
    assert first.digest == second.digest


def test_the_digest_of_no_records_is_that_which_blake3_is_known_by(tmp_path):
    assert a_log(tmp_path, 0).close() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@pytest.mark.parametrize("records", [0, 1, 100])
def test_a_log_of_version_2_holds_the_same_records_with_the_old_digest(tmp_path, records):
    old, reader = read(written(tmp_path / "old", version_2(records)))
    a_log(tmp_path / "new", records)
    assert old == read(tmp_path / "new")[0]
    assert (reader.version, reader.closed, reader.digest) == (2, True, blake2b(bars(1, records)).hex())


def test_a_digest_of_another_kind_than_the_versions_does_not_fit(tmp_path):
    data = version_2(5)
    new = data.replace(blake2b(bars(1, 5)), blake3(bars(1, 5)).digest())
    with pytest.raises(LogError, match="the digest stored after seq 5 does not fit the records"):
        read(written(tmp_path, new))


@pytest.mark.parametrize("version", [1, 2])
def test_a_repaired_one_is_of_todays_version_with_its_digest(tmp_path, version):
    (path,) = segments(CAPTURES[version] / "log")
    done = repair(written(tmp_path / "torn", path.read_bytes()[:-20]), tmp_path / "new")
    old, _ = read(CAPTURES[version])
    records, reader = read(tmp_path / "new")
    assert records == old
    assert (reader.version, reader.closed, reader.digest) == (VERSION, True, done.digest)


def test_segments_of_two_versions_are_not_of_one_log(tmp_path):
    a_log(tmp_path, 9, segment_bytes=300)
    path = segments(tmp_path)[1]
    assert path.stem.endswith("4")
    path.write_bytes(head(4, blake2b(bars(1, 3))) + path.read_bytes()[56:])
    reader = LogReader(tmp_path)
    with pytest.raises(LogError, match=r"0004.admflog: log version 2, and the segments before it are of version 3"):
        reader.verify()
    assert reader.last_seq == 3
    assert repair(tmp_path, tmp_path / "new").records == 3
