"""Exact sums of many floats at the speed of arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MOST_PARTS: Final = 4
_HUGE: Final = 2.0**900
"""From here on parts might overflow."""


@dataclass
class ExactSum:
    """Number and sum of values that come in blocks, exact over all of them: the same in whatever blocks they come."""

    count: int = 0
    _parts: list[float] = field(default_factory=list)

    def add(self, values: NDArray[np.float64]) -> None:
        """Take in more values."""
        self.count += len(values)
        self._parts += exact_parts(values)

    def total(self) -> float:
        """The sum, rounded once; 0.0 of nothing."""
        return math.fsum(self._parts)

    def mean(self) -> float:
        """The arithmetic mean; 0.0 of nothing."""
        return self.total() / self.count if self.count else 0.0


def exact_sum(values: NDArray[np.float64]) -> float:
    """The exact sum, rounded once: what `math.fsum` gives."""
    return math.fsum(exact_parts(values))


def exact_parts(values: NDArray[np.float64]) -> list[float]:
    """A few numbers, or of values that are too different all of them, with exactly the same sum.

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
            return parts
        if not largest < _HUGE:
            break
        power = math.ldexp(1.0, math.frexp(largest)[1] + enough)
        leading = (values + power) - power
        parts.append(float(leading.sum()))
        values = values - leading
    return [*parts, *values.tolist()]
