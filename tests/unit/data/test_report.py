"""What `check_file` says of a file or folder."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.errors import DataError
from components.data.file_format import FileFormat
from components.data.report import check_file
from components.data.timestamps import iso_text

Write = Callable[..., Path]
DAILY = Path(__file__).parents[3] / "configs" / "data" / "daily.csv"


def day_rows(symbol: str, *days: int) -> list[str]:
    return [f"2020-01-{day:02},{symbol},10,12,9,11,{day}" for day in days]


def minute_rows(*minutes: int) -> list[str]:
    start = dt.datetime.fromisoformat("2020-01-02T14:30")
    return [f"{(start + dt.timedelta(minutes=n)).isoformat()},A,10,12,9,11,{n}" for n in minutes]


def test_rows_symbols_and_ranges_are_reported(csv_of: Write) -> None:
    report = check_file(csv_of(*day_rows("B", 2, 3, 6), *day_rows("A", 3)))
    assert report.sound
    assert report.rows == 4
    assert [(s.symbol, s.rows, iso_text(s.first_ns), iso_text(s.last_ns)) for s in report.symbols] == [
        ("A", 1, "2020-01-03", "2020-01-03"),
        ("B", 3, "2020-01-02", "2020-01-06"),
    ]
    assert report.symbols[0].step_ns == 0


def test_the_data_that_come_with_the_project_have_the_gaps_that_their_page_names() -> None:
    report = check_file(DAILY)
    assert report.sound
    assert [s.symbol for s in report.symbols] == ["AAPL", "IBM", "MSFT"]
    for symbol in report.symbols:
        gaps = [(iso_text(gap.start_ns), iso_text(gap.end_ns)) for gap in symbol.gaps]
        assert gaps == [("2001-09-10", "2001-09-17"), ("2006-12-29", "2007-01-03"), ("2012-10-26", "2012-10-31")]


def test_a_weekend_with_a_holiday_is_no_gap_and_a_missing_week_is_one(csv_of: Write) -> None:
    (symbol,) = check_file(csv_of(*day_rows("A", 6, 7, 8, 9, 10, 14, 15, 16, 17, 21, 22, 23, 24, 30))).symbols
    assert [(iso_text(gap.start_ns), iso_text(gap.end_ns)) for gap in symbol.gaps] == [("2020-01-24", "2020-01-30")]


def test_a_gap_may_be_three_hundred_years_long(csv_of: Write) -> None:
    (symbol,) = check_file(csv_of("1701-01-03,A,10,12,9,11,1", *day_rows("A", 2, 3, 6))).symbols
    assert [(iso_text(gap.start_ns), iso_text(gap.end_ns)) for gap in symbol.gaps] == [("1701-01-03", "2020-01-02")]


def test_intraday_a_missing_minute_is_a_gap_and_the_night_is_not(csv_of: Write) -> None:
    (symbol,) = check_file(csv_of(*minute_rows(0, 1, 2, 4, 5, 1440, 1441))).symbols
    assert symbol.step_ns == 60 * 10**9
    assert [(iso_text(gap.start_ns), iso_text(gap.end_ns)) for gap in symbol.gaps] == [
        ("2020-01-02T14:32:00Z", "2020-01-02T14:34:00Z")
    ]


def test_of_many_gaps_the_first_are_told_and_all_are_counted(csv_of: Write) -> None:
    (symbol,) = check_file(csv_of(*minute_rows(*range(60), *range(60, 120, 2)))).symbols
    assert len(symbol.gaps) == 20
    assert symbol.gap_count == 29


def test_faults_are_told_by_row_and_the_other_rows_still_counted(csv_of: Write) -> None:
    report = check_file(csv_of(*day_rows("A", 2, 3, 3, 6), "2020-01-07,A,x,12,9,11,1", "2020-01-08,A,10,12,9,13,1"))
    assert not report.sound
    assert report.fault_count == 3
    assert [fault.partition("bars.csv, ")[2].partition(":")[0] for fault in report.faults] == [
        "row 4",
        "row 6",
        "row 7",
    ]
    assert report.rows == 5
    assert report.symbols[0].duplicates == 1


def test_a_file_that_cannot_be_read_at_all_has_a_report_too(csv_of: Write) -> None:
    report = check_file(csv_of("1,2", header="a,b"))
    assert report.rows == 0
    assert report.symbols == ()
    assert report.fault_count == 6


def test_a_folder_is_reported_as_a_whole(csv_of: Write) -> None:
    csv_of(*day_rows("B", 2, 3), name="data/B.csv")
    folder = csv_of(*day_rows("A", 2), name="data/A.csv").parent
    report = check_file(folder)
    assert [(s.symbol, s.rows) for s in report.symbols] == [("A", 1), ("B", 2)]


def test_the_format_is_taken_into_account(csv_of: Write) -> None:
    path = csv_of("2020-01-02,A,1,1,1,1,1", header="Day,symbol,open,high,low,close,volume")
    (symbol,) = check_file(path, FileFormat({"timestamp": "day"}, timezone="America/New_York")).symbols
    assert iso_text(symbol.first_ns) == "2020-01-02T05:00:00Z"


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file or folder"):
        check_file(tmp_path / "no.csv")
