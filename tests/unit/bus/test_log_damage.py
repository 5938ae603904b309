"""A log that is damaged: a torn tail is cut off and counted, anything else is an error that says where."""

from __future__ import annotations

import shutil
import time
from array import array
from pathlib import Path

import pytest

from bus.errors import LogError
from bus.log_format import SEAL, SEAL_BYTES, SEGMENT_HEAD_SIZE, checksum, new_digest, segment_head
from bus.log_reader import LogReader
from bus.record import FOOTER_TYPE, HEADER_SIZE, decode_records, encode_record
from tests.support.builders import T0
from tests.unit.bus.logs import BAR, a_log, append, read, segments

LENGTH_OFFSET = 0


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """Six records, with footer."""
    folder = tmp_path_factory.mktemp("sound")
    a_log(folder, 6)
    return segments(folder)[0]


@pytest.fixture(scope="module")
def unclosed(tmp_path_factory) -> Path:
    """Six records, without footer."""
    folder = tmp_path_factory.mktemp("unclosed")
    a_log(folder, 6, close=False)
    return segments(folder)[0]


def ends(path: Path) -> list[int]:
    """Byte offsets at which the records of a segment end."""
    offsets = [SEGMENT_HEAD_SIZE]
    for record in decode_records(path.read_bytes()[SEGMENT_HEAD_SIZE:]):
        offsets.append(offsets[-1] + HEADER_SIZE + len(record.payload))
    return offsets


def changed(path: Path, folder: Path, data: bytes) -> Path:
    """A copy of a segment with other bytes."""
    copy = folder / path.name
    copy.write_bytes(data)
    return copy


def test_a_tail_torn_at_any_byte_of_the_last_record_costs_that_record_only(unclosed, tmp_path):
    data, (*_, before, end) = unclosed.read_bytes(), ends(unclosed)
    for length in range(before, end):
        records, reader = read(changed(unclosed, tmp_path, data[:length]))
        assert [record.seq for record in records] == [1, 2, 3, 4, 5]
        assert (reader.torn_bytes, reader.closed) == (length - before, False)


def test_a_footer_torn_at_any_byte_leaves_an_unclosed_log_with_all_records(sound, tmp_path):
    data, (*_, before, end) = sound.read_bytes(), ends(sound)
    for length in range(before, end):
        records, reader = read(changed(sound, tmp_path, data[:length]))
        assert len(records) == 6
        assert (reader.torn_bytes, reader.closed) == (length - before, False)


def test_every_flipped_bit_before_the_last_record_is_an_error_and_never_taken_for_a_torn_tail(sound, tmp_path):
    data = sound.read_bytes()
    for byte in range(ends(sound)[-2]):
        damaged = bytearray(data)
        damaged[byte] ^= 1 << byte % 8
        with pytest.raises(LogError):
            read(changed(sound, tmp_path, bytes(damaged)))


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_of_a_length_is_an_error(sound, tmp_path, bit):
    data, offsets = sound.read_bytes(), ends(sound)
    for start in offsets[:-2]:
        for byte in range(4):
            damaged = bytearray(data)
            damaged[start + LENGTH_OFFSET + byte] ^= 1 << bit
            with pytest.raises(LogError, match=r"byte \d+, after seq \d: "):
                read(changed(sound, tmp_path, bytes(damaged)))


def test_damage_in_the_middle_is_reported_with_its_place_and_all_that_is_sealed_before_it_is_read(tmp_path):
    log = a_log(tmp_path / "live", 3, close=False)
    log.flush(sealed=True)
    for n in range(4, 7):
        append(log, n)
    log.close()
    (sound,) = segments(tmp_path / "live")
    data, offsets = bytearray(sound.read_bytes()), ends(sound)
    data[offsets[5] + HEADER_SIZE + 5] ^= 4
    path = changed(sound, tmp_path, bytes(data))
    reader = LogReader(path)
    size = offsets[7] - offsets[4]
    what = f"the checksum of the {size} bytes up to seq 6 does not fit them"
    with pytest.raises(LogError, match=rf"^{path}: byte {offsets[4]}, after seq 3: {what}$"):
        list(reader)
    assert (reader.last_seq, reader.records) == (3, 3)


@pytest.mark.parametrize("length", [100_000, 60_000_000, 2**32 - 1])
@pytest.mark.parametrize("which", [0, 3, 5])
def test_a_huge_length_with_good_records_behind_it_is_damage(sound, tmp_path, length, which):
    data, offsets = bytearray(sound.read_bytes()), ends(sound)
    data[offsets[which] + LENGTH_OFFSET : offsets[which] + LENGTH_OFFSET + 4] = length.to_bytes(4, "little")
    place = rf"byte {offsets[which]}, after seq {which}: |with a seal behind it"
    with pytest.raises(LogError, match=place):
        read(changed(sound, tmp_path, bytes(data)))


