"""Every slippage model against its formula worked out by hand."""

from __future__ import annotations

import statistics
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.models.slippage import (
    SLIPPAGE_MODELS,
    FixedSlippageModel,
    NoSlippageModel,
    PercentageSlippageModel,
    SlippageConfig,
    SquareRootSlippageModel,
    VolatilityAwareSlippageModel,
    VolumeBasedSlippageModel,
    make_slippage,
)
from schemas import Direction
from tests.support.builders import a_bar

BUY, SELL = Direction.BUY, Direction.SELL
CLOSES = (100.0, 102.0, 101.0, 104.0)


def test_without_slippage_the_price_stays_as_it_is():
    assert NoSlippageModel().apply_slippage(100.0, BUY, 500.0) == 100.0


def test_fixed_slippage_is_a_fraction_of_the_price_against_the_trader():
    model = FixedSlippageModel(price_impact=0.0005)
    assert model.apply_slippage(100.0, BUY, 1.0) == pytest.approx(100.05, abs=1e-12)
    assert model.apply_slippage(100.0, SELL, 1.0) == pytest.approx(99.95, abs=1e-12)


def test_a_model_takes_its_parameters_as_a_mapping_too():
    assert FixedSlippageModel({"price_impact": 0.01}).apply_slippage(100.0, "BUY", 1.0) == 101.0


def test_percentage_slippage_grows_with_the_quantity():
    model = PercentageSlippageModel(base_pct=0.001, size_impact=0.00001, max_pct=0.01)
    assert model.apply_slippage(100.0, BUY, 200.0) == pytest.approx(100.3, abs=1e-12)


def test_percentage_slippage_stops_at_its_maximum():
    model = PercentageSlippageModel(base_pct=0.001, size_impact=0.00001, max_pct=0.01)
    assert model.apply_slippage(100.0, SELL, 1_000_000.0) == 99.0


def test_volume_slippage_grows_with_the_square_of_the_share_of_volume():
    model = VolumeBasedSlippageModel(price_impact=0.1, volume_limit=0.5)
    price = model.apply_slippage(100.0, BUY, 200.0, bar=a_bar(volume=1000.0))
    assert price == pytest.approx(100.0 * (1 + 0.1 * 0.2**2), abs=1e-12)


@pytest.mark.parametrize("bar", [None, a_bar(volume=0.0), a_bar(volume=10.0)], ids=["no bar", "no volume", "little"])
def test_volume_slippage_without_enough_volume_takes_the_worst_case(bar):
    price = VolumeBasedSlippageModel().apply_slippage(100.0, BUY, 200.0, bar=bar)
    assert price == pytest.approx(100.0 * (1 + 0.1 * 0.025**2), abs=1e-12)


def test_volatility_slippage_uses_the_volatility_it_is_given():
    price = VolatilityAwareSlippageModel().apply_slippage(100.0, BUY, 1.0, volatility=0.002)
    assert price == pytest.approx(100.0 * (1 + 0.0001 + 0.002 * 5.0), abs=1e-12)


def test_volatility_slippage_falls_back_on_the_default_volatility():
    price = VolatilityAwareSlippageModel().apply_slippage(100.0, SELL, 1.0)
    assert price == pytest.approx(100.0 * (1 - 0.0001 - 0.01 * 5.0), abs=1e-12)


def fed(model, *closes, volume=1000.0):
    for n, close in enumerate(closes):
        model.on_bar(a_bar(n, c=close, volume=volume))
    return model


def test_volatility_slippage_learns_the_volatility_of_recent_bars():
    model = fed(VolatilityAwareSlippageModel(), *CLOSES)
    sigma = statistics.stdev([102 / 100 - 1, 101 / 102 - 1, 104 / 101 - 1])
    price = model.apply_slippage(100.0, BUY, 1.0, bar=a_bar())
    assert price == pytest.approx(100.0 * (1 + 0.0001 + sigma * 5.0), rel=1e-12)


def test_a_given_volatility_goes_before_what_was_learnt():
    model = fed(VolatilityAwareSlippageModel(base_slippage=0.0), *CLOSES)
    assert model.apply_slippage(100.0, BUY, 1.0, bar=a_bar(), volatility=0.0) == 100.0


def test_a_window_of_n_remembers_n_returns():
    model = fed(VolatilityAwareSlippageModel(window=2), *CLOSES)
    assert model.realised_volatility("AAPL") == pytest.approx(
        statistics.stdev([101 / 102 - 1, 104 / 101 - 1]), rel=1e-12
    )


def test_what_one_symbol_does_is_not_learnt_for_another():
    model = fed(VolatilityAwareSlippageModel(), *CLOSES)
    assert model.realised_volatility("MSFT") is None


def test_one_return_is_not_enough_for_a_volatility():
    assert fed(VolatilityAwareSlippageModel(), 100.0, 101.0).realised_volatility("AAPL") is None


