"""Parquet files: the same as CSV, with rows counted from 1."""

from __future__ import annotations

import datetime as dt
import decimal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bus.errors import DataError
from schemas import Bar, Message

Stream = Callable[..., list[Message]]

local = dt.datetime.fromisoformat
JAN_2 = 1_577_923_200_000_000_000
MOMENTS = [local("2020-01-02"), local("2020-01-03")]
DAY = 86_400 * 10**9


@pytest.fixture
def parquet_of(tmp_path: Path) -> Callable[..., Path]:
    """Writes two good rows of A as Parquet, with some columns replaced (None: left out), and returns the path."""

    def write(name: str = "bars.parquet", **columns: Any) -> Path:
        values = {
            "timestamp": pa.array(MOMENTS, pa.timestamp("us")),
            "symbol": ["A", "A"],
            "open": [10.0, 10.5],
            "high": [12.0, 12.5],
            "low": [9.0, 9.5],
            "close": [11.0, 11.5],
            "volume": [1000, 2000],
            **columns,
        }
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({key: value for key, value in values.items() if value is not None}), path)
        return path

    return write


Write = Callable[..., Path]
EXPECTED = [
    Bar(JAN_2, "A", 10.0, 12.0, 9.0, 11.0, 1000.0),
    Bar(JAN_2 + DAY, "A", 10.5, 12.5, 9.5, 11.5, 2000.0),
]


def faults_of(stream: Stream, path: Path, **parameters: object) -> list[str]:
    with pytest.raises(DataError) as caught:
        stream(path, **parameters)
    return [fault.replace(str(path), path.name) for fault in caught.value.faults]


