"""Every commission model by hand; minimum and maximum per order across partial fills; extra lines."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.models.commission import (
    CommissionConfig,
    FixedCommissionModel,
    NoCommissionModel,
    PercentageCommissionModel,
    PerShareCommissionModel,
    TieredCommissionModel,
    make_commission,
)
from schemas import Direction, Liquidity
from tests.support.builders import DAY_NS, T0

BUY, SELL = Direction.BUY, Direction.SELL
TAKER, MAKER = Liquidity.TAKER, Liquidity.MAKER
TIERS = [{"at_least": 0, "rate": 0.01}, {"at_least": 100, "rate": 0.005}, {"at_least": 1000, "rate": 0.001}]


def paid(model, quantity, price=10.0, order_id="o-1", direction=BUY, liquidity=TAKER, ts=T0, **other):
    return {line.name: line.amount for line in model.fees(price, quantity, direction, order_id, liquidity, ts, **other)}


def test_without_commission_there_are_no_lines():
    assert paid(NoCommissionModel(), 100.0) == {}


def test_a_fixed_commission_is_paid_once_an_order():
    model = FixedCommissionModel({"cost_per_trade": 5.0})
    assert paid(model, 60.0) == {"commission": 5.0}
    assert paid(model, 40.0) == {}
    assert paid(model, 40.0, order_id="o-2") == {"commission": 5.0}


def test_a_percentage_is_of_the_traded_value():
    assert paid(PercentageCommissionModel(rate=0.001), 100.0, price=20.0) == {"commission": 2.0}


def test_the_traded_value_of_a_contract_includes_its_multiplier():
    assert paid(PercentageCommissionModel(rate=0.001), 2.0, price=20.0, multiplier=50.0) == {"commission": 2.0}


def test_per_share_is_per_share():
    assert paid(PerShareCommissionModel(rate=0.005), 400.0) == {"commission": 2.0}


@pytest.mark.parametrize("model", [PercentageCommissionModel, PerShareCommissionModel])
def test_a_fill_that_gives_liquidity_may_earn_a_rebate(model):
    rebate = paid(model(rate=0.5, maker_rate=-0.25), 8.0, price=1.0, liquidity=MAKER)
    assert rebate == {"commission": -2.0}


def test_the_minimum_is_per_order_not_per_fill():
    model = PerShareCommissionModel(rate=0.005, minimum=1.0)
    assert paid(model, 100.0) == {"commission": 1.0}
    assert paid(model, 80.0) == {}
    assert paid(model, 120.0)["commission"] == pytest.approx(0.5)


def test_the_maximum_is_per_order_not_per_fill():
    model = PerShareCommissionModel(rate=1.0, maximum=150.0)
    assert paid(model, 100.0) == {"commission": 100.0}
    assert paid(model, 100.0) == {"commission": 50.0}
    assert paid(model, 100.0) == {}


def test_the_maximum_goes_before_the_minimum():
    model = PerShareCommissionModel(rate=0.005, minimum=1.0, maximum_pct=0.01)
    assert paid(model, 10.0, price=0.2)["commission"] == pytest.approx(0.02)


def test_a_final_order_is_forgotten():
    model = FixedCommissionModel(cost_per_trade=5.0)
    paid(model, 60.0)
    model.forget("o-1")
    model.forget("never seen")
    assert not model.tallies


@given(
    st.lists(st.floats(0.01, 1e5), min_size=1, max_size=8),
    st.sampled_from(
        [
            FixedCommissionModel(cost_per_trade=3.0),
            PercentageCommissionModel(rate=0.001, minimum=1.0, maximum=20.0),
            PerShareCommissionModel(rate=0.005, minimum=1.0, maximum_pct=0.01),
            TieredCommissionModel(tiers=TIERS, minimum=0.5),
            TieredCommissionModel(tiers=TIERS, scheme="marginal", tier_by="quantity", maximum_pct=0.004),
        ]
    ),
)
def test_partial_fills_together_cost_what_one_fill_would(parts, model):
    order_ids = iter(["whole", *["parts"] * len(parts)])
    whole = paid(model, math.fsum(parts), order_id=next(order_ids)).get("commission", 0.0)
    together = math.fsum(paid(model, part, order_id=next(order_ids)).get("commission", 0.0) for part in parts)
    model.forget("whole")
    model.forget("parts")
    assert together == pytest.approx(whole, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("quantity", "expected"), [(9.0, 0.9), (10.0, 0.5), (99.0, 4.95), (200.0, 2.0)])
def test_a_cliff_charges_all_of_the_order_at_the_tier_of_its_size(quantity, expected):
    assert paid(TieredCommissionModel(tiers=TIERS), quantity)["commission"] == pytest.approx(expected)


def test_an_order_that_grows_over_a_cliff_gets_back_what_it_paid_too_much():
    model = TieredCommissionModel(tiers=TIERS)
    assert paid(model, 9.0)["commission"] == pytest.approx(0.9)
    assert paid(model, 1.0)["commission"] == pytest.approx(0.5 - 0.9)


def test_marginal_tiers_charge_each_part_at_its_own_rate():
    model = TieredCommissionModel(tiers=TIERS, scheme="marginal")
    assert paid(model, 200.0)["commission"] == pytest.approx(100 * 0.01 + 900 * 0.005 + 1000 * 0.001)


def test_tiers_may_go_by_quantity_and_rates_be_per_quantity():
    model = TieredCommissionModel(tiers=TIERS, scheme="marginal", tier_by="quantity", rate_per="quantity")
    assert paid(model, 150.0, price=7.0)["commission"] == pytest.approx(100 * 0.01 + 50 * 0.005)


def test_maker_and_taker_parts_of_one_order_pay_their_own_rates():
    model = TieredCommissionModel(tiers=[{"rate": 0.002, "maker_rate": 0.001}])
    assert paid(model, 100.0, liquidity=MAKER)["commission"] == pytest.approx(1.0)
    assert paid(model, 100.0, liquidity=TAKER)["commission"] == pytest.approx(2.0)


def monthly(**other):
    return TieredCommissionModel(tiers=TIERS, period="calendar_month", **other)


def test_marginal_monthly_tiers_go_on_where_the_month_has_got_to():
    model = monthly(scheme="marginal")
    assert paid(model, 8.0)["commission"] == pytest.approx(0.8)
    assert paid(model, 4.0, order_id="o-2")["commission"] == pytest.approx(20 * 0.01 + 20 * 0.005)


def test_a_new_month_begins_at_the_first_tier():
    model = monthly(scheme="marginal")
    paid(model, 100.0, ts=T0)
    assert paid(model, 5.0, order_id="o-2", ts=T0 + 30 * DAY_NS)["commission"] == pytest.approx(0.5)


def test_a_monthly_cliff_takes_the_tier_of_the_month_before_the_fill():
    model = monthly()
    assert paid(model, 50.0)["commission"] == pytest.approx(5.0)
    assert paid(model, 50.0, order_id="o-2")["commission"] == pytest.approx(2.5)


def test_a_rolling_cliff_takes_the_thirty_days_before_today():
    model = TieredCommissionModel(tiers=TIERS, period="rolling_30_days")
    rates = []
    for day in (0, 0, 1, 30, 31):
        order_id = f"o-{len(rates)}"
        rates.append(paid(model, 50.0, order_id=order_id, ts=T0 + day * DAY_NS)["commission"] / 500)
    # 0 before; still 0 on the same day; 1,000 of day 0; 1,500 of days 0 and 1; 1,000 of days 1 and 30.
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.001])


def test_volume_of_more_than_thirty_days_ago_does_not_count():
    model = TieredCommissionModel(tiers=TIERS, period="rolling_30_days")
    paid(model, 50.0)
    assert paid(model, 50.0, order_id="o-2", ts=T0 + 31 * DAY_NS)["commission"] == pytest.approx(5.0)


def test_a_rolling_margin_counts_todays_trades():
    model = TieredCommissionModel(tiers=TIERS, period="rolling_30_days", scheme="marginal")
    paid(model, 10.0)
    assert paid(model, 10.0, order_id="o-2")["commission"] == pytest.approx(0.5)
    assert paid(model, 10.0, order_id="o-3", ts=T0 + 30 * DAY_NS)["commission"] == pytest.approx(1 * 0.5 + 0.5)


def test_calculate_commission_is_that_of_an_order_filled_at_once_and_changes_nothing():
    model = monthly(scheme="marginal", minimum=0.25)
    assert model.calculate_commission(10.0, -1.0) == 0.25
    assert model.calculate_commission(10.0, 20.0) == pytest.approx(1.5)
    paid(model, 10.0)
    assert model.calculate_commission(10.0, 20.0) == pytest.approx(1.0)
    assert model.calculate_commission(10.0, 20.0) == pytest.approx(1.0)


EXTRAS = [
    {"name": "sec", "rate": 0.0001, "per": "value", "side": "SELL"},
    {"name": "taf", "rate": 0.01, "per": "quantity", "side": "SELL", "maximum": 1.5},
    {"name": "nyse", "rate": 0.1, "per": "commission"},
    {"name": "ticket", "rate": 0.3, "per": "order"},
]


def test_regulatory_lines_are_charged_on_sales_only():
    model = PerShareCommissionModel(rate=0.01, extra_fees=EXTRAS)
    assert list(paid(model, 100.0)) == ["commission", "nyse", "ticket"]


def test_extra_lines_have_their_own_basis_and_maximum_per_order():
    model = PerShareCommissionModel(rate=0.01, extra_fees=EXTRAS)
    first = paid(model, 100.0, direction=SELL)
    second = paid(model, 100.0, direction=SELL)
    assert first == pytest.approx({"commission": 1.0, "sec": 0.1, "taf": 1.0, "nyse": 0.1, "ticket": 0.3})
    assert second == pytest.approx({"commission": 1.0, "sec": 0.1, "taf": 0.5, "nyse": 0.1})


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"model": "percent"}, "did you mean 'percentage'"),
        ({"model": "percentage"}, "rate: Field required"),
        ({"model": "fixed", "rate": 1}, "unknown parameter 'rate'"),
        ({"model": "fixed", "cost_per_trade": -1}, "cost_per_trade: Input should be greater"),
        ({"model": "tiered", "tiers": []}, "begin with at_least 0 and ascend"),
        ({"model": "tiered", "tiers": [{"at_least": 5, "rate": 1}]}, "found \\[5.0\\]"),
        ({"model": "tiered", "tiers": [{"rate": 1}, {"rate": 2}]}, "found \\[0.0, 0.0\\]"),
        ({"model": "none", "extra_fees": [{"name": "x", "rat": 1}]}, "extra_fees.0.rat"),
    ],
)
def test_a_commission_that_makes_no_sense_is_refused_with_its_place(config, text):
    with pytest.raises(ValidationError, match=text):
        CommissionConfig(**config)


def test_the_default_is_the_fixed_model_at_no_cost():
    assert paid(make_commission(CommissionConfig()), 100.0) == {}


def test_a_new_model_has_charged_nothing_yet():
    config = CommissionConfig(model="fixed", cost_per_trade=1.0)
    assert paid(make_commission(config), 1.0) == paid(make_commission(config), 1.0) == {"commission": 1.0}
