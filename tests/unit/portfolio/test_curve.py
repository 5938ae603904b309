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
runs = st.tuples(amounts, st.booleans(), st.lists(st.tuples(amounts, st.floats(0, 10)), max_size=9), st.booleans())


@given(st.lists(runs, max_size=12), st.integers(1, 5))
def test_points_are_what_they_were_whenever_they_are_taken(story, size):
    curve, expected, taken = Curve(size), [], []
    for cash, held, points, checkpoint in story:
        for value, hedge in points:
            net, gross = (value, abs(value) + hedge) if held else (0.0, 0.0)
            expected.append((len(expected), cash + net, cash, gross, net))
            if held:
                curve.add(len(expected) - 1, gross, net)
            else:
                curve.times.append(len(expected) - 1)
        curve.settle(cash, held)
        if checkpoint:
            taken += curve.take_blocks()
            assert len(curve.times) < size
    assert all(len(points_of([block])) == size for block in taken)
    assert points_of(taken + curve.take_blocks(rest=True)) == expected
    assert curve.take_blocks(rest=True) == []


def test_of_nothing_there_is_nothing_to_take():
    curve = Curve()
    curve.settle(100.0, held=False)
    assert curve.take_blocks(rest=True) == []


def test_the_value_of_nothing_has_no_sign():
    curve = Curve()
    curve.add(1, 0.0, -0.0)
    curve.settle(100.0, held=True)
    [(*_, gross, net)] = points_of(curve.take_blocks(rest=True))
    assert (str(gross), str(net)) == ("0.0", "0.0")
