"""CSV files: what is read, and what is refused, with file and row."""

from __future__ import annotations

import csv
import datetime as dt
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.errors import DataError
from components.data import csv_file
from components.data.faults import Faults
from components.data.file_format import FileFormat
from schemas import Bar, Message

local = dt.datetime.fromisoformat
Write = Callable[..., Path]
Stream = Callable[..., list[Message]]

HEADER = b"timestamp,symbol,open,high,low,close,volume"
GOOD = "2020-01-02,AAPL,10,12,9,11,1000"
JAN_2 = 1_577_923_200_000_000_000


def faults_of(stream: Stream, path: Path, **parameters: object) -> list[str]:
    with pytest.raises(DataError) as caught:
        stream(path, **parameters)
    return [fault.replace(str(path), path.name) for fault in caught.value.faults]


def test_a_long_file_is_read(csv_of: Write, stream: Stream) -> None:
    bars = stream(csv_of(GOOD, "2020-01-03,AAPL,11,13.5,10,12,2000"))
    assert bars == [
        Bar(JAN_2, "AAPL", 10.0, 12.0, 9.0, 11.0, 1000.0),
        Bar(JAN_2 + 86_400 * 10**9, "AAPL", 11.0, 13.5, 10.0, 12.0, 2000.0),
    ]
    assert [type(value) for value in (bars[0].ts, bars[0].open, bars[0].volume)] == [int, float, float]


@pytest.mark.parametrize(
    "text",
    [
        "Date,Ticker,Name,Close,OPEN,low,High,Volume\n2020-01-02,AAPL,Äpfel 林檎,11,10,9,12,1000\n",
        "date;ticker;open;high;low;close;volume\r\n2020-01-02;AAPL;10;12;9;11;1000\r\n",
        "\ufeffdate\tticker\topen\thigh\tlow\tclose\tvolume\n\n2020-01-02\tAAPL\t10\t12\t9\t11\t1e3\n\n\n",
        'date,ticker,open,high,low,close,volume\n"2020-01-02","AAPL","10","12","9","11","1000"',
        "date,ticker,open,high,low,close,volume\n 2020-01-02 , AAPL , 10 , 12 , 9 , 11 , 1000 \n",
        "datetime,ticker,open,high,low,close,volume\n1577923200,AAPL,10,12,9,11,1000\n",
        "time,ticker,open,high,low,close,volume\n1577923200000,AAPL,10,12,9,11,1000\n",
        "date,ticker,open,high,low,close,volume\n20200102,AAPL,10,12,9,11,1000\n",
        "date,ticker,open,high,low,close,volume\n2020-01-01T19:00:00-05:00,AAPL,10,12,9,11,1000\n",
    ],
)
def test_files_of_many_habits_say_the_same(tmp_path: Path, stream: Stream, text: str) -> None:
    path = tmp_path / "bars.txt"
    path.write_bytes(text.encode())
    assert stream(path, columns={"symbol": "ticker"}) == [Bar(JAN_2, "AAPL", 10.0, 12.0, 9.0, 11.0, 1000.0)]


def test_a_file_without_a_symbol_column_is_that_of_the_symbol_it_is_named_after(csv_of: Write, stream: Stream) -> None:
    path = csv_of("2020-01-02,10,12,9,11,1000", header="date,open,high,low,close,volume", name="IBM.csv")
    assert [bar.symbol for bar in stream(path)] == ["IBM"]
    assert [bar.symbol for bar in stream(path, {"symbols": ["IBM"]})] == ["IBM"]
    (fault,) = faults_of(stream, path, symbols=["AAPL"])
    assert fault.startswith("IBM.csv, row 1: column symbol is missing; found are date, open, high, low, close, volume")
    assert fault.endswith("or name the file after its one symbol")


BAD_ROWS = [
    ("2020-01-03,AAPL,11,13,10,12", "has 6 cells, and the header 7"),
    ("2020-01-03,AAPL,11,13,10,12,5,6", "has 8 cells, and the header 7"),
    ("2020-01-03,,11,13,10,12,5", "symbol is empty"),
    ("2020-01-03,AAPL,,13,10,12,5", "open is empty"),
    ("2020-01-03,AAPL,11,13,10,null,5", "close 'null' is not a number"),
    ("2020-01-03,AAPL,nan,13,10,12,5", "open is nan, not a finite number"),
    ("2020-01-03,AAPL,11,inf,10,12,5", "high is inf, not a finite number"),
    ("2020-01-03,AAPL,11,10,13,12,5", "high 10.0 is below low 13.0"),
    ("2020-01-03,AAPL,9,13,10,12,5", "open 9.0 is outside low 10.0 to high 13.0"),
    ("2020-01-03,AAPL,11,13,10,14,5", "close 14.0 is outside low 10.0 to high 13.0"),
    ("2020-01-03,AAPL,11,13,10,12,-5", "volume -5.0 is negative"),
    ("2020-01-03,AAPL,11,13,0,12,5", "price 0.0 is not positive; for spreads and the like"),
    ("2020-02-30,AAPL,11,13,10,12,5", "timestamp '2020-02-30' does not exist"),
    ("1577923200,AAPL,11,13,10,12,5", "timestamp '1577923200' is neither ISO 8601"),
    ("2020-01-02,AAPL,11,13,10,12,5", "AAPL at 2020-01-02 is there already in row 2"),
    ("2020-01-01,AAPL,11,13,10,12,5", "AAPL at 2020-01-01 comes after 2020-01-02 in row 2; sort each symbol's rows"),
]


