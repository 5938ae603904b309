"""Names of columns, intervals and zones."""

from __future__ import annotations

import pytest

from bus.errors import DataError
from components.data.file_format import find_columns, interval_ns, zone_of

OHLCV = ["open", "high", "low", "close", "volume"]


def test_names_are_compared_without_case_and_blanks() -> None:
    positions, faults = find_columns([" Timestamp", "SYMBOL", "Open", "High ", "Low", "Close", "Volume"], {})
    assert list(positions.values()) == list(range(7))
    assert faults == []


@pytest.mark.parametrize("name", ["date", "DateTime", "Time"])
def test_date_datetime_and_time_count_as_timestamp(name: str) -> None:
    positions, faults = find_columns([name, *OHLCV], {})
    assert positions["timestamp"] == 0
    assert faults == []


def test_a_column_called_timestamp_comes_before_its_aliases() -> None:
    assert find_columns(["date", "timestamp", *OHLCV], {})[0]["timestamp"] == 1


def test_two_candidates_for_timestamp_have_to_be_told_apart() -> None:
    _, faults = find_columns(["Date", "Time", *OHLCV], {})
    assert faults == ["column timestamp could be 'Date' or 'Time': say which with `columns: {timestamp: ...}`"]
    assert find_columns(["Date", "Time", *OHLCV], {"timestamp": "Time"})[0]["timestamp"] == 1


def test_a_mapped_column_replaces_the_one_of_our_name() -> None:
    positions, faults = find_columns(["date", *OHLCV, "Adj Close"], {"close": "adj close"})
    assert positions["close"] == 6
    assert faults == []


def test_a_mapped_column_that_is_not_there_is_named_with_what_was_found() -> None:
    _, faults = find_columns(["date", *OHLCV], {"close": "Adj Close"})
    assert faults == [
        "columns maps close to 'Adj Close', which is not there; found are date, open, high, low, close, volume"
    ]


def test_a_missing_column_is_named_with_what_was_found_and_a_guess() -> None:
    _, faults = find_columns(["date", "open", "high", "low", "close", "Vol"], {})
    found = "column volume is missing; found are date, open, high, low, close, Vol; "
    assert faults == [found + "did you mean 'Vol'? Then give `columns: {volume: Vol}`"]


def test_all_missing_columns_are_named_at_once() -> None:
    _, faults = find_columns(["date", "px"], {})
    assert [fault.split()[1] for fault in faults] == OHLCV
    assert "if it has another name, give `columns: {open: ...}`" in faults[0]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1m", 60), ("15m", 900), ("4h", 14_400), ("1d", 86_400), ("1w", 604_800)]
)
def test_an_interval_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert interval_ns(text) == seconds * 10**9


@pytest.mark.parametrize("text", ["", "1", "d", "0d", "-1d", "1.5h", "1 d", "1M", "1y"])
def test_other_intervals_are_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="s, m, h, d or w"):
        interval_ns(text)


def test_utc_needs_no_zone_database_and_an_unknown_zone_is_refused() -> None:
    assert zone_of("UTC") is None
    assert str(zone_of("Europe/Berlin")) == "Europe/Berlin"
    for name in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(DataError, match="IANA names such as America/New_York"):
            zone_of(name)
