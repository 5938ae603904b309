"""Exact sums: what `math.fsum` gives, for whatever floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.coordinator.exact import ExactSum, exact_sum

finite = st.floats(-1e290, 1e290)
scales = st.sampled_from([1e-320, 1e-300, 1e-17, 1.0, 1e5, 1e200])


@given(st.lists(finite, max_size=60), st.booleans())
def test_it_is_the_exact_sum(values, cancel):
    values = values + [-value for value in values[1:]] if cancel else values
    assert exact_sum(np.array(values, dtype=np.float64)) == math.fsum(values)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5000), scales, st.integers(0, 60))
def test_it_is_exact_however_many_and_however_different_they_are(seed, count, scale, decades):
    random = np.random.default_rng(seed)
    values = random.normal(size=count) * scale * 10.0 ** random.integers(-decades, decades + 1, size=count)
    assert exact_sum(values) == math.fsum(values.tolist())


@pytest.mark.parametrize("values", [[], [0.0, -0.0], [1e308, -1e308, 1.0], [math.inf, 1.0], [5e-324] * 3])
def test_odd_values_are_summed_as_well(values):
    found = exact_sum(np.array(values, dtype=np.float64))
    assert (found, math.copysign(1.0, found)) == (math.fsum(values), 1.0)


@given(st.lists(finite, max_size=60), st.integers(1, 9))
def test_it_is_the_same_in_whatever_blocks_they_come(values, size):
    found = ExactSum()
    for start in range(0, len(values), size):
        found.add(np.array(values[start : start + size]))
    assert (found.count, found.total()) == (len(values), math.fsum(values))
    assert found.mean() == (math.fsum(values) / len(values) if values else 0.0)


def test_what_is_no_number_is_none():
    assert math.isnan(exact_sum(np.array([1.0, math.nan])))


def test_the_values_stay_as_they_are():
    values = np.array([0.1, 0.2, 0.3])
    exact_sum(values)
    assert values.tolist() == [0.1, 0.2, 0.3]
