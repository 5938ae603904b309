"""The crossover strategy against a reference that computes every average anew."""

from __future__ import annotations

import itertools
import random
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bus.runtime.block import Block
from bus.runtime.clock import Clock
from bus.runtime.settings import RunContext
from components.strategy import MovingAverageCrossover, crossings
from components.strategy.moving_average import CROSSED_ABOVE, CROSSED_BELOW
from schemas import Bar, Direction, Message, Signal
from schemas.codec import canonical
from tests.support.bench import Bench
from tests.support.builders import a_bar


@pytest.fixture(autouse=True, scope="module")
def few_bars_are_looked_at():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossings, "_FEW", 0)
        yield


def signals_of(closes: list[float], fast: int, slow: int, symbol: str = "AAPL") -> list[Signal]:
    bench = Bench(MovingAverageCrossover("strategy", {"fast": fast, "slow": slow}))
    bench.publish(*[a_bar(n, c=close, h=close, low=close, o=close, symbol=symbol) for n, close in enumerate(closes)])
    return bench.of(Signal)


def reference(closes: list[float], fast: int, slow: int) -> list[tuple[int, str]]:
    """Crosses as (index, direction), by exact averages of each window of decimal prices."""
    prices = [Fraction(round(Decimal(repr(close)), 9)) for close in closes]
    found: list[tuple[int, str]] = []
    last_side = 0
    for end in range(slow, len(closes) + 1):
        fast_average = sum(prices[end - fast : end]) / fast
        slow_average = sum(prices[end - slow : end]) / slow
        side = (fast_average > slow_average) - (fast_average < slow_average)
        if side and side == -last_side:
            found.append((end - 1, "BUY" if side > 0 else "SELL"))
        last_side = side or last_side
    return found


def indices(signals: list[Signal]) -> list[tuple[int, str]]:
    return [((signal.ts - a_bar(0).ts) // (a_bar(1).ts - a_bar(0).ts), str(signal.direction)) for signal in signals]


def test_it_buys_when_the_fast_average_crosses_above_and_sells_when_below() -> None:
    signals = signals_of([10, 10, 9, 8, 9, 12, 12, 8, 7], fast=2, slow=3)
    assert indices(signals) == [(5, "BUY"), (7, "SELL")]
    assert [signal.reason for signal in signals] == [CROSSED_ABOVE, CROSSED_BELOW]


def test_averages_that_tie_on_paper_do_not_cross() -> None:
    assert signals_of([9.0, 9.5, 10.3, 10.4, 10.2, 15.0], fast=2, slow=3) == []


def test_a_signal_carries_the_bars_time_symbol_and_close() -> None:
    signal = signals_of([10, 9, 8, 9, 12], fast=2, slow=3)[0]
    assert signal == Signal(a_bar(4).ts, "AAPL", Direction.BUY, 1.0, 12.0, reason=CROSSED_ABOVE)
    assert canonical(signal) == signal
    assert type(signal.price) is type(signal.strength) is float


def test_nothing_is_said_before_slow_bars_nor_of_the_first_side() -> None:
    assert signals_of([5, 4, 3, 9, 10, 11], fast=1, slow=5) == []
    assert signals_of([1, 2, 3, 4, 5, 6, 7], fast=2, slow=3) == []


def test_averages_that_touch_and_part_on_the_same_side_have_not_crossed() -> None:
    assert signals_of([3, 2, 1, 1, 1, 1, 0, 0], fast=1, slow=2) == []
    assert indices(signals_of([3, 2, 1, 1, 1, 1, 2, 2], fast=1, slow=2)) == [(6, "BUY")]


def test_equal_averages_never_cross_by_rounding() -> None:
    # Running sums of floats see these averages, which are equal at every bar, cross by an error in the last digit.
    assert signals_of([130.15, 180.28] * 150, fast=2, slow=6) == []
    assert signals_of([100.1] * 300, fast=10, slow=30) == []


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([0.1, 0.2, 0.3, 1.1, 99.9, 1e-3, 12345.67]) | st.floats(0.01, 1e6), max_size=60),
    st.integers(1, 5),
    st.integers(1, 6),
)
def test_crosses_are_those_of_exact_averages(closes: list[float], fast: int, more: int) -> None:
    assert indices(signals_of(closes, fast, fast + more)) == reference(closes, fast, fast + more)


def test_crosses_are_those_of_numpy_on_a_random_walk() -> None:
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.01, 5_000)))
    fast, slow = (np.convolve(closes, np.ones(n) / n, "valid") for n in (10, 30))
    above = fast[20:] > slow
    expected = [(int(i) + 30, "BUY" if above[i + 1] else "SELL") for i in np.flatnonzero(above[1:] != above[:-1])]
    assert len(expected) > 100
    assert indices(signals_of(closes.tolist(), 10, 30)) == expected


