"""The frame around a message: what goes in comes out, and whatever is changed on the way is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import record as r
from bus.errors import LogError

U16, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 64))
HEADS = st.tuples(U64, st.integers(-(2**63), 2**63 - 1), U64, U64, U16, U16)


def a_record(payload: bytes = b"\x93\x01\x02\x03", **other: int) -> bytes:
    fields = {
        "seq": 7,
        "ts": 1_577_923_200_000_000_000,
        "source_seq": 3,
        "cause": 6,
        "source": 2,
        "type_id": 30,
        **other,
    }
    return r.encode_record(payload=payload, **fields)


@given(HEADS, st.binary(max_size=200))
def test_a_record_comes_back_as_it_was(head, payload):
    data = r.encode_record(*head, payload)
    record, end = r.decode_record(data)
    assert record == (*head, payload)
    assert end == len(data) == r.HEADER_SIZE + len(payload)


@given(st.lists(st.binary(max_size=60), max_size=8), st.binary(max_size=30))
def test_records_one_after_another_come_back_in_order(payloads, before):
    data = b"".join(a_record(payload, seq=n) for n, payload in enumerate(payloads))
    assert [(record.seq, record.payload) for record in r.decode_records(data)] == list(enumerate(payloads))
    if payloads:
        assert r.decode_record(before + data, len(before))[0].payload == payloads[0]


def test_the_head_is_40_bytes_and_begins_with_the_length_of_the_payload_and_seq():
    data = a_record()
    assert len(data) == 40 + 4
    assert data[:4] == (4).to_bytes(4, "little")
    assert data[r.SEQ_OFFSET : r.SEQ_OFFSET + 8] == (7).to_bytes(8, "little")


def test_a_record_cut_anywhere_is_incomplete_and_says_how_much_is_missing_at_least():
    data = a_record(b"x" * 20)
    for length in range(len(data)):
        with pytest.raises(
            r.IncompleteRecord, match=r"^the last record is incomplete: at least \d+ bytes are missing$"
        ) as info:
            r.decode_record(data[:length])
        assert info.value.missing == (40 if length < 40 else len(data)) - length


def test_records_that_do_not_end_where_the_bytes_end_are_refused():
    with pytest.raises(r.IncompleteRecord):
        list(r.decode_records(a_record() + a_record()[:-1]))


def test_a_length_that_no_message_has_is_damage_and_not_a_reason_to_wait():
    data = bytearray(a_record())
    data[:4] = (r.MAX_PAYLOAD + 1).to_bytes(4, "little")
    with pytest.raises(LogError, match="67108865 bytes, more than the 67108864 allowed") as info:
        r.decode_record(bytes(data))
    assert not isinstance(info.value, r.IncompleteRecord)


def test_a_message_that_no_reader_would_accept_is_not_written():
    with pytest.raises(LogError, match="a message of type 30 has 67108865 bytes, more than the 67108864 allowed"):
        a_record(bytes(r.MAX_PAYLOAD + 1))


def test_as_many_records_fit_as_begin_within_the_room():
    record = a_record(bytes(10))
    data, size = bytearray(10 * record), len(record)
    assert size == 50
    assert r.fitting(data, 0, 10_000) == (10, 500)
    found = [r.fitting(data, 0, room) for room in (1, 50, 51, 500, 501)]
    assert found == [(1, 50), (1, 50), (2, 100), (10, 500), (10, 500)]
    assert r.fitting(data, 450, 51) == (1, 500)
