"""Records made of a block's arrays are, byte for byte, those of its messages."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.block_records import has_table, table_of
from bus.record import encode_record
from bus.runtime.block import Block
from schemas import Bar, Message, Quote, Trade
from schemas.codec import encode
from schemas.registry import TYPE_IDS, fields
from tests.support.builders import T0

TYPES = (Bar, Quote, Trade)
MIN, MAX = -(2**63), 2**63 - 1
BORDERS = [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX]
BORDERS += [-1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, MIN]
TIMES = st.one_of(st.integers(2**32, MAX), st.integers(MIN, -(2**31) - 1), st.sampled_from(BORDERS))
LATER_TIMES = st.integers(2**32, MAX)
NUMBERS = st.one_of(
    st.floats(),
    st.sampled_from([-0.0, 0.0, float("inf"), float("-inf"), float("nan"), 5e-324]),
    st.binary(min_size=8, max_size=8).map(lambda bits: struct.unpack("<d", bits)[0]),  # every kind of nan
)
SYMBOLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=35)


def block_of(message_type: type[Message], times: list[int], symbols: list[str], numbers: list[float]) -> Block:
    """A block that has all its columns as arrays, but that of a symbol which is the only one."""
    count = len(times)
    columns: dict[str, Any] = {"ts": np.array(times, np.int64)}
    for n, name in enumerate(fields(message_type)[2:]):
        columns[name] = np.array([numbers[(m + n) % len(numbers)] for m in range(count)], np.float64)
    names = [symbols[n % len(symbols)] for n in range(count)]
    values = [columns[name].tolist() for name in fields(message_type)[2:]]
    if len(symbols) > 1:
        texts = [name.encode() for name in names]
        columns["symbol"] = np.array(texts, f"V{len(texts[0])}")
    return Block(map(message_type, columns["ts"].tolist(), names, *values), arrays=columns)


def records_of(messages: list[Any]) -> list[bytes]:
    return [encode_record(0, message.ts, 0, 0, 3, 20, encode(message)) for message in messages]


def rows_of(block: Block, start: int, end: int) -> list[bytes] | None:
    """Those of the table, which are the same when the block has no messages any more."""
    table = table_of(block, start, end, 3, 20)
    assert has_table(block, start, end) == (table is not None)
    if table is None:
        return None
    without = table_of(block.without_messages(), start, end, 3, 20)
    assert without is not None
    assert without.tobytes() == table.tobytes()
    return [row.tobytes() for row in table]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.one_of(st.lists(LATER_TIMES, min_size=1, max_size=9), st.lists(TIMES, min_size=1, max_size=3)),
    SYMBOLS,
    st.lists(NUMBERS, min_size=1, max_size=9),
    st.data(),
)
def test_they_are_wherever_all_ints_take_nine_bytes_and_the_symbol_is_short(message_type, times, symbol, numbers, data):
    block = block_of(message_type, times, [symbol], numbers)
    start = data.draw(st.integers(0, len(block) - 1))
    end = data.draw(st.integers(start + 1, len(block)))
    some = times[start:end]
    longest = min(some) >= 2**32 or max(some) < -(2**31)
    expected = records_of(block[start:end]) if longest and len(symbol.encode()) <= 31 else None
    assert rows_of(block, start, end) == expected


@given(st.lists(st.text(st.characters(max_codepoint=127), min_size=3, max_size=3), min_size=2, max_size=4, unique=True))
def test_several_symbols_of_one_length_are_a_column_like_others(symbols):
    block = block_of(Bar, [T0 + n for n in range(9)], symbols, [1.5, 2.5])
    assert rows_of(block, 0, 9) == records_of(block)


@pytest.mark.parametrize("border", BORDERS)
def test_no_row_is_made_for_a_time_that_msgpack_writes_in_fewer_bytes(border):
    block = block_of(Bar, [border] * 2, ["A"], [1.0])
    payload = encode(block[0])
    rows = rows_of(block, 0, 2)
    assert rows is None if payload[1] not in (0xCF, 0xD3) else rows == records_of(block)


@pytest.mark.parametrize("count", [1, 15, 16, 256])
def test_a_message_may_have_any_number_of_fields(count):
    declared = {"ts": "int", **{f"value_{n}": "float" for n in range(1, count)}}
    wide = type(Message)("Wide", (Message,), {"__annotations__": declared}, frozen=True, array_like=True)
    columns = {name: np.array([T0, T0 + 1], np.float64 if n else np.int64) for n, name in enumerate(declared)}
    block = Block(map(wide, *(column.tolist() for column in columns.values())), arrays=columns)
    assert rows_of(block, 0, 2) == records_of(block)


@pytest.mark.parametrize("length", [1, 31, 32])
def test_texts_of_a_column_are_as_short_as_one_of_its_own(length):
    rows = rows_of(block := block_of(Bar, [T0] * 2, ["A" * length, "B" * length], [1.0]), 0, 2)
    assert rows is None if length > 31 else rows == records_of(block)


def test_several_sources_and_types_do_not_mix():
    bars, trades = (block_of(kind, [T0, T0 + 1], ["A"], [1.0]) for kind in (Bar, Trade))
    for _ in range(2):
        for source in (1, 2):
            for block in (bars, trades):
                type_id = TYPE_IDS[block.message_type]
                table = table_of(block, 0, 2, source, type_id)
                assert table.tobytes() == b"".join(
                    encode_record(0, message.ts, 0, 0, source, type_id, encode(message)) for message in block
                )


def test_without_an_array_for_every_field_there_is_no_table():
    whole = block_of(Bar, [T0, T0 + 1], ["A"], [1.0])
    assert rows_of(whole, 0, 2) is not None
    for name in whole.arrays:
        assert rows_of(Block(whole, arrays={k: v for k, v in whole.arrays.items() if k != name}), 0, 2) is None
    assert rows_of(Block(whole), 0, 2) is None


def test_arrays_of_another_kind_make_no_table():
    whole = block_of(Bar, [T0, T0 + 1], ["A"], [1.0])
    for name, wrong in {"open": np.array([1, 1]), "ts": np.array([1.0, 2.0]), "symbol": np.array(["A", "A"])}.items():
        assert rows_of(Block(whole, arrays={**whole.arrays, name: wrong}), 0, 2) is None


def test_symbols_that_differ_and_have_no_array_make_no_table():
    whole = block_of(Bar, [T0, T0 + 1], ["A", "B"], [1.0])
    assert rows_of(Block(whole, arrays={k: v for k, v in whole.arrays.items() if k != "symbol"}), 0, 2) is None
