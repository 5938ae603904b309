"""A damaged log is repaired beside itself: every sound record is kept, what was cut is said, nothing is made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import LogError
from bus.log import LogWriter
from bus.log_format import SEAL, SEAL_BYTES, checksum
from bus.log_reader import LogReader
from bus.log_repair import repair
from bus.record import HEADER_SIZE, encode_record
from tests.unit.bus.logs import BAR, a_log, a_payload, append, read, segments
from tests.unit.bus.test_log_damage import ends


def damaged(folder: Path, data: bytes, name: str = "00000000000000000001.admflog") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    """Six records, with footer."""
    folder = tmp_path_factory.mktemp("sound")
    a_log(folder, 6)
    return segments(folder)[0].read_bytes()


@pytest.fixture(scope="module")
def places(tmp_path_factory, sound) -> list[int]:
    """Where its records end."""
    return ends(damaged(tmp_path_factory.mktemp("ends"), sound))


def test_a_sound_log_needs_no_repair_and_gets_none(sound, tmp_path):
    assert repair(damaged(tmp_path / "a", sound), tmp_path / "b") is None
    assert not (tmp_path / "b").exists()


def test_a_log_torn_at_any_byte_keeps_every_whole_record_and_is_closed(sound, places, tmp_path_factory):
    for length in range(places[3] + 1, len(sound), 7):
        folder = tmp_path_factory.mktemp("torn")
        path = damaged(folder / "a", sound[:length])
        done = repair(path, folder / "b")
        whole = min(6, sum(place <= length for place in places) - 1)
        assert done.records == whole
        assert done.cut_bytes == length - max(place for place in places if place <= length)
        records, reader = read(folder / "b")
        assert [r.payload for r in records] == [a_payload(n) for n in range(1, whole + 1)]
        assert reader.closed
        assert reader.digest == reader.stored_digest == done.digest
        assert path.read_bytes() == sound[:length], "never in place"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_bits_are_flipped_what_is_kept_is_a_true_beginning_or_it_is_refused(data, tmp_path_factory, sound):
    harmed = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        harmed[data.draw(st.integers(0, len(sound) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    folder = tmp_path_factory.mktemp("flip")
    path = damaged(folder / "a", bytes(harmed))
    try:
        done = repair(path, folder / "b")
    except LogError as error:
        assert "not one of its records is sound" in str(error)
        return
    if done is None:
        # Only an epoch may change unseen by the digest, never by the checksum: so nothing was flipped in the end.
        assert bytes(harmed) == sound
        return
    records, reader = read(folder / "b")
    assert reader.closed
    assert [r.payload for r in records] == [a_payload(n) for n in range(1, done.records + 1)]


def test_damage_in_the_middle_cuts_all_from_the_last_seal_before_it_on_and_says_so(tmp_path):
    log = LogWriter(tmp_path / "live")
    for n in range(1, 7):
        append(log, n)
        log.flush(sealed=n % 3 == 0)
    log.close()
    (path,) = segments(tmp_path / "live")
    harmed, places = bytearray(path.read_bytes()), ends(path)
    harmed[places[6] - 5] ^= 1
    done = repair(damaged(tmp_path / "a", bytes(harmed)), tmp_path / "b")
    assert done.records == 3
    assert done.cut_bytes == len(harmed) - places[4]
    assert "kept 3 records (seq 1 to 3)" in done.text()
    assert f"byte {places[4]}, after seq 3: the checksum" in done.text()


def test_bytes_behind_the_footer_are_cut_and_no_second_footer_is_written(sound, tmp_path):
    assert repair(damaged(tmp_path / "a", sound + b"junk"), tmp_path / "b").cut_bytes == 4
    assert segments(tmp_path / "b")[0].read_bytes() == sound


def test_a_missing_segment_ends_the_log_before_it(tmp_path):
    a_log(tmp_path / "a", 9, segment_bytes=300)
    gone = segments(tmp_path / "a")[1]
    gone.unlink()
    done = repair(tmp_path / "a", tmp_path / "b")
    assert (done.records, done.cut_segments) == (3, 1)
    assert "a segment is missing" in done.damage


def test_records_changed_together_with_their_checksum_are_kept_only_up_to_the_last_digest_that_fits(tmp_path):
    a_log(tmp_path / "a", SEAL_BYTES // 90)
    (path,) = segments(tmp_path / "a")
    data, places = path.read_bytes(), ends(path)
    seal = next(index for index, end in enumerate(places) if end - places[0] >= SEAL_BYTES)
    start, end, footer = places[seal + 5], places[seal + 6], places[-2]
    forged = encode_record(seal + 5, 0, 1, 0, 1, BAR, b"x" * (end - start - HEADER_SIZE))
    records = data[places[seal + 1] : start] + forged + data[end:footer]
    last = bytearray(data[footer:])
    last[HEADER_SIZE : HEADER_SIZE + SEAL.size] = SEAL.pack(1, checksum(records, 1))
    done = repair(damaged(tmp_path / "f", data[: places[seal + 1]] + records + bytes(last)), tmp_path / "b")
    assert done.records == seal
    assert "does not fit the records" in done.damage


def test_a_log_without_one_sound_record_is_refused(sound, tmp_path):
    for data in (b"", b"hello", sound[:30], sound[:60], b"\0" * 500):
        with pytest.raises(LogError, match="not one of its records is sound"):
            repair(damaged(tmp_path / "a", data), tmp_path / "b")


def test_a_repaired_run_folder_is_a_run_folder(tmp_path):
    a_log(tmp_path / "run" / "log", 5, close=False)
    (tmp_path / "run" / "manifest.json").write_text("{}")
    repair(tmp_path / "run", tmp_path / "new")
    assert (tmp_path / "new" / "manifest.json").read_text() == "{}"
    assert LogReader(tmp_path / "new").path == tmp_path / "new"
    assert len(read(tmp_path / "new")[0]) == 5


def test_a_folder_that_holds_something_is_not_written_to(sound, tmp_path):
    path = damaged(tmp_path / "a", sound[:-5])
    with pytest.raises(LogError, match="exists already"):
        repair(path, tmp_path / "a")
