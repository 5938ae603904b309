"""Quantities: lots, strength, percent of equity."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.runtime.settings import Instrument, RunSettings
from components.risk.holdings import Holdings
from components.risk.sizing import RiskStubParameters, Sizing, whole_lots
from tests.support.builders import a_signal


def quantity_of(
    instrument: dict[str, Any] | None = None, parameters: dict[str, Any] | None = None, **signal: Any
) -> float:
    run = RunSettings(initial_cash=10_000, instruments=(Instrument(symbol="AAPL", **(instrument or {})),))
    return Sizing(RiskStubParameters(**(parameters or {})), Holdings(run)).opening(a_signal("BUY", **signal))


@pytest.mark.parametrize(
    ("quantity", "lot_size", "whole"),
    [(105.0, 10.0, 100.0), (0.35, 0.1, 0.3), (0.3, 0.1, 0.3), (9.99, 10.0, 0.0), (-5.0, 1.0, 0.0), (7e-8, 1e-8, 7e-8)],
)
def test_lots_are_whole_and_exact_in_decimals(quantity: float, lot_size: float, whole: float) -> None:
    assert whole_lots(quantity, lot_size) == whole


@given(st.floats(0, 1e9), st.sampled_from([1e-3, 0.01, 0.1, 1.0, 5.0, 100.0]))
def test_whole_lots_are_less_than_one_lot_below_the_quantity(quantity: float, lot_size: float) -> None:
    whole = whole_lots(quantity, lot_size)
    tolerance = 1e-8 * lot_size + 1e-15 * quantity
    assert -tolerance <= quantity - whole < lot_size + tolerance


def test_strength_scales_the_configured_quantity_but_not_one_that_the_signal_names() -> None:
    assert quantity_of(strength=0.5) == 50.0
    assert quantity_of(strength=0.5, quantity=80.0) == 80.0


def test_a_fixed_quantity_is_in_whole_lots_only_when_the_instrument_has_lots() -> None:
    assert quantity_of(strength=0.333) == pytest.approx(33.3)
    assert quantity_of({"lot_size": 10}, strength=0.333) == 30.0


def test_percent_of_equity_is_whole_units_or_whole_lots() -> None:
    percent = {"percent_of_equity": 10}
    assert quantity_of(parameters=percent, price=300.0) == 3.0
    assert quantity_of({"lot_size": 0.25}, percent, price=300.0) == 3.25
    assert quantity_of(parameters=percent, price=300.0, strength=0.5) == 1.0


def test_a_multiplier_makes_a_unit_dearer() -> None:
    assert quantity_of({"multiplier": 50.0}, {"percent_of_equity": 100}, price=10.0) == 20.0


@pytest.mark.parametrize("price", [0.0, -5.0])
def test_a_price_that_is_not_positive_gives_no_percent_of_equity(price: float) -> None:
    assert quantity_of(parameters={"percent_of_equity": 10}, price=price) == 0.0


def test_a_negative_quantity_is_none() -> None:
    assert quantity_of(quantity=-5.0) == 0.0