@pytest.mark.parametrize("bit", range(8))
def test_a_damaged_length_of_a_seal_is_damage_too(tmp_path, bit):
    a_log(tmp_path / "whole", SEAL_BYTES // 90)
    (path,) = segments(tmp_path / "whole")
    places = ends(path)
    seal = next(end for end in places if end - SEGMENT_HEAD_SIZE >= SEAL_BYTES)
    data = bytearray(path.read_bytes())
    data[seal + LENGTH_OFFSET + 1] ^= 1 << bit
    with pytest.raises(LogError, match=rf"byte {seal}, after seq {places.index(seal)}: "):
        read(changed(path, tmp_path, bytes(data)))


@pytest.mark.parametrize(
    "column", [(2.0, 2.0, 2.0, 0.0, 0.0, 0.0), (0.0,) * 6, (-2.0, 0.0, 2.0, 0.0, 0.0, 0.0)], ids=str
)
def test_numbers_of_a_torn_column_are_not_taken_for_records(tmp_path, column):
    """Seq 64 and 192 are the top bytes of 2.0 and -2.0, between the zeros of their other bytes and of the next."""
    log = a_log(tmp_path / "curve", 190, close=False)
    for seq in (63, 191):
        payload = b"\x91\xc6" + (20 * 48).to_bytes(4, "big") + array("d", column * 20).tobytes()
        torn = encode_record(seq, T0, seq, 0, 1, BAR, payload)
        path = segments(log.folder)[0]
        data = path.read_bytes()[: ends(path)[seq - 1]]
        for length in range(HEADER_SIZE, len(torn), 7):
            records, reader = read(changed(path, tmp_path, data + torn[:length]))
            assert (len(records), reader.torn_bytes) == (seq - 1, length)


def test_a_torn_record_of_many_zeros_is_looked_through_at_once(sound, tmp_path):
    torn = encode_record(1, 0, 1, 0, 1, 20, b"\x91" + bytes(4_000_000))[:-1]
    start = time.process_time()
    _, reader = read(changed(sound, tmp_path, sound.read_bytes()[:SEGMENT_HEAD_SIZE] + torn))
    assert reader.torn_bytes == len(torn)
    assert time.process_time() - start < 5.0, "it took 50 s when every place of them was looked at"


def test_many_records_without_a_seal_are_an_error_and_not_kept_in_memory(sound, tmp_path):
    records = [encode_record(seq, 0, seq, 0, 1, 20, b"\x91" + bytes(seq % 9)) for seq in range(1, 60_001)]
    path = changed(sound, tmp_path, sound.read_bytes()[:SEGMENT_HEAD_SIZE] + b"".join(records))
    with pytest.raises(LogError, match=r"byte 56, after seq 0: no seal stands behind [12],[0-9,]* bytes of records"):
        read(path)


@pytest.mark.parametrize("length", [8, 41, 42, 44, 56, 1000])
def test_a_last_seal_with_a_damaged_length_does_not_let_other_damage_through(sound, tmp_path, length):
    data, places = bytearray(sound.read_bytes()), ends(sound)
    data[places[-2] : places[-2] + 2] = length.to_bytes(2, "little")
    data[places[0] + HEADER_SIZE] ^= 1
    with pytest.raises(LogError):
        read(changed(sound, tmp_path, bytes(data)))


def test_a_torn_seal_that_has_its_checksum_proves_what_is_before_it(sound, tmp_path):
    data, places = bytearray(sound.read_bytes()), ends(sound)
    data[places[0] + HEADER_SIZE] ^= 1
    for cut in range(places[-2] + HEADER_SIZE + SEAL.size, places[-1]):
        with pytest.raises(LogError, match="a damaged record or seal at the end"):
            read(changed(sound, tmp_path, bytes(data[:cut])))


def test_bytes_behind_the_footer_are_an_error(sound, tmp_path):
    for more in (b"\0", b"x" * 47, b"x" * 200, b"x" * 3_000_000):
        with pytest.raises(LogError, match=r"bytes stand behind the log's footer"):
            read(changed(sound, tmp_path, sound.read_bytes() + more))


def test_a_record_behind_the_footer_is_an_error(sound, tmp_path):
    more = encode_record(7, 0, 7, 0, 1, 20, b"\x90")
    with pytest.raises(LogError, match="41 bytes stand behind the log's footer"):
        read(changed(sound, tmp_path, sound.read_bytes() + more))


def test_a_segment_behind_the_one_with_the_footer_is_an_error(sound, tmp_path):
    data = sound.read_bytes()
    changed(sound, tmp_path, data)
    head = segment_head(7, bytes.fromhex(read(sound)[1].digest))
    (tmp_path / f"{7:020d}.admflog").write_bytes(head)
    with pytest.raises(LogError, match=r"0001.admflog: holds the log's footer, and other segments follow it"):
        read(tmp_path)


@pytest.mark.parametrize("seq", [1, 5, 6, 8, 2**63])
def test_a_seq_that_does_not_follow_is_an_error(unclosed, tmp_path, seq):
    more = encode_record(seq, 0, 7, 0, 1, 20, b"\x90")
    with pytest.raises(LogError, match=rf"seq {seq} follows seq 6"):
        read(changed(unclosed, tmp_path, unclosed.read_bytes() + more))


def footer(records: bytes, digest: bytes, seq: int = 6) -> bytes:
    """A footer with the right checksum."""
    return encode_record(seq, 0, 0, 0, 0, FOOTER_TYPE, SEAL.pack(1, checksum(records, 1)) + digest)


def test_records_that_were_exchanged_with_the_right_checksum_are_found_by_the_digest(sound, tmp_path):
    data, offsets = sound.read_bytes(), ends(sound)
    forged = encode_record(3, 0, 3, 0, 1, 20, b"\x90")
    records = data[offsets[0] : offsets[2]] + forged + data[offsets[3] : offsets[6]]
    old = bytes.fromhex(read(sound)[1].digest)
    path = changed(sound, tmp_path, data[: offsets[0]] + records + footer(records, old))
    with pytest.raises(LogError, match="the digest stored after seq 6 does not fit the records"):
        read(path)
    assert len(list(LogReader(path, check_digest=False))) == 6


def test_a_footer_of_another_log_does_not_fit(unclosed, tmp_path):
    data = unclosed.read_bytes()
    records = data[SEGMENT_HEAD_SIZE:]
    with pytest.raises(LogError, match="the digest stored after seq 6 does not fit the records: 0000"):
        read(changed(unclosed, tmp_path, data + footer(records, bytes(32))))
    with pytest.raises(LogError, match="the checksum of the 600 bytes up to seq 6 does not fit them"):
        read(changed(unclosed, tmp_path, data + footer(records[1:], bytes(32))))
    with pytest.raises(LogError, match="a damaged seal, or one of other records: it says seq 5"):
        read(changed(unclosed, tmp_path, data + footer(records, bytes(32), seq=5)))


@pytest.fixture
def three(tmp_path) -> list[Path]:
    """A log of three segments."""
    a_log(tmp_path / "three", 9, segment_bytes=300)
    return segments(tmp_path / "three")


def test_a_missing_segment_is_an_error_that_says_which(three):
    assert [path.stem[-1] for path in three] == ["1", "4", "7"]
    three[1].unlink()
    with pytest.raises(LogError, match=r"0007.admflog: starts at seq 7, after seq 3: a segment is missing"):
        read(three[0].parent)


def test_a_missing_first_segment_is_an_error(three):
    three[0].unlink()
    with pytest.raises(LogError, match=r"0004.admflog: starts at seq 4: the segments before it are missing"):
        read(three[0].parent)


def test_a_missing_last_segment_leaves_a_log_that_is_not_closed(three):
    three[-1].unlink()
    records, reader = read(three[0].parent)
    assert (len(records), reader.closed) == (6, False)


def test_a_torn_segment_with_others_behind_it_is_an_error(three):
    three[1].write_bytes(three[1].read_bytes()[:-10])
    with pytest.raises(LogError, match=r"0004.admflog: byte .*: the segment ends without a seal, and others follow it"):
        read(three[0].parent)


@pytest.mark.parametrize("cut", [0, 1, 8, SEGMENT_HEAD_SIZE - 1])
def test_a_writer_killed_while_it_began_a_segment_leaves_a_torn_tail(three, cut):
    three[-1].write_bytes(three[-1].read_bytes()[:cut])
    records, reader = read(three[0].parent)
    assert (len(records), reader.closed, reader.torn_bytes) == (6, False, cut)


def test_segments_of_two_logs_do_not_fit_together(three, tmp_path):
    a_log(tmp_path / "other", 2, segment_bytes=10**9)
    other = a_log(tmp_path / "longer", 9, close=False, segment_bytes=300)
    append(other, 10)
    other.close()
    head = segment_head(7, new_digest().digest())
    three[-1].write_bytes(head + three[-1].read_bytes()[SEGMENT_HEAD_SIZE:])
    with pytest.raises(LogError, match=r"0007.admflog: the digest in the segment's head does not fit the records"):
        read(three[0].parent)


@pytest.mark.parametrize("cut", [0, 1, 8, SEGMENT_HEAD_SIZE - 1])
def test_a_file_that_ends_within_its_head_says_so(sound, tmp_path, cut):
    path = changed(sound, tmp_path, sound.read_bytes()[:cut])
    with pytest.raises(LogError, match=rf"^{path}: the file ends within the segment's head$"):
        read(path)


@pytest.mark.parametrize("data", [b"x", b"PK\x03\x04 a zip file", b"timestamp,open,high,low,close\n" * 9], ids=len)
def test_a_file_that_is_no_log_is_called_that(tmp_path, data):
    path = tmp_path / "daily.csv"
    path.write_bytes(data)
    with pytest.raises(LogError, match="not a message log"):
        read(path)


def test_a_log_of_a_later_version_says_which_this_program_reads(sound, tmp_path):
    data = bytearray(sound.read_bytes())
    data[8] = 4
    with pytest.raises(LogError, match="log version 4; this program reads versions 1 to 3"):
        read(changed(sound, tmp_path, bytes(data)))


def test_a_file_that_may_not_be_read_is_an_error_of_the_log(tmp_path):
    a_log(tmp_path, 3)
    (path,) = segments(tmp_path)
    shutil.copy(path, tmp_path / "copy")
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(LogError, match="cannot read the message log: Too many levels of symbolic links"):
        read(tmp_path)