@pytest.mark.parametrize(
    "timestamp",
    [
        pa.array(MOMENTS, pa.timestamp("s")),
        pa.array(MOMENTS, pa.timestamp("ms")),
        pa.array(MOMENTS, pa.timestamp("ns", "America/New_York")),
        pa.array([moment.date() for moment in MOMENTS], pa.date32()),
        pa.array([moment.date() for moment in MOMENTS], pa.date64()),
        pa.array([1_577_923_200, 1_578_009_600], pa.int32()),
        pa.array([1_577_923_200_000, 1_578_009_600_000], pa.int64()),
        pa.array([20_200_102, 20_200_103], pa.int32()),
        pa.array(["2020-01-02", "2020-01-03"]),
        pa.array(["2020-01-01T19:00-05:00", "2020-01-03"], pa.large_string()),
        pa.array(["2020-01-02", "2020-01-03"]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_every_type_of_timestamp_is_read(parquet_of: Write, stream: Stream, timestamp: pa.Array) -> None:
    assert stream(parquet_of(timestamp=timestamp)) == EXPECTED


@pytest.mark.parametrize("kind", [pa.float32(), pa.int64(), pa.decimal128(20, 4)], ids=str)
def test_every_type_of_number_is_read(parquet_of: Write, stream: Stream, kind: pa.DataType) -> None:
    bars = stream(parquet_of(close=pa.array([decimal.Decimal(11), decimal.Decimal(12)]).cast(pa.float64()).cast(kind)))
    assert [bar.close for bar in bars] == [11.0, 12.0]
    assert type(bars[0].close) is float


def test_a_volume_that_a_float_cannot_hold_exactly_is_rounded(parquet_of: Write, stream: Stream) -> None:
    bars = stream(parquet_of(volume=pa.array([2**53 + 1, 2**64 - 1], pa.uint64())))
    assert [bar.volume for bar in bars] == [float(2**53), float(2**64)]


def test_a_timestamp_beyond_64_bits_is_a_fault(parquet_of: Write, stream: Stream) -> None:
    path = parquet_of(timestamp=pa.array([1, 2**64 - 1], pa.uint64()))
    with pytest.raises(DataError, match=r"row 2: timestamp 18446744073709551615 does not fit in 64 bits"):
        stream(path, timestamp_unit="ns")


def test_columns_are_found_by_name_in_any_order_and_others_ignored(parquet_of: Write, stream: Stream) -> None:
    path = parquet_of(timestamp=None, symbol=None, Name=["x", "y"], Ticker=["A", "A"], Date=pa.array(MOMENTS))
    assert stream(path, columns={"symbol": "ticker"}) == EXPECTED


def test_symbols_may_be_categories_and_are_merged_and_selected(parquet_of: Write, stream: Stream) -> None:
    symbols = pa.array(["B", "A"]).dictionary_encode()
    path = parquet_of(symbol=symbols, timestamp=pa.array([MOMENTS[0]] * 2))
    assert [bar.symbol for bar in stream(path)] == ["A", "B"]
    assert [bar.symbol for bar in stream(path, symbols=["B"])] == ["B"]


def test_a_folder_may_have_parquet_files(parquet_of: Write, stream: Stream) -> None:
    parquet_of("data/B.parquet", symbol=None)
    folder = parquet_of("data/A.pq", symbol=None).parent
    assert [bar.symbol for bar in stream(folder)] == ["A", "B", "A", "B"]


def test_times_without_a_zone_are_in_the_declared_one(parquet_of: Write, stream: Stream) -> None:
    bars = stream(parquet_of(), timezone="America/New_York")
    assert [bar.ts - JAN_2 for bar in bars] == [5 * 3_600 * 10**9, 5 * 3_600 * 10**9 + DAY]


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        (
            {"volume": None},
            "bars.parquet: column volume is missing; found are timestamp, symbol, open, high, low, close;",
        ),
        ({"close": ["1", "2"]}, "bars.parquet: column close has type string; it must hold numbers"),
        ({"timestamp": [1.5, 2.5]}, "bars.parquet: column timestamp has type double; allowed are timestamps, dates,"),
        ({"symbol": ["A", None]}, "bars.parquet, row 2: symbol is empty"),
        ({"symbol": ["A", " "]}, "bars.parquet, row 2: symbol is empty"),
        ({"timestamp": pa.array([MOMENTS[0], None])}, "bars.parquet, row 2: timestamp is empty"),
        ({"timestamp": ["2020-01-02", "x"]}, "bars.parquet, row 2: timestamp 'x' is neither ISO 8601"),
        ({"timestamp": [1_577_923_200, 1_577_923_200_000]}, "bars.parquet: integer timestamps of different magnitude"),
        ({"timestamp": [20_200_102, 20_200_199]}, "bars.parquet, row 2: timestamp 20200199, read as a date YYYYMMDD,"),
        (
            {"timestamp": pa.array([0, 10**12], pa.timestamp("s"))},
            "bars.parquet, row 2: timestamp is outside the years",
        ),
        ({"timestamp": pa.array([MOMENTS[0]] * 2)}, "bars.parquet, row 2: A at 2020-01-02 is there already in row 1"),
        ({"close": [11.0, None]}, "bars.parquet, row 2: close is nan, not a finite number"),
        ({"high": [12.0, 1.0]}, "bars.parquet, row 2: high 1.0 is below low 9.5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_names_file_and_row(parquet_of: Write, stream: Stream, columns: dict[str, Any], fault: str) -> None:
    (told,) = faults_of(stream, parquet_of(**columns))
    assert told.startswith(fault)


def test_a_local_time_that_comes_twice_is_refused_with_its_row(parquet_of: Write, stream: Stream) -> None:
    path = parquet_of(timestamp=pa.array([local("2020-11-01T00:30"), local("2020-11-01T01:30")]))
    (told,) = faults_of(stream, path, timezone="America/New_York")
    assert told.startswith("bars.parquet, row 2: timestamp 2020-11-01 01:30:00: the clocks of America/New_York change")


def test_a_file_without_symbols_must_be_named_after_the_one_that_is_asked_for(
    parquet_of: Write, stream: Stream
) -> None:
    path = parquet_of("IBM.parquet", symbol=None)
    assert {bar.symbol for bar in stream(path, symbols=["IBM"])} == {"IBM"}
    (told,) = faults_of(stream, path, symbols=["A"])
    assert told.endswith("or name the file after its one symbol")


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path, stream: Stream) -> None:
    path = tmp_path / "bars.parquet"
    path.write_text("timestamp,symbol\n")
    (told,) = faults_of(stream, path)
    assert told.startswith("bars.parquet: cannot be read as Parquet: ")


def test_a_file_without_rows_is_refused(parquet_of: Write, stream: Stream) -> None:
    empty = {"timestamp": pa.array([], pa.timestamp("s")), "symbol": pa.array([], pa.string())}
    empty |= dict.fromkeys(("open", "high", "low", "close", "volume"), pa.array([], pa.float64()))
    assert faults_of(stream, parquet_of(**empty)) == ["bars.parquet: has no rows"]


def test_without_pyarrow_the_error_says_how_to_install_it(
    parquet_of: Write, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet_of()
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    assert faults_of(stream, path) == [
        "bars.parquet: reading Parquet needs pyarrow: pip install 'admf-trader[parquet]'"
    ]
