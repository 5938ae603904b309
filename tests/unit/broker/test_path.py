from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.broker.path import CLOSE, Path, Place, bar_path, flat_path, position_at
from tests.support.builders import a_bar

RISE_THEN_FALL = Path(100.0, 104.0, 96.0, 98.0)
UP, DOWN = 1, -1

prices = st.floats(1.0, 1_000.0)
paths = st.builds(Path, prices, prices, prices, prices)
positions = st.floats(0.0, CLOSE)


@pytest.mark.parametrize(
    ("style", "high", "low", "expected"),
    [
        ("OHLC", 101, 90, (100, 101, 90, 99)),
        ("OLHC", 101, 90, (100, 90, 101, 99)),
        ("adaptive", 101, 90, (100, 101, 90, 99)),
        ("adaptive", 110, 98, (100, 98, 110, 99)),
        ("adaptive", 102, 98, (100, 98, 102, 99)),
    ],
)
def test_a_style_decides_which_extreme_comes_first(style, high, low, expected):
    assert bar_path(a_bar(o=100, h=high, low=low, c=99), style).prices == expected


def test_a_place_lies_between_the_ends_of_its_leg():
    assert RISE_THEN_FALL.at(0.0) == Place(0.0, 100.0)
    assert RISE_THEN_FALL.at(0.5) == Place(0.5, 102.0)
    assert RISE_THEN_FALL.at(1.25) == Place(1.25, 102.0)
    assert RISE_THEN_FALL.at(CLOSE) == Place(CLOSE, 98.0)


@pytest.mark.parametrize(
    ("level", "sign", "expected"),
    [
        (100.0, UP, 0.0),
        (99.0, UP, 0.0),
        (102.0, UP, 0.5),
        (104.0, UP, 1.0),
        (104.01, UP, None),
        (100.0, DOWN, 0.0),
        (99.0, DOWN, 1.625),
        (96.0, DOWN, 2.0),
        (95.99, DOWN, None),
    ],
)
def test_a_level_is_reached_where_the_path_first_comes_to_it(level, sign, expected):
    assert RISE_THEN_FALL.reach(level, RISE_THEN_FALL.at(0.0), sign) == expected


def test_what_lies_before_the_start_is_not_reached():
    assert RISE_THEN_FALL.reach(103.0, RISE_THEN_FALL.at(2.0), UP) is None
    assert RISE_THEN_FALL.reach(97.0, RISE_THEN_FALL.at(2.0), UP) == 2.5


def test_a_strict_level_must_be_left_behind():
    assert RISE_THEN_FALL.reach(104.0, RISE_THEN_FALL.at(0.0), UP, strict=True) is None
    assert RISE_THEN_FALL.reach(100.0, RISE_THEN_FALL.at(0.0), UP, strict=True) == 0.0
    assert RISE_THEN_FALL.reach(102.0, RISE_THEN_FALL.at(0.0), UP, strict=True) == 0.5


def test_a_flat_path_is_one_price():
    assert flat_path(7.0).reach(7.0, Place(0.0, 7.0), UP) == 0.0
    assert flat_path(7.0).reach(8.0, Place(0.0, 7.0), UP) is None


@given(path=paths, level=prices, start=positions, sign=st.sampled_from((UP, DOWN)))
def test_a_reached_level_is_at_its_position_and_not_before(path, level, start, sign):
    here = path.at(start)
    position = path.reach(level, here, sign)
    visited = [here.price, *path.prices[int(start) + 1 :]]
    if position is None:
        assert all(sign * (price - level) < 0 for price in visited)
    elif position == start:
        assert path.at(position).price * sign >= level * sign - 1e-6
    else:
        assert start < position <= CLOSE
        assert path.at(position).price == pytest.approx(level, rel=1e-9, abs=1e-6)
        assert sign * (here.price - level) < 0


@given(path=paths, start=positions, sign=st.sampled_from((UP, DOWN)))
def test_a_strict_level_is_never_left_behind_before_the_start(path, start, sign):
    here = path.at(start)
    position = path.reach(here.price, here, sign, strict=True)
    assert position is None or position >= start


@pytest.mark.parametrize(
    ("ts", "expected"),
    [(900, 0.0), (1_000, 0.0), (1_010, 0.0), (1_020, 0.06), (1_500, 1.5), (2_000, CLOSE)],
)
def test_time_goes_along_the_path_evenly(ts, expected):
    assert position_at(ts, bar_ts=2_000, interval=1_000) == pytest.approx(expected)


def test_a_bar_of_unknown_length_begins_before_everything():
    assert position_at(1_999, bar_ts=2_000, interval=0) == 0.0
