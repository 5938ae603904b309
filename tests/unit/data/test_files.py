"""From a path to the bars that a run asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.errors import DataError
from schemas import Message

Write = Callable[..., Path]
Stream = Callable[..., list[Message]]

NO_SYMBOL = "date,open,high,low,close,volume"
DAILY = Path(__file__).parents[3] / "configs" / "data" / "daily.csv"


def keys(messages: list[Message]) -> list[tuple[int, str]]:
    return [(bar.ts, bar.symbol) for bar in messages]


def rows(symbol: str, *days: int) -> list[str]:
    return [f"2020-01-{day:02},{symbol},10,12,9,11,{day}" for day in days]


def error_of(stream: Stream, path: Path, run: dict[str, object] | None = None, **parameters: object) -> list[str]:
    with pytest.raises(DataError) as caught:
        stream(path, run, **parameters)
    return [fault.replace(str(path), path.name) for fault in caught.value.faults]


def test_symbols_are_merged_by_time_and_then_by_symbol(csv_of: Write, stream: Stream) -> None:
    bars = stream(csv_of(*rows("MSFT", 2, 3, 7), *rows("AAPL", 2, 6, 7), *rows("IBM", 3)))
    assert keys(bars) == sorted(keys(bars))
    assert [bar.symbol for bar in bars] == ["AAPL", "MSFT", "IBM", "MSFT", "AAPL", "AAPL", "MSFT"]
    assert [bar.volume for bar in bars] == [2.0, 2.0, 3.0, 3.0, 6.0, 7.0, 7.0]


def test_the_run_says_which_symbols_and_the_parameter_overrides_it(csv_of: Write, stream: Stream) -> None:
    path = csv_of(*rows("A", 2), *rows("B", 2), *rows("C", 2))
    assert [bar.symbol for bar in stream(path)] == ["A", "B", "C"]
    assert [bar.symbol for bar in stream(path, {"symbols": ["C", "A"]})] == ["A", "C"]
    assert [bar.symbol for bar in stream(path, {"symbols": ["C", "A"]}, symbols=["B"])] == ["B"]


def test_start_and_end_are_days_in_utc_and_both_inclusive(csv_of: Write, stream: Stream) -> None:
    path = csv_of(
        "2020-01-01T23:59:59.999999999,A,1,1,1,1,1",
        "2020-01-02T00:00:00,A,1,1,1,1,2",
        "2020-01-03T23:59:59.999999999,A,1,1,1,1,3",
        "2020-01-04T00:00:00,A,1,1,1,1,4",
    )
    dates = {"start_date": "2020-01-02", "end_date": "2020-01-03"}
    assert [bar.volume for bar in stream(path, dates)] == [2.0, 3.0]
    assert [bar.volume for bar in stream(path, {"start_date": "2020-01-03"})] == [3.0, 4.0]
    assert [bar.volume for bar in stream(path, {"end_date": "2020-01-01"})] == [1.0]


def test_a_symbol_that_is_not_there_is_named_with_those_that_are(csv_of: Write, stream: Stream) -> None:
    path = csv_of(*rows("MSFT", 2), *rows("AAPL", 2))
    assert error_of(stream, path, {"symbols": ["aapl", "MSFT", "XYZ"]}) == [
        "bars.csv: has no rows for aapl; found are AAPL, MSFT; did you mean AAPL?",
        "bars.csv: has no rows for XYZ; found are AAPL, MSFT",
    ]


def test_of_many_symbols_only_some_are_told(csv_of: Write, stream: Stream) -> None:
    path = csv_of(*[row for n in range(25) for row in rows(f"S{n:02}", 2)])
    (fault,) = error_of(stream, path, {"symbols": ["XYZ"]})
    assert fault.endswith("S18, S19 and 5 more")


def test_a_range_without_rows_is_told_with_the_range_that_has_some(csv_of: Write, stream: Stream) -> None:
    path = csv_of(*rows("A", 2, 9), *rows("B", 5, 6))
    assert error_of(stream, path, {"start_date": "2021-01-01", "end_date": "2021-12-31"}) == [
        "bars.csv: has no rows for A from 2021-01-01 to 2021-12-31; its rows for A run from 2020-01-02 to 2020-01-09",
        "bars.csv: has no rows for B from 2021-01-01 to 2021-12-31; its rows for B run from 2020-01-05 to 2020-01-06",
    ]


def test_every_symbol_that_was_asked_for_must_have_rows_in_the_range(csv_of: Write, stream: Stream) -> None:
    path = csv_of(*rows("A", 2, 9), *rows("B", 5, 6))
    assert error_of(stream, path, {"symbols": ["A", "B"], "start_date": "2020-01-08"}) == [
        "bars.csv: has no rows for B from 2020-01-08 to the end; its rows for B run from 2020-01-05 to 2020-01-06"
    ]
    assert [bar.symbol for bar in stream(path, {"start_date": "2020-01-08"})] == ["A"]


def test_a_folder_has_one_file_for_each_symbol(csv_of: Write, stream: Stream) -> None:
    csv_of("2020-01-02,2,2,2,2,2", "2020-01-03,2,2,2,2,2", header=NO_SYMBOL, name="data/MSFT.csv")
    csv_of(*rows("IBM", 3), name="data/IBM.CSV")
    folder = csv_of("2020-01-02,1,1,1,1,1", header=NO_SYMBOL, name="data/AAPL.csv").parent
    (folder / "README.md").write_text("not data")
    assert [bar.symbol for bar in stream(folder)] == ["AAPL", "MSFT", "IBM", "MSFT"]
    assert [bar.symbol for bar in stream(folder, {"symbols": ["IBM", "AAPL"]})] == ["AAPL", "IBM"]


def test_only_the_files_that_are_asked_for_are_read(csv_of: Write, stream: Stream) -> None:
    csv_of("rubbish", name="data/BAD.csv")
    folder = csv_of(*rows("IBM", 3), name="data/IBM.csv").parent
    assert [bar.symbol for bar in stream(folder, {"symbols": ["IBM"]})] == ["IBM"]


def test_faults_of_all_files_of_a_folder_are_told_at_once(csv_of: Write, stream: Stream) -> None:
    csv_of("2020-01-02,2,2,2,2,-2", header=NO_SYMBOL, name="data/B.csv")
    csv_of("2020-01-02,2,2,2,2,2", header="date,open,high,low,close", name="data/C.csv")
    folder = csv_of("2020-01-02,x,1,1,1,1", header=NO_SYMBOL, name="data/A.csv").parent
    faults = error_of(stream, folder)
    assert [fault.split(";")[0] for fault in faults] == [
        "data/A.csv, row 2: open 'x' is not a number",
        "data/B.csv, row 2: volume -2.0 is negative",
        "data/C.csv, row 1: column volume is missing",
    ]


def test_a_symbol_without_a_file_in_the_folder_is_named(csv_of: Write, stream: Stream) -> None:
    folder = csv_of(*rows("IBM", 3), name="data/IBM.csv").parent
    assert error_of(stream, folder, {"symbols": ["IBN", "IBM"]}) == [
        "data: has no file for IBN (IBN.csv or IBN.parquet); found are IBM; did you mean IBM?"
    ]


def test_a_row_of_another_symbol_in_a_folder_is_a_fault(csv_of: Write, stream: Stream) -> None:
    folder = csv_of(*rows("IBM", 2), *rows("MSFT", 3), name="data/IBM.csv").parent
    assert error_of(stream, folder) == [
        "data/IBM.csv, row 3: symbol 'MSFT' in the file of 'IBM'; in a folder each symbol has its own file"
    ]


def test_two_files_for_one_symbol_are_a_fault(csv_of: Write, stream: Stream) -> None:
    (csv_of(*rows("IBM", 2), name="data/IBM.csv").parent / "IBM.parquet").write_bytes(b"")
    folder = csv_of(*rows("AAPL", 2), name="data/AAPL.csv").parent
    assert error_of(stream, folder, symbols=["IBM"]) == [
        "data/IBM.parquet: IBM.csv in the same folder is for the same symbol; keep one of the two"
    ]
    assert len(stream(folder, symbols=["AAPL"])) == 1


def test_a_folder_without_data_says_what_was_looked_for(tmp_path: Path, stream: Stream) -> None:
    assert error_of(stream, tmp_path, symbols=["A"]) == [
        f"{tmp_path.name}: has no market data files; looked for *.csv, *.parquet, *.pq"
    ]


def test_the_page_of_the_data_has_their_hash() -> None:
    page = (DAILY.parent / "README.md").read_text()
    assert f"`{hashlib.sha256(DAILY.read_bytes()).hexdigest()}`" in page


def test_the_data_that_come_with_the_project_are_sound(stream: Stream) -> None:
    bars = stream(DAILY)
    assert len(bars) == 9_810
    assert {bar.symbol for bar in bars} == {"AAPL", "IBM", "MSFT"}
    assert keys(bars) == sorted(keys(bars))