@pytest.mark.parametrize(("row", "fault"), BAD_ROWS)
def test_a_fault_names_file_and_row(csv_of: Write, stream: Stream, row: str, fault: str) -> None:
    path = csv_of(GOOD, "2020-01-02,IBM,10,12,9,11,1", "", row, "2020-01-06,AAPL,11,13,10,12,5")
    assert [text[: len(fault) + 17] for text in faults_of(stream, path)] == [f"bars.csv, row 5: {fault}"]


@pytest.mark.parametrize("row", [row for row, fault in BAD_ROWS if "AAPL" in row and "cells" not in fault])
def test_rows_of_symbols_that_nobody_asked_for_are_not_judged(csv_of: Write, stream: Stream, row: str) -> None:
    path = csv_of(GOOD, GOOD.replace("AAPL", "IBM"), row)
    assert [bar.symbol for bar in stream(path, symbols=["IBM"])] == ["IBM"]


def test_all_faults_are_told_at_once_in_order_of_row(csv_of: Write, stream: Stream) -> None:
    path = csv_of(
        GOOD, "2020-01-03,AAPL,11,10,13,12,5", "2020-01-04,AAPL,x,13,10,12,5", "2020-01-01,AAPL,11,13,10,12,5"
    )
    rows = [text.split(":")[0] for text in faults_of(stream, path)]
    assert rows == ["bars.csv, row 3", "bars.csv, row 4", "bars.csv, row 5"]


def test_after_twenty_faults_the_rest_is_counted(csv_of: Write, stream: Stream) -> None:
    path = csv_of(*[f"2020-01-{day:02},AAPL,11,10,13,12,5" for day in range(1, 28)])
    faults = faults_of(stream, path)
    assert len(faults) == 21
    assert faults[19].startswith("bars.csv, row 21:")
    assert faults[20] == "... and 7 more"


def test_a_file_that_runs_backwards_is_one_fault(csv_of: Write, stream: Stream) -> None:
    path = csv_of(*[f"2020-01-{day:02},AAPL,11,12,10,12,5" for day in range(27, 0, -1)])
    assert faults_of(stream, path) == ["bars.csv: rows run from new to old; sort the file by time, oldest first"]


def test_three_hundred_years_between_two_rows_are_not_time_that_runs_backwards(csv_of: Write, stream: Stream) -> None:
    first, last = stream(csv_of("1701-01-03,AAPL,11,12,10,12,5", "2020-01-02,AAPL,11,12,10,12,5"))
    assert (last.ts, last.ts - first.ts > 2**63) == (JAN_2, True)


def test_prices_that_are_not_positive_may_be_allowed(csv_of: Write, stream: Stream) -> None:
    path = csv_of("2020-01-02,SPREAD,-1,0,-2,-1.5,1000")
    assert stream(path, allow_nonpositive_prices=True) == [Bar(JAN_2, "SPREAD", -1.0, 0.0, -2.0, -1.5, 1000.0)]


def test_dates_and_times_since_the_epoch_in_one_column_are_one_fault(csv_of: Write, stream: Stream) -> None:
    (fault,) = faults_of(stream, csv_of("20200102,A,1,1,1,1,1", "1578009600,A,1,1,1,1,1"))
    assert fault.startswith("bars.csv: integer timestamps of different kinds: 20200102 looks like a date (YYYYMMDD)")


