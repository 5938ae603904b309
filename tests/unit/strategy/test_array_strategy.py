"""The strategy that is one function of arrays, bar by bar."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from bus.runtime.settings import RunContext
from components.strategy.array_strategy import ArrayStrategy
from schemas import Direction, Signal
from tests.support.bench import Bench
from tests.support.builders import a_bar

RULES = "tests.support.array_rules"
CROSSOVER = {"rule": f"{RULES}.crossover", "params": {"fast": 1, "slow": 3}}


def signals(strategy: ArrayStrategy, closes: list[float], symbol: str = "AAPL") -> list[tuple[int, Direction]]:
    bench = Bench(strategy)
    found = []
    for n, close in enumerate(closes):
        said = bench.publish(a_bar(n, close, close, close, close, symbol=symbol))
        found += [(n, signal.direction) for signal in said if isinstance(signal, Signal)]
    return found


def test_it_signals_each_direction_that_is_new():
    closes = [5.0, 4.0, 3.0, 4.0, 5.0, 6.0, 3.0, 2.0]
    found = signals(ArrayStrategy("s", CROSSOVER), closes)
    assert found == [(2, Direction.SELL), (3, Direction.BUY), (6, Direction.SELL)]


def test_the_signal_has_the_price_and_the_time_of_its_bar():
    bench = Bench(ArrayStrategy("s", CROSSOVER))
    bench.publish(*(a_bar(n, c=close, h=9, low=1) for n, close in enumerate([1.0, 2.0, 3.0])))
    (signal,) = bench.of(Signal)
    assert (signal.price, signal.ts, signal.reason) == (3.0, a_bar(2).ts, "array rule")


@pytest.mark.parametrize("lookback", [None, 3, "slow"])
def test_the_rule_never_sees_more_than_its_lookback_nor_a_later_bar(monkeypatch, lookback):
    import tests.support.array_rules as rules

    seen = []

    def spy(bars, params):
        seen.append(bars.close.tolist())
        return np.zeros(len(bars.close))

    monkeypatch.setattr(rules, "crossover", spy)
    closes = [float(n) for n in range(1, 3001)]
    signals(ArrayStrategy("s", {**CROSSOVER, "lookback": lookback}), closes[: 3000 if lookback else 100])
    back = 3 if lookback else len(seen)
    assert seen == [closes[max(0, n + 1 - back) : n + 1] for n in range(len(seen))]


def test_symbols_have_histories_of_their_own_and_others_are_left_alone():
    strategy = ArrayStrategy("s", {**CROSSOVER, "symbols": ["MSFT"]})
    assert signals(strategy, [1.0, 2.0, 3.0], "AAPL") == []
    assert signals(strategy, [1.0, 2.0, 3.0], "MSFT") == [(2, Direction.BUY)]


def test_what_is_no_direction_is_an_error():
    with pytest.raises(ValueError, match=r"too_much wants 2; it may want 1 \(long\), -1"):
        signals(ArrayStrategy("s", {"rule": f"{RULES}.too_much"}), [1.0])


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({}, "rule: is missing; name a function"),
        ({"rule": "nowhere.to_be_found"}, "rule: 'nowhere.to_be_found' is not a function that can be found"),
        ({"rule": f"{RULES}.np"}, f"rule: '{RULES}.np' is not a function that can be found"),
    ],
)
def test_a_rule_that_is_not_there_is_a_fault_of_the_configuration(parameters, fault):
    (found,) = ArrayStrategy("s", parameters).faults(RunContext())
    assert found.startswith(fault)


@pytest.mark.parametrize("lookback", ["medium", 0, "fast"])
def test_a_lookback_that_is_no_number_of_bars_is_refused(lookback):
    with pytest.raises(ValidationError, match="lookback is"):
        ArrayStrategy("s", {"rule": f"{RULES}.crossover", "params": {"fast": 0.5}, "lookback": lookback})
