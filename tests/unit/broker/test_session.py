from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from components.broker import SimulatedBroker
from components.broker.session import SessionConfig, make_session
from schemas import Fill, OrderType, SubmitOrder
from tests.support.bench import Bench
from tests.support.builders import T0, a_bar, an_order


def ns(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("at", "ends"),
    [
        ("2020-01-02T00:00:00+00:00", "2020-01-02T00:00:00+00:00"),
        ("2020-01-02T00:00:01+00:00", "2020-01-03T00:00:00+00:00"),
        ("2020-01-02T23:59:59+00:00", "2020-01-03T00:00:00+00:00"),
    ],
)
def test_by_default_a_session_is_a_day_in_utc_and_its_end_belongs_to_it(at, ends):
    assert make_session(SessionConfig())(ns(at)) == ns(ends)


@pytest.mark.parametrize(
    ("at", "ends"),
    [
        ("2020-01-02T14:31:00+00:00", "2020-01-02T21:00:00+00:00"),
        ("2020-01-02T21:00:00+00:00", "2020-01-02T21:00:00+00:00"),
        ("2020-01-02T21:00:01+00:00", "2020-01-03T21:00:00+00:00"),
        ("2020-07-02T14:31:00+00:00", "2020-07-02T20:00:00+00:00"),
        ("2020-03-07T22:00:00+00:00", "2020-03-08T20:00:00+00:00"),
    ],
)
def test_a_local_end_follows_daylight_saving_time(at, ends):
    config = SessionConfig(end="16:00", timezone="America/New_York")
    assert make_session(config)(ns(at)) == ns(ends)


def test_a_nanosecond_after_the_end_is_the_next_session():
    session_end = make_session(SessionConfig())
    end = ns("2020-01-02T00:00:00+00:00")
    assert [session_end(end), session_end(end + 1)] == [end, end + 86_400_000_000_000]


def test_the_same_function_answers_in_any_order():
    session_end = make_session(SessionConfig(end="16:00", timezone="Asia/Tokyo"))
    times = [ns(f"2020-01-{day:02d}T{hour:02d}:30:00+00:00") for day in (5, 3, 4) for hour in (3, 20, 9)]
    fresh = [make_session(SessionConfig(end="16:00", timezone="Asia/Tokyo"))(ts) for ts in times]
    assert [session_end(ts) for ts in times] == fresh


def test_the_default_session_needs_no_time_zone_database(monkeypatch):
    monkeypatch.setattr("components.broker.session.ZoneInfo", None)
    assert make_session(SessionConfig())(ns("2020-01-02T01:00:00+00:00")) == ns("2020-01-03T00:00:00+00:00")


def half_day(ts: int) -> int:
    """A calendar whose sessions end every twelve hours."""
    half = 43_200_000_000_000
    return -(-ts // half) * half


def test_a_calendar_of_the_users_own_is_asked():
    session_end = make_session(SessionConfig(calendar=f"{__name__}:half_day"))
    assert session_end(ns("2020-01-02T03:00:00+00:00")) == ns("2020-01-02T12:00:00+00:00")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"end": 960}, r'is 960; write the time in quotes, as "16:00" \(YAML reads 16:00 as the number 960\)'),
        ({"end": "25:00"}, "is '25:00', which is not a time of day"),
        (
            {"timezone": "Mars/Olympus"},
            "'Mars/Olympus' is not a time zone that this system knows; names are such as UTC",
        ),
        ({"calendar": "no function"}, "String should match pattern"),
        ({"ends": "16:00"}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(values, text):
    with pytest.raises(ValidationError, match=text):
        SessionConfig(**values)


def never_before_2020(ts: int) -> int:
    """A calendar that knows no day before 2020."""
    assert ts >= T0
    return half_day(ts)


def test_a_calendar_is_asked_only_about_times_of_the_run():
    bench = Bench(SimulatedBroker("broker", {"session": {"calendar": f"{__name__}:never_before_2020"}}))
    bench.publish(SubmitOrder(an_order(order_type=OrderType.MARKET_ON_OPEN), "broker"), ts=T0)
    bench.publish(a_bar(1))
    assert [fill.rule for fill in bench.of(Fill)] == ["market_on_open"]
