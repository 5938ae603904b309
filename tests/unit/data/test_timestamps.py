"""Timestamps in files, read one by one and a column at a time."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.timestamps import (
    integer,
    integers_ns,
    iso_ns,
    iso_text,
    quick_integers,
    quick_iso_ns,
    to_utc,
    unit_of,
)

local = dt.datetime.fromisoformat
NEW_YORK = ZoneInfo("America/New_York")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def ns(text: str) -> int:
    return (dt.datetime.fromisoformat(text) - EPOCH) // dt.timedelta(microseconds=1) * 1000


def quick(texts: list[str], zone: ZoneInfo | None = None) -> list[int]:
    return quick_iso_ns(np.array([text.encode() for text in texts], dtype="S40"), zone).tolist()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-01-31", "2020-01-31T00:00:00+00:00"),
        ("2020-01-31T15:30", "2020-01-31T15:30:00+00:00"),
        ("2020-01-31 15:30:05", "2020-01-31T15:30:05+00:00"),
        ("2020-01-31T15:30:05.25Z", "2020-01-31T15:30:05.250000+00:00"),
        ("2020-01-31T15:30:05+05:30", "2020-01-31T15:30:05+05:30"),
        ("2020-01-31T15:30:05-0400", "2020-01-31T15:30:05-04:00"),
        ("2020-01-31 15:30-04", "2020-01-31T15:30:00-04:00"),
        ("1969-12-31T23:59:59.5", "1969-12-31T23:59:59.500000+00:00"),
        ("1700-01-01", "1700-01-01T00:00:00+00:00"),
        ("2199-12-31T23:59:59", "2199-12-31T23:59:59+00:00"),
    ],
)
def test_iso_8601_is_read_with_and_without_an_offset(text: str, moment: str) -> None:
    assert iso_ns(text, None) == ns(moment)
    assert quick([text, text]) == [ns(moment)] * 2


def test_nanoseconds_are_kept() -> None:
    assert iso_ns("2020-01-01T00:00:00.123456789", None) % 10**9 == 123456789
    assert quick(["2020-01-01T00:00:00.123456789"])[0] % 10**9 == 123456789


def test_a_time_without_an_offset_is_in_the_zone_and_one_with_an_offset_is_not() -> None:
    assert iso_ns("2020-01-31T16:00", NEW_YORK) == ns("2020-01-31T16:00:00-05:00")
    assert iso_ns("2020-07-31T16:00", NEW_YORK) == ns("2020-07-31T16:00:00-04:00")
    assert iso_ns("2020-07-31T16:00Z", NEW_YORK) == ns("2020-07-31T16:00:00+00:00")
    assert quick(["2020-07-31T16:00Z"], NEW_YORK) == [ns("2020-07-31T16:00:00+00:00")]


@pytest.mark.parametrize(
    "text",
    [
        "", "today", "now", "NaT", "2020", "2020-01", "2020-1-1", "2020-02-30", "2020-13-01", "2020/01/02",
        "01/02/2020", "2020-01-01T24:00", "2020-01-01T10:60", "2020-01-01T10:00:60", "2020-01-01T10:00:00.",
        "2020-01-01T10:00+25:00",
        "2020-01-01T10:00+01:75", "2020-01-01T10", "1699-12-31", "2200-01-01", "9999-12-31", "２０２０-01-01",
    ],
)  # fmt: skip
def test_what_is_not_a_time_is_refused_both_ways(text: str) -> None:
    with pytest.raises(ValueError, match=r"timestamp|offset"):
        iso_ns(text, None)
    with pytest.raises(ValueError, match=r".*"):
        quick(["2020-01-01T10:00", text])
    with pytest.raises(ValueError, match=r".*"):
        quick_iso_ns(np.array([text.encode("latin-1", "replace")], dtype="S40"), None)


@pytest.mark.parametrize("text", ["2020-03-08T02:30", "2020-11-01T01:30"])
def test_a_local_time_that_the_clocks_skip_or_show_twice_is_refused_both_ways(text: str) -> None:
    with pytest.raises(ValueError, match=r"clocks of America/New_York change.*offset"):
        iso_ns(text, NEW_YORK)
    with pytest.raises(ValueError, match="clocks"):
        quick([text], NEW_YORK)


def test_a_midnight_that_the_clocks_skip_is_the_first_moment_of_its_day() -> None:
    assert iso_ns("2018-11-04", ZoneInfo("America/Sao_Paulo")) == ns("2018-11-04T01:00:00-02:00")


@given(
    st.lists(st.datetimes(local("1970-01-01"), local("2100-01-01")), min_size=1, max_size=30),
    st.sampled_from(["T", " "]),
    st.sampled_from(["", "Z", "+00:00", "-03:30"]),
    st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_a_column_at_a_time_equals_one_by_one(moments: list[dt.datetime], sep: str, offset: str, zone: str) -> None:
    texts = [moment.isoformat(sep, "microseconds") + offset for moment in moments]
    try:
        expected = [iso_ns(text, ZoneInfo(zone)) for text in texts]
    except ValueError:
        with pytest.raises(ValueError, match="clocks"):
            quick(texts, ZoneInfo(zone))
    else:
        assert quick(texts, ZoneInfo(zone)) == expected


@given(st.lists(st.datetimes(local("1970-01-01"), local("2037-01-01"), timezones=st.just(NEW_YORK))))
def test_local_times_become_utc_as_the_standard_library_has_it(moments: list[dt.datetime]) -> None:
    plain = [m for m in moments if m.replace(fold=0).utcoffset() == m.replace(fold=1).utcoffset()]
    local = [(m.replace(tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1) * 1000 for m in plain]
    utc = [(m - EPOCH) // dt.timedelta(microseconds=1) * 1000 for m in plain]
    assert to_utc(np.array(local, dtype=np.int64), NEW_YORK).tolist() == utc


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([1_577_923_200], "s"),
        ([-1_577_923_200, 0], "s"),
        ([1_577_923_200_000, -157_792_320_000], "ms"),
        ([1_577_923_200_000_000], "us"),
        ([1_577_923_200_000_000_000], "ns"),
        ([20_200_102, 20_200_103], "date"),
    ],
)
def test_the_unit_of_integers_is_recognised_by_magnitude(values: list[int], unit: str) -> None:
    assert unit_of(np.array(values), "auto") == unit


def test_integers_that_look_like_different_units_are_refused_unless_the_unit_is_declared() -> None:
    values = np.array([1_577_923_200, 1_577_923_200_000])
    with pytest.raises(ValueError, match=r"1577923200 looks like s since the epoch, 1577923200000 like ms"):
        unit_of(values, "auto")
    assert unit_of(values, "ms") == "ms"
    with pytest.raises(ValueError, match=r"20200102 looks like a date \(YYYYMMDD\), 1577923200 like a time"):
        unit_of(np.array([20_200_102, 1_577_923_200]), "auto")


def test_a_declared_unit_is_not_questioned() -> None:
    assert unit_of(np.array([20_200_102]), "s") == "s"


def test_integers_become_nanoseconds_and_those_out_of_range_are_marked() -> None:
    moments, bad = integers_ns(np.array([1_577_923_200, 10**17]), "s", None)
    assert moments[0] == 1_577_923_200 * 10**9
    assert bad.tolist() == [False, True]


def test_eight_digits_are_a_date_in_the_zone() -> None:
    moments, bad = integers_ns(np.array([20_200_102, 20_201_341]), "date", NEW_YORK)
    assert moments[0] == ns("2020-01-02T00:00:00-05:00")
    assert bad.tolist() == [False, True]


@pytest.mark.parametrize("text", ["1577923200.5", "99999999999999999999", "1_000", "2020-01-01", ""])
def test_what_is_not_an_integer_is_refused_both_ways(text: str) -> None:
    with pytest.raises(ValueError, match="is not an integer"):
        integer(text)
    with pytest.raises((ValueError, OverflowError)):
        quick_integers(np.array([b"1", text.encode()], dtype="S40"))


def test_integers_are_read_a_column_at_a_time() -> None:
    assert quick_integers(np.array([b"1577923200", b"-5"], dtype="S40")).tolist() == [1_577_923_200, -5]


def test_a_moment_is_told_as_short_as_it_can_be() -> None:
    assert iso_text(ns("2020-01-02T00:00:00+00:00")) == "2020-01-02"
    assert iso_text(ns("2020-01-02T15:30:00+00:00")) == "2020-01-02T15:30:00Z"
    assert iso_text(ns("1969-12-31T23:59:59.500000+00:00")) == "1969-12-31T23:59:59.5Z"
