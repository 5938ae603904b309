"""Exact sums of many floats at the speed of arrays."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MOST_PARTS: Final = 4
_HUGE: Final = 2.0**900
"""From here on parts might overflow."""


def exact_sum(values: NDArray[np.float64]) -> float:
    """The exact sum, rounded once: what `math.fsum` gives.

    Error-free extraction (Rump, Ogita and Oishi 2008, "Accurate floating-point summation", algorithm 3.2): adding and
    taking away a power of two that is large enough leaves of each value a leading part, of so few bits that these sum
    up without rounding, in whatever order an array library adds them. What is left over is small, and goes the same
    way; after a few turns it is nothing.
    """
    parts: list[float] = []
    enough = math.frexp(len(values) + 2)[1]
    while len(parts) < _MOST_PARTS:
        largest = float(np.abs(values).max(initial=0.0))
        if largest == 0.0:
            return math.fsum(parts)
        if not largest < _HUGE:
            break
        power = math.ldexp(1.0, math.frexp(largest)[1] + enough)
        leading = (values + power) - power
        parts.append(float(leading.sum()))
        values = values - leading
    return math.fsum((*parts, *values.tolist()))
