"""What goes over the wire comes back as it was."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import protocol as p
from bus.errors import ProtocolError
from bus.runtime.runner import Output
from schemas.codec import encode
from tests.support.builders import a_bar, a_fill, a_signal

U16, U64 = st.integers(0, 2**16 - 1), st.integers(0, 2**64 - 1)
HEADS = st.lists(U64, min_size=1, max_size=p.MAX_LANES).map(tuple)
OUTPUTS = st.lists(st.builds(Output, U64, U16, U16, st.none(), st.binary(max_size=50)), max_size=5)


@given(st.integers(1, 63), U64, U64, U64, HEADS, st.binary(max_size=200))
def test_a_wave_comes_back(lane, wave, lanes, owing, heads, records):
    frame = p.WaveFrame(lane, wave, lanes, owing, heads, records)
    data = p.pack_wave(frame)
    assert p.unpack_wave(data) == frame
    assert data[0] == lane, "ZeroMQ filters by the first byte"


@given(st.sampled_from([p.SYNC, p.HEARTBEAT]), U64, HEADS)
def test_a_control_frame_comes_back(kind, wave, heads):
    data = p.pack_control(kind, wave, heads)
    assert (data[0], data[1:2], p.unpack_control(data[1:])) == (p.CONTROL_LANE, kind, (wave, heads))


@given(U64, st.frozensets(U16, max_size=20), OUTPUTS)
def test_an_answer_comes_back(wave, quiet, outputs):
    assert p.unpack_done(p.pack_done(wave, quiet, outputs)) == (wave, quiet, outputs)


@given(st.frozensets(U16, max_size=3), OUTPUTS.filter(bool))
def test_an_answer_that_is_cut_off_is_never_taken_for_a_whole_one(quiet, outputs):
    data = p.pack_done(1, quiet, outputs)
    for length in range(len(data)):
        try:
            found = p.unpack_done(data[:length])
        except (p.DamagedFrame, struct.error):
            continue
        assert found[2] == outputs[: len(found[2])]
        assert len(found[2]) < len(outputs)


def test_messages_in_an_answer_are_encoded():
    (output,) = p.unpack_done(p.pack_done(1, (), [Output(4, 2, 30, a_signal())]))[2]
    assert output == Output(4, 2, 30, None, encode(a_signal()))


@given(st.integers(0, 2**16 - 1), st.booleans(), U64, st.integers(0, 4))
def test_a_block_comes_back(source, last, total, count):
    messages = [a_bar(n) for n in range(count)] + [a_fill()]
    assert p.unpack_block(p.pack_block(source, last, total, messages)) == (source, last, total, messages)


@given(st.lists(st.one_of(st.text(), st.integers(-(2**63), 2**63), st.booleans()), max_size=4))
def test_fields_come_back(fields):
    assert p.unpack_fields(p.pack_fields(p.HELLO, *fields), len(fields)) == fields


@pytest.mark.parametrize("data", [b"H", b"H\xc1", b"H\x93\x01", b"H\x91\x01", b"H\x80", b"H\x92\x01\x02\x03"])
def test_fields_that_are_not_the_right_number_or_no_msgpack_are_refused(data):
    with pytest.raises(p.DamagedFrame, match=r"^a b'H' frame holds ") as info:
        p.unpack_fields(data, 2)
    assert isinstance(info.value, ProtocolError)


@given(U64, U16)
def test_short_frames_come_back(wave, source):
    assert p.unpack_wave_only(p.pack_wave_only(p.SYNCED, wave)) == wave
    assert p.unpack_source_only(p.pack_source_only(p.READ, source)) == source
