"""Parts of compiled searches: exact rounding, statistics, rules of arrays, what is refused."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import AdmfError, ConfigError
from components.broker.fills import _tidy_difference, round_against
from components.coordinator.statistics import curve_statistics, equity_analysis
from components.strategy.array_strategy import ArrayStrategy, Bars
from components.strategy.moving_average import MovingAverageCrossover
from deploy.optimize.compiled.directions import directions
from deploy.optimize.compiled.figures import analysis_of
from deploy.optimize.compiled.jit import cache_folder
from deploy.optimize.compiled.refusals import refusals
from deploy.optimize.compiled.rounding import rounded, steps, tidy_difference
from deploy.optimize.optimizer import optimize
from schemas import Signal
from tests.compiled.engine import plan_for
from tests.support.bench import Bench
from tests.support.builders import DAY_NS, T0, a_bar
from tests.support.launching import ROOT
from tests.support.searching import a_search

RULES = "tests.support.array_rules"
SLOW_AT_FIRST = settings(deadline=None)
"""A compiled function is compiled at its first call."""


@settings(max_examples=2000, deadline=None)
@given(st.floats(-1e16, 1e16) | st.integers(-(10**7), 10**7).map(lambda n: (n + 0.5) / 2**12), st.integers(0, 22))
def test_rounding_is_that_of_python_to_the_last_bit(value, places):
    assert rounded(value, places) == round(value, places) + 0.0


def test_ties_go_to_the_even_neighbour_and_near_ties_do_not():
    values = [0.5, 1.5, 2.5, 0.125, 2.675, 1.005, 0.15, -0.5, -2.5, 1e-11, 5e-11, 1.5e-10, 900719.92547409925]
    for value in values:
        for places in (0, 1, 2, 3, 9, 10):
            assert rounded(value, places) == round(value, places) + 0.0, (value, places)


@SLOW_AT_FIRST
@given(st.floats(1e-6, 1e5), st.sampled_from([0.01, 0.05, 0.25, 1e-6, 0.1, 5.0]), st.sampled_from([1, -1]))
def test_ticks_are_those_of_the_broker(price, tick, sign):
    number = Decimal(repr(tick)).as_tuple()
    units, power = int("".join(map(str, number.digits))), -int(number.exponent)
    whole = math.ceil(price / tick - 1e-6) if sign > 0 else math.floor(price / tick + 1e-6)
    assert steps(float(whole), float(units), float(10**power)) == round_against(price, tick, sign)


@SLOW_AT_FIRST
@given(st.floats(-5, 5), st.floats(1e-9, 1e6))
def test_differences_of_prices_are_those_of_the_broker(difference, price):
    assert tidy_difference(difference, price) == _tidy_difference(difference, price)


@SLOW_AT_FIRST
@given(
    st.lists(
        st.integers(-(10**5), 10**7).map(lambda n: n / 100) | st.sampled_from([1e4, 2e4]), min_size=1, max_size=60
    ),
    st.integers(0, 3),
)
def test_the_statistics_of_a_curve_are_those_of_the_coordinator(equity, idle):
    ts = [T0 + n * DAY_NS for n in range(len(equity))]
    exposure = [abs(value) / 2 if n % 4 > idle else 0.0 for n, value in enumerate(equity)]
    for convention in ("specification", "sample"):
        expected = equity_analysis(ts, equity, exposure, periods_per_year=252.0, convention=convention)
        analysis = analysis_of(np.array(equity), np.array(exposure), np.array(ts))
        found = curve_statistics(analysis, 252.0, convention)
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert found[key] == (pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value), key


@SLOW_AT_FIRST
@given(
    st.lists(st.integers(1, 60).map(lambda n: n / 10), min_size=1, max_size=80), st.integers(1, 5), st.integers(1, 5)
)
def test_crossings_are_those_of_the_strategy_that_sees_bar_by_bar(closes, fast, more):
    strategy = MovingAverageCrossover("s", {"fast": fast, "slow": fast + more})
    signals = signals_of(strategy, closes)
    found = directions(strategy, bars_of(closes))
    assert [(n, wish) for n, wish in enumerate(found.tolist()) if wish] == signals


@SLOW_AT_FIRST
@given(st.lists(st.integers(1, 60).map(lambda n: n / 10), min_size=1, max_size=80), st.sampled_from([None, "slow", 9]))
def test_a_rule_wants_the_same_bar_by_bar_and_all_at_once(closes, lookback):
    parameters = {"rule": f"{RULES}.crossover", "params": {"fast": 2, "slow": 5}, "lookback": lookback}
    strategy = ArrayStrategy("s", parameters)
    signals = signals_of(strategy, closes)
    wants, expected = 0, []
    for n, wish in enumerate(directions(strategy, bars_of(closes)).tolist()):
        if wish and wish != wants:
            wants = wish
            expected.append((n, wish))
    assert signals == expected


def test_a_rule_may_be_compiled(monkeypatch):
    import tests.support.array_rules as rules

    strategy = ArrayStrategy("s", {"rule": f"{RULES}.by_last_digit", "params": {"shift": 1}})
    plain = directions(strategy, bars_of([1.0, 2.02, 3.01, 4.0]))
    monkeypatch.setattr(rules, "by_last_digit", numba.njit(compiled_by_last_digit))
    assert directions(strategy, bars_of([1.0, 2.02, 3.01, 4.0])).tolist() == plain.tolist()


def compiled_by_last_digit(bars, params):
    wants = np.zeros(len(bars.close), np.int64)
    for n in range(len(wants)):
        wants[n] = (int(np.round(bars.close[n] * 100)) + params.shift) % 3 - 1
    return wants


def test_the_rule_of_the_documentation_works_as_it_stands(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "optimization.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "my_rules.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    strategy = ArrayStrategy("s", {"rule": "my_rules.momentum", "params": {"days": 2}, "lookback": 3})
    closes = [3.0, 2.0, 4.0, 5.0, 3.0, 1.0, 1.0]
    assert directions(strategy, bars_of(closes)).tolist() == [0, 0, 1, 1, -1, -1, -1]
    assert signals_of(strategy, closes) == [(2, 1), (4, -1)]


@pytest.mark.parametrize(
    ("rule", "lookback", "reason"),
    [
        (
            "tomorrow",
            None,
            "tomorrow looks ahead: at bar 3 it wants 0 when it has seen 4 bars, and 1 when it has seen 6",
        ),
        ("too_few", None, "gave an array of shape (7,) for 6 bars"),
        ("too_much", None, "gave something else than 1 (long), -1 (out, or short) and 0 (as before)"),
        (
            "crossover",
            2,
            "crossover needs more than its lookback of 2 bars: at bar 3 it wants 0 when it is given those",
        ),
    ],
)
def test_a_rule_that_is_wrong_is_refused(rule, lookback, reason):
    parameters = {"rule": f"{RULES}.{rule}", "params": {"fast": 1, "slow": 3}, "lookback": lookback}
    with pytest.raises(AdmfError) as caught:
        directions(ArrayStrategy("s", parameters), bars_of([1, 2, 3, 4, 5, 6]))
    assert reason in str(caught.value)


def test_prices_too_high_for_whole_sums_are_refused():
    with pytest.raises(AdmfError, match="need 64-bit sums or more"):
        directions(MovingAverageCrossover("s", {"fast": 100, "slow": 200}), bars_of([1e6] * 300))


def test_what_cannot_be_compiled_is_refused_with_every_reason(tmp_path):
    broker = {
        "class": "SimulatedBroker",
        "slippage": {"model": "square_root"},
        "commission": {"model": "tiered", "tiers": [{"at_least": 0, "rate": 0.1}]},
        "latency": {"model": "fixed", "ms": 5},
        "intrabar": {"report_ambiguity": True},
    }
    config = a_search(tmp_path, executor="compiled")
    text = config.read_text().replace(
        "  risk_manager:",
        f"  broker: {broker}\n  portfolio: {{class: Portfolio, rates: {{EUR: 1.1}}}}\n  risk_manager:",
    )
    config.write_text(text)
    with pytest.raises(ConfigError) as caught:
        optimize(config)
    places = [fault.partition(": ")[0] for fault in caught.value.faults]
    assert places == [
        "components.broker.slippage.model",
        "components.broker.commission.model",
        "components.broker.latency.model",
        "components.broker.intrabar.report_ambiguity",
        "components.portfolio.rates",
    ]


def test_a_strategy_without_a_compiled_form_is_refused(tmp_path):
    plan = plan_for({"strategy": {"class": "MovingAverageCrossover"}})
    assert refusals(plan) == []
    passthrough = {"strategy": {"class": "MovingAverageCrossover"}, "broker": {"class": "PassthroughBroker"}}
    with pytest.raises(AssertionError):
        plan_for(passthrough)


def test_machine_code_is_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().parent == tmp_path / "admf" / "numba"


def bars_of(closes) -> Bars:
    close = np.array(closes, np.float64)
    return Bars(np.arange(len(close)) * DAY_NS + T0, close, close, close, close, close)


def signals_of(strategy, closes) -> list[tuple[int, int]]:
    bench = Bench(strategy)
    for n, close in enumerate(closes):
        bench.publish(a_bar(n, close, close, close, close))
    return [((signal.ts - T0) // DAY_NS, signal.direction.sign) for signal in bench.of(Signal)]
