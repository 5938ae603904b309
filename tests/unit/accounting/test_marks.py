"""What a quote says about the value of a unit."""

from __future__ import annotations

import pytest

from components.accounting.marks import middle
from schemas import Quote
from tests.support.builders import T0


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        ((99.0, 5.0), (101.0, 1.0), 100.0),
        ((99.0, 0.0), (101.0, 0.0), 100.0),  # sizes are not known
        ((-38.0, 5.0), (-36.0, 5.0), -37.0),
        ((0.0, 5.0), (0.5, 5.0), 0.25),  # somebody does bid nothing
        ((0.0, 0.0), (101.0, 1.0), None),
        ((99.0, 1.0), (0.0, 0.0), None),
        ((0.0, 0.0), (0.0, 0.0), None),
    ],
)
def test_a_quote_has_a_middle_when_it_has_two_sides(
    bid: tuple[float, float], ask: tuple[float, float], expected: float | None
) -> None:
    assert middle(Quote(T0, "AAPL", *bid, *ask)) == expected
