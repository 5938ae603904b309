"""Tiers and traded volume."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.models.tiers import Tier, TradedVolume, average_rate, tier_at
from schemas import Liquidity
from tests.support.builders import DAY_NS, T0

TIERS = (Tier(rate=3.0), Tier(at_least=10.0, rate=2.0, maker_rate=1.0), Tier(at_least=100.0, rate=0.5))


@pytest.mark.parametrize(("volume", "rate"), [(0.0, 3.0), (9.9, 3.0), (10.0, 2.0), (100.0, 0.5), (1e9, 0.5)])
def test_a_volume_lies_in_the_last_tier_that_begins_at_or_below_it(volume, rate):
    assert tier_at(TIERS, volume).rate == rate


def test_without_a_maker_rate_makers_pay_the_rate():
    assert [tier.rate_for(Liquidity.MAKER) for tier in TIERS] == [3.0, 1.0, 0.5]


def test_the_average_rate_weighs_each_part_by_its_tier():
    assert average_rate(TIERS, 5.0, 10.0, Liquidity.TAKER) == pytest.approx((5 * 3 + 5 * 2) / 10)


@given(st.floats(0, 1e6), st.floats(1e-3, 1e6))
def test_the_average_rate_lies_between_the_lowest_and_the_highest(before, amount):
    assert 0.5 - 1e-9 <= average_rate(TIERS, before, amount, Liquidity.TAKER) <= 3.0 + 1e-9


def traded(*days):
    volume = TradedVolume()
    for day in days:
        volume.add(T0 + day * DAY_NS, 1.0)
    return volume


def test_a_month_is_a_calendar_month():
    volume = traded(0, 1, 29, 30)  # T0 is 2 January: day 29 is the 31st, day 30 the 1st of February
    assert volume.this_month(T0 + 29 * DAY_NS) == 3.0
    assert volume.this_month(T0 + 30 * DAY_NS) == 1.0


def test_the_last_thirty_days_include_today_and_the_previous_thirty_do_not():
    volume = traded(0, 1, 30)
    today = T0 + 30 * DAY_NS
    assert volume.last_30_days(today) == 2.0
    assert volume.previous_30_days(today) == 2.0


def test_the_month_is_whole_even_when_it_has_thirty_one_days():
    assert traded(*range(-1, 30)).this_month(T0 + 29 * DAY_NS) == 31.0


def test_nothing_on_top_has_the_rate_of_the_tier_it_would_begin_in():
    assert average_rate(TIERS, 50.0, 0.0, Liquidity.MAKER) == 1.0
