"""The log: what is appended is read back, in segments of any size, and two equal runs have equal files."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from bus.errors import LogError
from bus.log import DigestLog, LogWriter
from bus.log_format import SEAL, SEAL_BYTES, checksum, new_digest
from bus.log_reader import LogReader, find_segments
from bus.record import FOOTER_TYPE, SEAL_TYPE, decode_records, encode_record
from tests.support.builders import a_bar
from tests.unit.bus.logs import BAR, a_log, append, bars, read, segments

HEAD = 56
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("segment_bytes", [1, 500, 10_000, 10**9])
def test_what_was_appended_is_read_back_whatever_the_size_of_segments(tmp_path, segment_bytes):
    log = a_log(tmp_path, 100, segment_bytes=segment_bytes)
    records, reader = read(tmp_path)
    assert bars(reader, records) == [a_bar(n) for n in range(1, 101)]
    assert [record.seq for record in records] == list(range(1, 101))
    assert (reader.records, reader.last_seq, reader.closed, reader.torn_bytes) == (100, 100, True, 0)
    assert reader.digest == reader.stored_digest == log.close()


def test_segments_are_named_after_their_first_seq_and_roll_when_they_are_full(tmp_path):
    a_log(tmp_path, 10, segment_bytes=300)
    starts = [int(path.stem) for path in segments(tmp_path)]
    assert starts[:3] == [1, 4, 7]
    assert all(len(path.name) == len("00000000000000000001.admflog") for path in segments(tmp_path))
    assert all(path.stat().st_size >= 300 for path in segments(tmp_path)[:-1])


def test_the_size_of_segments_does_not_change_the_digest_nor_does_keeping_nothing(tmp_path):
    small, large, none = a_log(tmp_path / "a", 50, segment_bytes=200), a_log(tmp_path / "b", 50), DigestLog()
    for n in range(1, 51):
        append(none, n)
    none.flush()
    assert small.close() == large.close() == none.close()
    assert none.records == 50


def test_equal_runs_leave_equal_files(tmp_path):
    for name in "ab":
        a_log(tmp_path / name, 300, segment_bytes=5000)
    assert [p.read_bytes() for p in segments(tmp_path / "a")] == [p.read_bytes() for p in segments(tmp_path / "b")]


def test_a_seal_behind_so_many_bytes_has_their_checksum_and_the_digest_so_far_and_the_footer_that_of_all(tmp_path):
    log = a_log(tmp_path, 3000, epoch=7)
    (path,) = segments(tmp_path)
    digest, sealed, types = new_digest(), b"", []
    for record in decode_records(path.read_bytes()[HEAD:]):
        if record.type_id in (SEAL_TYPE, FOOTER_TYPE):
            assert record.payload == SEAL.pack(7, checksum(sealed, 7)) + digest.digest()
            assert record.type_id == FOOTER_TYPE or SEAL_BYTES <= len(sealed) < SEAL_BYTES + 200
            types.append(record.type_id)
            sealed = b""
        else:
            sealed += encode_record(*record)
            digest.update(encode_record(*record))
    assert types == [SEAL_TYPE, SEAL_TYPE, FOOTER_TYPE]
    assert digest.hexdigest() == log.close()


def test_a_sealed_flush_leaves_nothing_without_a_checksum(tmp_path):
    log = a_log(tmp_path, 3, close=False)
    assert read(tmp_path)[1].unsealed == 3
    log.flush(sealed=True)
    append(log, 4)
    log.flush(sealed=True)
    log.flush(sealed=True)
    data = segments(tmp_path)[0].read_bytes()
    assert [record.type_id for record in decode_records(data[HEAD:])] == [BAR] * 3 + [SEAL_TYPE, BAR, SEAL_TYPE]
    records, reader = read(tmp_path)
    assert (len(records), reader.unsealed, reader.closed) == (4, 0, False)
    assert log.close() == read(tmp_path)[1].stored_digest


def test_a_log_that_is_sealed_with_each_flush_has_the_digest_now_and_then_too(tmp_path):
    log = LogWriter(tmp_path)
    for n in range(1, 3000):
        append(log, n)
        log.flush(sealed=True)
    data = segments(tmp_path)[0].read_bytes()
    long = [r.seq for r in decode_records(data[HEAD:]) if r.type_id == SEAL_TYPE and len(r.payload) > SEAL.size]
    assert len(long) == (len(data) - HEAD) // SEAL_BYTES
    assert read(tmp_path)[1].proven.seq == long[-1]
    log.close()


def test_the_digest_does_not_depend_on_flushes_seals_and_epochs(tmp_path):
    digests = {a_log(tmp_path / "a", 40).close(), a_log(tmp_path / "b", 40, epoch=3).close()}
    log = LogWriter(tmp_path / "c", segment_bytes=900)
    for n in range(1, 41):
        append(log, n)
        log.flush(sealed=n % 3 == 0)
    assert digests == {log.close()}
    assert read(tmp_path / "c")[1].digest == log.close()


def test_a_run_that_is_broken_off_leaves_its_records(tmp_path):
    log = a_log(tmp_path, 5, close=False)
    log.abandon()
    records, reader = read(tmp_path)
    assert (len(records), reader.unsealed, reader.closed) == (5, 5, False)


def test_seals_and_the_roll_of_a_segment_may_fall_together(tmp_path):
    for size in range(SEAL_BYTES - 200, SEAL_BYTES + 400, 50):
        a_log(tmp_path / str(size), 1700, segment_bytes=size)
        assert read(tmp_path / str(size))[1].closed


def test_a_log_of_nothing_is_a_sound_log(tmp_path):
    log = a_log(tmp_path, 0)
    records, reader = read(tmp_path)
    assert (records, reader.closed, reader.digest) == ([], True, log.close())


def test_a_log_is_never_overwritten(tmp_path):
    a_log(tmp_path, 3)
    before = segments(tmp_path)[0].read_bytes()
    with pytest.raises(LogError, match="holds a message log already; a log is never overwritten"):
        LogWriter(tmp_path)
    assert segments(tmp_path)[0].read_bytes() == before


def test_a_later_segment_that_is_there_already_is_not_overwritten(tmp_path):
    log = LogWriter(tmp_path, segment_bytes=100)
    append(log, 1)
    (tmp_path / f"{2:020d}.admflog").write_bytes(b"somebody's")
    with pytest.raises(LogError, match=r"00000000000000000002\.admflog: cannot create the message log: File exists"):
        append(log, 2)
        log.flush()
    assert (tmp_path / f"{2:020d}.admflog").read_bytes() == b"somebody's"


def test_a_folder_that_cannot_be_made_is_an_error_of_the_log(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot create the folder of the message log"):
        LogWriter(tmp_path / "file" / "log")


def test_what_was_flushed_is_there_though_the_writer_is_killed(tmp_path):
    log = a_log(tmp_path, 5, close=False)
    append(log, 6)
    records, reader = read(tmp_path)
    assert [record.seq for record in records] == [1, 2, 3, 4, 5]
    assert (reader.closed, reader.torn_bytes) == (False, 0)
    log.close()


def test_more_than_a_megabyte_is_not_kept_in_memory(tmp_path):
    log = LogWriter(tmp_path)
    for n in range(1, 5):
        append(log, n, bytes(400_000))
    assert segments(tmp_path)[0].stat().st_size > 1_000_000
    log.close()


def test_closing_twice_gives_the_digest_twice_and_changes_nothing(tmp_path):
    log = a_log(tmp_path, 5)
    before = segments(tmp_path)[0].read_bytes()
    assert log.close() == log.close() == read(tmp_path)[1].digest
    assert segments(tmp_path)[0].read_bytes() == before


def test_a_closed_log_takes_no_more_records(tmp_path):
    log = a_log(tmp_path, 5)
    append(log, 6)
    with pytest.raises(LogError, match="the message log is closed and takes no more records"):
        log.flush()


FILL_THE_DISK = """
import os, resource, signal, sys
from pathlib import Path
from bus.errors import LogError
from tests.unit.bus.logs import LogWriter, append
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
log = LogWriter(Path(sys.argv[1]), segment_bytes=int(sys.argv[2]))
try:
    for n in range(1, 10_000):
        append(log, n)
        log.flush()
