"""The dated fee tables, against the examples that the brokers publish."""

from __future__ import annotations

import pytest

from components.models.commission import CommissionConfig, make_commission
from components.models.fees import read_table, table_names
from schemas import Direction, Liquidity
from tests.support.builders import DAY_NS, T0

BUY, SELL = Direction.BUY, Direction.SELL


def charged(config, quantity, price, direction=BUY, liquidity=Liquidity.TAKER):
    lines = make_commission(config).fees(price, quantity, direction, "o-1", liquidity, T0)
    return {line.name: line.amount for line in lines}


@pytest.mark.parametrize("name", table_names())
def test_every_table_says_where_it_was_published_and_when_it_held(name):
    table = read_table(name)
    assert table["source"].startswith("https://")
    assert str(table["in_force"])[:4] in name
    assert CommissionConfig(table=name).model == table["model"]


@pytest.mark.parametrize(("quantity", "price", "expected"), [(100, 25, 1.0), (1000, 25, 5.0), (1000, 0.25, 2.5)])
def test_ibkr_fixed_charges_what_ibkrs_examples_say(quantity, price, expected):
    """The three examples below the US table of IBKR's commissions-stocks page."""
    assert charged(CommissionConfig(table="ibkr_pro_fixed_2024"), quantity, price)["commission"] == pytest.approx(
        expected, abs=1e-9
    )


def old_ibkr(table):
    """IBKR's worked comparison (page f=713) was computed with the regulators' rates of 2023."""
    fees = [
        {"name": "sec", "rate": 0.000008, "per": "value", "side": "SELL"},
        {"name": "finra_taf", "rate": 0.000145, "per": "quantity", "side": "SELL", "maximum": 7.27},
    ]
    if table == "ibkr_pro_tiered_2024":
        fees += [
            {"name": "clearing", "rate": 0.0002, "per": "quantity"},
            {"name": "finra", "rate": 0.00056, "per": "commission"},
            {"name": "nyse", "rate": 0.000175, "per": "commission"},
        ]
    return CommissionConfig(table=table, extra_fees=fees)


def test_ibkr_tiered_bills_thirty_million_shares_as_ibkrs_example_does():
    lines = charged(old_ibkr("ibkr_pro_tiered_2024"), 30_000_000, 5.0, SELL)
    assert lines["commission"] == pytest.approx(1_050 + 5_400 + 25_500 + 10_000, abs=1e-6)
    assert lines["clearing"] == pytest.approx(6_000, abs=1e-6)
    assert lines["sec"] == pytest.approx(1_200, abs=1e-6)
    assert lines["finra"] == pytest.approx(23.49, abs=0.005)
    assert lines["nyse"] == pytest.approx(7.34, abs=0.005)
    assert lines["finra_taf"] == 7.27


def test_ibkr_tiered_bills_two_hundred_thousand_shares_as_ibkrs_example_does():
    lines = charged(old_ibkr("ibkr_pro_tiered_2024"), 200_000, 5.0, SELL)
    venue_fee = 600.0
    assert lines["commission"] == pytest.approx(700.0, abs=1e-6)
    assert sum(lines.values()) + venue_fee == pytest.approx(1_355.78, abs=0.005)


@pytest.mark.parametrize(("quantity", "expected"), [(30_000_000, 151_207.27), (200_000, 1_015.27)])
def test_ibkr_fixed_totals_as_ibkrs_comparison_does(quantity, expected):
    assert sum(charged(old_ibkr("ibkr_pro_fixed_2024"), quantity, 5.0, SELL).values()) == pytest.approx(expected)


def test_ibkr_tiered_has_a_minimum_per_order():
    assert charged(CommissionConfig(table="ibkr_pro_tiered_2024"), 10, 25.0)["commission"] == 0.35


@pytest.mark.parametrize(("liquidity", "rate"), [(Liquidity.TAKER, 0.0025), (Liquidity.MAKER, 0.0015)])
def test_alpaca_starts_at_the_first_tier(liquidity, rate):
    lines = charged(CommissionConfig(table="alpaca_crypto_2023"), 2.0, 40_000.0, liquidity=liquidity)
    assert lines == pytest.approx({"commission": 80_000 * rate})


def test_alpaca_moves_to_the_next_tier_on_the_next_day():
    """Alpaca's own example: 99,500 traded, then more than 500 on top, counts from the next trading day on."""
    model = make_commission(CommissionConfig(table="alpaca_crypto_2023"))

    def rate(order_id, value, ts):
        [line] = model.fees(value, 1.0, BUY, order_id, Liquidity.TAKER, ts)
        return line.amount / value

    assert rate("o-1", 99_500.0, T0) == pytest.approx(0.0025)
    assert rate("o-2", 550.0, T0 + DAY_NS) == pytest.approx(0.0025)
    assert rate("o-3", 550.0, T0 + DAY_NS) == pytest.approx(0.0025)
    assert rate("o-4", 550.0, T0 + 2 * DAY_NS) == pytest.approx(0.0022)


def test_what_is_given_beside_a_table_goes_before_it():
    config = CommissionConfig(table="ibkr_pro_fixed_2024", minimum=2.0, extra_fees=[])
    assert charged(config, 100, 25.0, SELL) == {"commission": 2.0}


def test_a_tables_parameters_are_written_into_the_configuration():
    assert CommissionConfig(table="ibkr_pro_fixed_2024").model_dump()["maximum_pct"] == 0.01


def test_a_written_out_configuration_is_read_back_unchanged():
    config = CommissionConfig(table="alpaca_crypto_2023")
    assert CommissionConfig.model_validate(config.model_dump()) == config


def test_an_unknown_table_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown fee table 'ibkr_pro_fixed'; did you mean 'ibkr_pro_fixed_2024'"):
        CommissionConfig(table="ibkr_pro_fixed")


def test_a_table_for_another_model_is_refused():
    with pytest.raises(ValueError, match="is for model 'per_share', not 'tiered'"):
        CommissionConfig(model="tiered", table="ibkr_pro_fixed_2024")