def test_what_came_long_ago_leaves_no_trace() -> None:
    rng = random.Random(3)
    tail = [round(100 + rng.gauss(0, 0.02), 2) for _ in range(300)]
    head = [rng.uniform(1e-3, 1e9) for _ in range(20_000)] + [100.0] * 40
    alone = indices(signals_of(tail, 5, 40))
    after_head = [(n - len(head), way) for n, way in indices(signals_of(head + tail, 5, 40))]
    assert [cross for cross in after_head if cross[0] >= alone[0][0]] == alone
    assert len(alone) > 5


def test_symbols_are_followed_apart() -> None:
    closes = [10, 9, 8, 9, 12]
    bench = Bench(MovingAverageCrossover("strategy", {"fast": 2, "slow": 3}))
    for n, close in enumerate(closes):
        bench.publish(a_bar(n, c=close, symbol="UP"), a_bar(n, c=20 - close, symbol="DOWN"), a_bar(n, symbol="FLAT"))
    assert [(s.symbol, str(s.direction)) for s in bench.of(Signal)] == [("UP", "BUY"), ("DOWN", "SELL")]


def test_symbols_that_are_not_its_own_are_ignored() -> None:
    bench = Bench(MovingAverageCrossover("strategy", {"fast": 2, "slow": 3, "symbols": ["UP"]}))
    for n, close in enumerate([10, 9, 8, 9, 12]):
        bench.publish(a_bar(n, c=close, symbol="UP"), a_bar(n, c=close, symbol="OTHER"))
    assert [s.symbol for s in bench.of(Signal)] == ["UP"]


def test_a_reset_forgets_all_bars() -> None:
    out: list[Message] = []
    strategy = MovingAverageCrossover("strategy", {"fast": 2, "slow": 3})
    strategy.initialize(RunContext(), out.append, Clock())
    on_bar = strategy.handlers()[Bar]
    bars = [a_bar(n, c=close) for n, close in enumerate([10, 9, 8, 9, 12])]
    for _ in range(2):
        for bar in bars:
            on_bar(bar)
        strategy.reset()
    assert len(out) == 2
    assert out[0] == out[1]


@pytest.mark.parametrize("parameters", [{"fast": 30, "slow": 30}, {"fast": 31}, {"fast": 0}, {"speed": 3}])
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=r"must be less than slow|greater than or equal to 1|Extra inputs"):
        MovingAverageCrossover("strategy", parameters)


def bars_of(closes: list[tuple[str, float]]) -> list[Bar]:
    return [a_bar(n, c=close, h=close, low=close, o=close, symbol=symbol) for n, (symbol, close) in enumerate(closes)]


def one_by_one(bars: list[Bar], parameters: dict[str, object]) -> list[Signal]:
    bench = Bench(MovingAverageCrossover("strategy", parameters))
    bench.publish(*bars)
    return bench.of(Signal)


def in_blocks(bars: list[Bar], parameters: dict[str, object], sizes: list[int], looks: list[int]) -> list[Signal]:
    """Signals where bars come as the local bus hands them out: a block where the strategy says it will not answer."""
    bench = Bench(MovingAverageCrossover("strategy", parameters))
    (strategy,) = bench.components
    looks_in_turn = itertools.cycle(looks)
    for size in sizes:
        block, bars, start = Block(bars[:size]), bars[size:], 0
        while start < len(block):
            look = next(looks_in_turn)
            if count := min(look, strategy.unanswered(block, start, look)):
                strategy.on_block(block, start, start + count)
            else:
                count = 1
                bench.publish(block[start])
            start += count
    bench.publish(*bars)
    return bench.of(Signal)


CLOSES = st.integers(95, 105).map(float) | st.sampled_from([9.5, 10.3, 10.4, 0.1, 1e-9])


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from("AAAB"), CLOSES), max_size=120) | st.lists(st.tuples(st.just("A"), CLOSES)),
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from([(), ("A",), ("B", "C")]),
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_bars_in_blocks_give_the_same_signals(closes, fast, more, symbols, sizes, looks) -> None:
    bars, parameters = bars_of(closes), {"fast": fast, "slow": fast + more, "symbols": symbols}
    assert in_blocks(bars, parameters, sizes, looks) == one_by_one(bars, parameters)


def test_blocks_of_several_symbols_are_looked_at_as_a_whole() -> None:
    rng = random.Random(5)
    closes = [(symbol, 100 + rng.gauss(0, 2)) for _ in range(400) for symbol in ("A", "B", "C")]
    bars, parameters = bars_of(closes), {"fast": 3, "slow": 8}
    strategy = Bench(MovingAverageCrossover("strategy", parameters)).components[0]
    for bar in bars[:60]:
        strategy.on_bar(bar)
    expected, block, found = one_by_one(bars, parameters), Block(bars[60:]), []
    at = 0
    while at < len(block):
        count = strategy.unanswered(block, at, len(block))
        strategy.on_block(block, at, at + count)
        at += count
        if at < len(block):
            found.append((block[at].ts, block[at].symbol))
            strategy.on_bar(block[at])
            at += 1
    assert found == [(signal.ts, signal.symbol) for signal in expected if signal.ts >= block[0].ts]
    assert len(found) > 50