def test_square_root_impact_is_y_sigma_root_of_participation():
    price = SquareRootSlippageModel(Y=0.5).apply_slippage(100.0, BUY, 400.0, volatility=0.02, adv=10_000.0)
    assert price == pytest.approx(100.0 * (1 + 0.5 * 0.02 * 0.2), abs=1e-12)


def test_square_root_impact_learns_sigma_and_volume():
    model = fed(SquareRootSlippageModel(), *CLOSES, volume=2500.0)
    sigma = model.realised_volatility("AAPL")
    assert model.apply_slippage(100.0, SELL, 100.0, bar=a_bar()) == pytest.approx(100 * (1 - sigma * 0.2), rel=1e-12)


@pytest.mark.parametrize("model", [VolatilityAwareSlippageModel, SquareRootSlippageModel])
def test_what_was_learnt_from_bars_counts_on_ticks_by_the_symbol(model):
    learnt = fed(model(), *CLOSES)
    on_a_bar = learnt.apply_slippage(100.0, BUY, 100.0, bar=a_bar())
    assert learnt.apply_slippage(100.0, BUY, 100.0, symbol="AAPL") == on_a_bar
    unknown = model().apply_slippage(100.0, BUY, 100.0)
    assert learnt.apply_slippage(100.0, BUY, 100.0, symbol="MSFT") == unknown
    assert on_a_bar != unknown


NO_HISTORY = [
    {},
    {"volatility": 0.02},
    {"adv": 1e6},
    {"volatility": 0.02, "adv": 0.0},
    {"volatility": 0.0, "adv": 5e-324},
]


@pytest.mark.parametrize("known", NO_HISTORY)
def test_square_root_impact_without_history_is_the_default_impact(known):
    price = SquareRootSlippageModel().apply_slippage(100.0, BUY, 100.0, bar=a_bar(), **known)
    assert price == pytest.approx(100.075, abs=1e-12)


@pytest.mark.parametrize(("name", "learns"), [("fixed", False), ("volume", False), ("volatility", True)])
def test_a_model_says_whether_it_learns(name, learns):
    assert make_slippage(SlippageConfig(model=name)).learns is learns


def test_a_model_with_an_empty_window_does_not_learn():
    assert not make_slippage(SlippageConfig(model="square_root", window=0)).learns


def test_a_new_model_has_learnt_nothing():
    config = SlippageConfig(model="volatility")
    fed(make_slippage(config), *CLOSES)
    assert make_slippage(config).realised_volatility("AAPL") is None


@given(
    st.sampled_from(sorted(SLIPPAGE_MODELS.builtin)),
    st.floats(0.0, 1e6),
    st.floats(0.0, 1e9),
    st.floats(0.0, 5.0),
    st.floats(0.0, 1e9),
)
def test_slippage_is_never_in_the_traders_favour_and_no_price_is_negative(name, price, quantity, volatility, adv):
    model = make_slippage(SlippageConfig(model=name))
    known = {"bar": a_bar(volume=adv), "volatility": volatility, "adv": adv}
    assert model.apply_slippage(price, BUY, quantity, **known) >= price
    assert 0.0 <= model.apply_slippage(price, SELL, quantity, **known) <= price


@pytest.mark.parametrize("model", [NoSlippageModel(), FixedSlippageModel()], ids=["none", "fixed"])
def test_a_negative_price_stays_as_it_is_without_slippage(model):
    assert model.apply_slippage(-37.0, BUY, 1.0) == -37.0
    assert model.apply_slippage(-37.0, SELL, 1.0) == -37.0


def test_slippage_of_a_negative_price_goes_against_the_trader_too():
    model = FixedSlippageModel(price_impact=0.01)
    assert model.apply_slippage(-100.0, BUY, 1.0) == -99.0
    assert model.apply_slippage(-100.0, SELL, 1.0) == -101.0


def test_an_unknown_model_is_refused_with_the_known_ones_and_the_nearest():
    with pytest.raises(ValidationError, match=r"unknown slippage model 'fixd'; did you mean 'fixed'\?.*volatility"):
        SlippageConfig(model="fixd")


def test_an_unknown_parameter_is_refused_with_the_nearest():
    with pytest.raises(ValidationError, match="unknown parameter 'price_impct'; did you mean 'price_impact'"):
        SlippageConfig(model="fixed", price_impct=0.1)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "much"])
def test_a_value_that_makes_no_sense_is_refused_with_its_place(value):
    with pytest.raises(ValidationError, match="slippage model 'fixed': price_impact"):
        SlippageConfig(model="fixed", price_impact=value)


def test_models_do_not_need_numpy():
    code = "import sys, components.models.commission, components.models.slippage, components.models.latency;"
    subprocess.run([sys.executable, "-c", code + "assert 'numpy' not in sys.modules"], check=True)