@pytest.mark.parametrize("lines", [65_536, 1], ids=["one block", "a block a row"])
def test_times_with_and_without_an_offset_in_one_file_are_refused(
    csv_of: Write, stream: Stream, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setattr(csv_file, "_LINES", lines)
    path = csv_of("2020-01-02T10:00:00+01:00,A,1,1,1,1,1", "2020-01-03T10:00:00,A,1,1,1,1,1")
    assert faults_of(stream, path) == [
        "bars.csv, row 3: timestamp '2020-01-03T10:00:00' has no offset from UTC, and those before it have one"
    ]


def test_a_number_with_an_underscore_is_none(csv_of: Write, stream: Stream) -> None:
    assert faults_of(stream, csv_of("2020-01-02,A,1,1,1,1,1_000")) == [
        "bars.csv, row 2: volume '1_000' is not a number"
    ]


def test_integers_of_different_units_are_one_fault(csv_of: Write, stream: Stream) -> None:
    (fault,) = faults_of(stream, csv_of("1577923200,A,1,1,1,1,1", "1578009600000,A,1,1,1,1,1"))
    assert fault.startswith("bars.csv: integer timestamps of different magnitude: 1577923200 looks like s")


def test_an_integer_column_refuses_what_is_none_and_what_is_out_of_range(csv_of: Write, stream: Stream) -> None:
    path = csv_of("1577923200,A,1,1,1,1,1", "2020-01-03,A,1,1,1,1,1", "15779232000,A,1,1,1,1,1")
    assert faults_of(stream, path, timestamp_unit="s") == [
        "bars.csv, row 3: timestamp '2020-01-03' is not an integer, as those before it are",
        "bars.csv, row 4: timestamp 15779232000, read as s since the epoch, is not in the years 1700 to 2199",
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "bars.csv: is empty; its first row must name the columns"),
        (HEADER + b"\n", "bars.csv: has no rows below its header"),
        (HEADER + b"\n\n \n", "bars.csv: has no rows below its header"),
        (HEADER + b"\n2020-01-02,\xff\xfe,1,1,1,1,1\n", "bars.csv, row 2: is not UTF-8 text"),
        (HEADER + b"\n2020-01-02,A,1,1,1,1,\x00\n", "volume '\\x00' is not a number"),
        (b"timestamp,symbol,open,high,low,close\n2020-01-02,A,1,1,1,1\n", "bars.csv, row 1: column volume is missing"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_bars_is_refused(tmp_path: Path, stream: Stream, content: bytes, fault: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(content)
    (told,) = faults_of(stream, path)
    assert fault in told


def test_texts_that_the_quick_way_would_cut_off_are_read_in_full(csv_of: Write, stream: Stream) -> None:
    symbol = "A" * 60
    assert stream(csv_of(GOOD.replace("AAPL", symbol)))[0].symbol == symbol


def test_blocks_of_lines_join_without_a_seam(csv_of: Write, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    path = csv_of(*[f"2020-01-{day:02},{symbol},11,12,10,12,{day}" for day in range(1, 31) for symbol in ("B", "A")])
    whole = stream(path)
    monkeypatch.setattr(csv_file, "_LINES", 7)
    assert stream(path) == whole
    assert len(whole) == 60


@st.composite
def files(draw: st.DrawFn) -> str:
    """A sound long CSV file with some of the habits that files have."""
    offset = draw(st.sampled_from(["", "Z", "+02:00"]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    mark = draw(st.sampled_from(["", '"']))
    symbols = draw(
        st.lists(st.sampled_from(["AAPL", "BRK.B", "Ü", "林", "BTC/USD"]), min_size=1, max_size=3, unique=True)
    )
    rows = []
    for symbol in symbols:
        moments = draw(st.sets(st.datetimes(local("1980-01-01"), local("2100-01-01")), min_size=1, max_size=6))
        for moment in sorted(moments):
            low, *inside, high = sorted(draw(st.lists(st.floats(1e-6, 1e9), min_size=4, max_size=4)))
            volume = draw(st.integers(0, 10**12) | st.floats(0, 1e12))
            stamp = moment.isoformat("T", "microseconds") + offset
            rows.append([stamp, symbol, inside[0], high, low, inside[1], volume])
    if draw(st.booleans()):
        rows.sort(key=lambda row: row[0])
    lines = [
        "timestamp,symbol,open,high,low,close,volume",
        *(",".join(f"{mark}{c}{mark}" for c in row) for row in rows),
    ]
    return end.join(lines) + draw(st.sampled_from(["", end, end + end]))


def naive(path: Path) -> list[Bar]:
    """The same file by nothing but the standard library."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    bars = []
    for row in rows:
        moment = dt.datetime.fromisoformat(row["timestamp"])
        moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        ns = (moment - epoch) // dt.timedelta(microseconds=1) * 1000
        bars.append(Bar(ns, row["symbol"], *(float(row[c]) for c in ("open", "high", "low", "close", "volume"))))
    return sorted(bars, key=lambda bar: (bar.ts, bar.symbol))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(files(), st.integers(1, 5))
def test_any_sound_file_reads_as_the_standard_library_reads_it(
    tmp_path: Path, stream: Stream, text: str, block_size: int
) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(text.encode())
    assert stream(path, block_size=block_size) == naive(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(files())
def test_the_careful_way_reads_what_the_quick_way_reads(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(text.encode())
    faults = Faults()
    layout = csv_file._read_layout(path, FileFormat(), None, faults)
    assert layout is not None
    careful = csv_file._careful_table(path, layout, FileFormat(), None, faults)
    quick = csv_file._quick_table(path, layout, FileFormat(), None)
    assert faults.count == 0
    if quick is None:
        assert "林" in text
        return
    assert (quick.ts == careful.ts).all()
    assert (quick.values == careful.values).all()
    assert [quick.symbols[i] for i in quick.code] == [careful.symbols[i] for i in careful.code]
    assert not any(math.isnan(value) for value in careful.values.ravel())