except LogError as error:
    print(n, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
append(log, n)
print(log.close())
"""


@pytest.mark.parametrize(("segment_bytes", "room"), [(10**9, 100_000), (10**9, 57), (40_000, 20_000)])
def test_a_full_disk_stops_the_writer_and_what_was_written_before_is_sound(tmp_path, segment_bytes, room):
    out = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(tmp_path / "log"), str(segment_bytes), str(room)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"^(\d+) .*: cannot write the message log: File too large; the run stops$", out, re.MULTILINE)
    assert found, out
    records, reader = read(tmp_path / "log")
    assert [record.seq for record in records] == list(range(1, int(found[1])))
    assert not reader.closed
    assert segments(tmp_path / "log")[-1].stat().st_size == room, "nothing may follow what was cut off"
    taken_in = DigestLog()
    for n in range(1, int(found[1]) + 1):
        append(taken_in, n)
    assert out.split()[-1] == taken_in.close(), "the digest is also of the record that was refused"


def test_a_full_disk_at_the_very_start_is_an_error_too(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    script = FILL_THE_DISK.replace("log = LogWriter", "LogWriter")
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log"), "1000", "20"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "LogError" in done.stderr
    assert "cannot write the message log: File too large" in done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == limits


def test_reading_a_long_log_takes_the_memory_of_a_few_chunks(tmp_path):
    log = LogWriter(tmp_path, segment_bytes=8_000_000)
    for n in range(1, 15_001):
        append(log, n, bytes(2_000))
    log.close()
    tracemalloc.start()
    try:
        assert sum(1 for _ in LogReader(tmp_path)) == 15_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(path.stat().st_size for path in segments(tmp_path)) > 30_000_000
    assert peak < 4_000_000


def test_a_log_is_found_by_its_run_folder_its_own_folder_or_one_file(tmp_path):
    a_log(tmp_path / "log", 3)
    (path,) = segments(tmp_path / "log")
    assert find_segments(tmp_path) == find_segments(tmp_path / "log") == find_segments(path) == [path]


def test_where_no_log_is_the_error_says_what_was_looked_for(tmp_path):
    with pytest.raises(LogError, match=r"holds no message log \(no \*\.admflog file there or in its folder 'log'\)"):
        read(tmp_path)
    with pytest.raises(LogError, match="no such file or folder"):
        read(tmp_path / "nowhere")


def test_records_come_many_at_once_though_each_has_its_own_seal(tmp_path):
    log = LogWriter(tmp_path, segment_bytes=100_000)
    for n in range(1, 4001):
        append(log, n)
        log.flush(sealed=True)
    log.close()
    batches = list(LogReader(tmp_path).batches())
    assert [record.seq for batch in batches for record in batch] == list(range(1, 4001))
    assert min(map(len, batches[:-1])) > 1000


def test_what_is_sound_before_damage_is_handed_out_first(tmp_path):
    log = LogWriter(tmp_path)
    for n in range(1, 6):
        append(log, n)
        log.flush(sealed=True)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[-60] ^= 1
    path.write_bytes(data)
    reader, handed = LogReader(tmp_path), []
    with pytest.raises(LogError, match="after seq 4"):
        handed += reader
    assert ([record.seq for record in handed], reader.last_seq) == ([1, 2, 3, 4], 4)