@pytest.mark.parametrize("number", range(10))
def test_several_symbols_in_blocks_of_any_size_give_the_same_signals(number) -> None:
    rng = random.Random(number)
    closes = [(rng.choice("AABC"), round(100 + rng.gauss(0, 2), 1)) for _ in range(900)]
    bars, parameters = bars_of(closes), {"fast": 2, "slow": 7}
    sizes = [rng.randrange(20, 80) for _ in range(20)]
    looks = [rng.choice([1, 5, 99]) for _ in range(50)]
    expected = one_by_one(bars, parameters)
    assert in_blocks(bars, parameters, sizes, looks) == expected
    assert {signal.symbol for signal in expected} == {"A", "B", "C"}


def test_a_block_that_was_looked_at_in_vain_is_not_looked_at_for_every_bar() -> None:
    strategy = Bench(MovingAverageCrossover("strategy", {"fast": 2, "slow": 4})).components[0]
    block, looks = Block(bars_of([("A", 10.0), ("B", 20.0)] * 20)), []
    strategy._look_ahead = lambda _bars, start, _symbols: looks.append(start)
    for index, bar in enumerate(block):
        assert strategy.unanswered(block, index, 9) == 0
        strategy.on_bar(bar)
    assert looks == [0, 8, 16, 24, 32]


def test_few_bars_of_many_symbols_are_taken_one_by_one() -> None:
    strategy = Bench(MovingAverageCrossover("strategy", {"fast": 1, "slow": 2})).components[0]
    closes = [(symbol, 10.0 + n) for n in range(10) for symbol in "ABCDEFGH"]
    bars = bars_of(closes)
    for bar in bars[:16]:
        strategy.on_bar(bar)
    assert strategy.unanswered(Block(bars[16:72]), 0, 99) == 0, "seven of each"
    assert strategy.unanswered(Block(bars[16:80]), 0, 99) == 64


def test_most_bars_come_in_blocks() -> None:
    strategy = Bench(MovingAverageCrossover("strategy", {"fast": 2, "slow": 3})).components[0]
    block = Block(a_bar(n, c=close) for n, close in enumerate([10, 11, 12, 13, 14, 15, 16, 8, 7]))
    for bar in block[:3]:
        strategy.on_bar(bar)
    assert strategy.unanswered(block, 3, 9) == 4, "the eighth bar makes them cross"
    assert strategy.unanswered(block, 3, 2) == 4, "it need not look, it knows"


def test_few_bars_of_several_symbols_are_not_looked_at(monkeypatch) -> None:
    monkeypatch.setattr(crossings, "_FEW", 20)
    strategy = Bench(MovingAverageCrossover("strategy", {"fast": 1, "slow": 2})).components[0]
    bars = bars_of([(symbol, 10.0 + n) for n in range(16) for symbol in "AB"])
    for bar in bars[:6]:
        strategy.on_bar(bar)
    block = Block(bars[6:])
    assert [strategy.unanswered(block, start, 99) for start in (6, 7)] == [20, 0]


def test_few_closes_beside_a_long_average_are_taken_one_by_one() -> None:
    strategy = Bench(MovingAverageCrossover("strategy", {"fast": 1, "slow": 80})).components[0]
    bars = bars_of([(symbol, 10.0 + n) for n in range(100) for symbol in "AB"])
    for bar in bars[:160]:
        strategy.on_bar(bar)
    assert strategy.unanswered(Block(bars[160:178]), 0, 99) == 0, "nine of each"
    assert strategy.unanswered(Block(bars[160:180]), 0, 99) == 20


@pytest.mark.parametrize("closes", [[1.0, -(2.0**63) / 1e9, 2.0, 1.0, 2.0, 3.0, 1.0, 2.0, 5.0], [3.0, 2.0, 1e290]])
def test_prices_at_the_edge_of_64_bits_are_taken_one_by_one(closes) -> None:
    bars, parameters = bars_of([("A", close) for close in closes]), {"fast": 1, "slow": 3}
    with np.errstate(all="raise"):
        assert in_blocks(bars, parameters, [3, 9], [1]) == one_by_one(bars, parameters)


def test_prices_too_large_for_64_bits_are_taken_one_by_one() -> None:
    closes = [10.0, 9.0, 8.0, *(1e18 + n for n in range(3)), 3.0, 2.0, 1.0]
    bars, parameters = bars_of([("A", close) for close in closes]), {"fast": 2, "slow": 3}
    assert in_blocks(bars, parameters, [9], [4]) == one_by_one(bars, parameters) != []


def test_blocks_of_symbols_that_it_is_not_told_to_trade_are_let_pass() -> None:
    strategy = Bench(MovingAverageCrossover("strategy", {"fast": 2, "slow": 3, "symbols": ["MSFT"]})).components[0]
    block = Block(a_bar(n) for n in range(5))
    assert strategy.unanswered(block, 0, 9) == 5
    strategy.on_block(block, 0, 5)
    assert strategy.unanswered(Block([a_bar(0), a_bar(0, symbol="MSFT")]), 0, 9) == 0
