"""Latency models: their range, their kinds, their determinism."""

from __future__ import annotations

import math
import statistics
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.models.latency import LatencyConfig, make_latency


def delays(n=200, kind="order", seed=1, **config):
    model = make_latency(LatencyConfig(**config))
    rng = Random(seed)
    return [model.delay_ns(kind, rng) for _ in range(n)]


def test_by_default_there_is_no_latency():
    assert delays(3) == [0, 0, 0]


def test_a_fixed_latency_is_in_milliseconds():
    assert delays(2, model="fixed", ms=1.5) == [1_500_000, 1_500_000]


@pytest.mark.parametrize(("kind", "expected"), [("order", 10), ("amend", 20), ("cancel", 5)])
def test_amendments_and_cancellations_have_factors_of_their_own(kind, expected):
    assert delays(1, kind, model="fixed", ms=10, amend_factor=2, cancel_factor=0.5) == [expected * 1_000_000]


@given(st.integers(), st.floats(0, 100), st.floats(0, 100))
def test_a_uniform_latency_stays_between_its_bounds(seed, low, width):
    [delay] = delays(1, seed=seed, model="uniform", low_ms=low, high_ms=low + width)
    assert low * 1e6 - 1 <= delay <= (low + width) * 1e6 + 1


def test_half_of_the_lognormal_latencies_are_below_the_median():
    drawn = delays(4000, model="lognormal", median_ms=5.0, sigma=0.5)
    assert statistics.median(drawn) == pytest.approx(5_000_000, rel=0.05)
    assert statistics.stdev(math.log(d) for d in drawn) == pytest.approx(0.5, rel=0.05)


def test_equal_seeds_give_equal_latencies():
    config = {"model": "lognormal", "median_ms": 5.0}
    assert delays(seed=7, **config) == delays(seed=7, **config) != delays(seed=8, **config)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"model": "slow"}, "unknown latency model 'slow'; known are fixed, lognormal, none, uniform"),
        ({"model": "fixed"}, "ms: Field required"),
        ({"model": "fixed", "ms": -1}, "ms: Input should be greater than or equal to 0"),
        ({"model": "uniform", "low_ms": 3, "high_ms": 2}, "low_ms 3.0 is above high_ms 2.0"),
    ],
)
def test_a_latency_that_makes_no_sense_is_refused(config, text):
    with pytest.raises(ValidationError, match=text):
        LatencyConfig(**config)
