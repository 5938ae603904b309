"""The equity curve: whenever its points are taken, and however they came, they are the same points."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from components.portfolio.curve import Curve
from schemas.codec import to_builtins


def points_of(blocks):
    """Tuples of ts, equity, cash, exposure, net exposure."""
    return [point for block in blocks for point in zip(*to_builtins(block).values(), strict=True)]


amounts = st.floats(-1e6, 1e6)
runs = st.tuples(
    amounts,
    st.sampled_from(["flat", "valued", "priced"]),
    st.lists(st.tuples(amounts, st.floats(0, 10)), max_size=9),
    st.booleans(),
)
QUANTITY, POINT_VALUE = -3.7, 0.3
FACTORS = {"flat": (0.0, 0.0), "valued": (1.0, 1.0), "priced": (QUANTITY, POINT_VALUE)}


@given(st.lists(runs, max_size=12), st.integers(1, 5))
def test_points_are_what_they_were_whenever_they_are_taken(story, size):
    curve, expected, taken = Curve(0.0, size), [], []
    curve.times.append(0)
    for cash, kind, points, checkpoint in story:
        curve.runs += (len(curve.times), cash, *FACTORS[kind])
        for value, hedge in points:
            net = gross = 0.0
            if kind == "valued":
                net, gross = value, abs(value) + hedge
                curve.add(gross, net)
            elif kind == "priced":
                net = QUANTITY * value * POINT_VALUE
                gross = abs(net)
                curve.values.append(value)
            expected.append((len(expected), cash + net, cash, gross, net))
            curve.times.append(len(expected))
        if checkpoint:
            taken += curve.take_blocks()
            assert len(curve.times) <= size
    assert all(len(points_of([block])) == size for block in taken)
    assert points_of(taken + curve.take_blocks(rest=True)) == expected
    assert curve.take_blocks(rest=True) == []


def test_of_nothing_there_is_nothing_to_take():
    assert Curve(100.0).take_blocks(rest=True) == []


def test_the_value_of_nothing_has_no_sign():
    curve = Curve(100.0)
    curve.times.append(1)
    curve.runs += (1, 100.0, 1.0, 1.0)
    curve.add(0.0, -0.0)
    curve.times.append(2)
    [(*_, gross, net)] = points_of(curve.take_blocks(rest=True))
    assert (str(gross), str(net)) == ("0.0", "0.0")


def test_runs_without_a_point_are_forgotten():
    curve = Curve(100.0, 5)
    curve.times.append(1)
    for cash in range(50):
        curve.runs += (1, float(cash), 1.0, 1.0)
    assert curve.take_blocks() == []
    assert curve.runs == [1, 49.0, 1.0, 1.0]
