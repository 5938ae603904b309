"""Python's exact rounding of decimals, compiled."""

from __future__ import annotations

import math

import numpy as np

from deploy.optimize.compiled.jit import compiled

EXACT = 2.0**53
"""Below this every whole number is a float."""

_SPLITTER = 2.0**27 + 1.0
_POWERS = np.array([float(f"1e{n}") for n in range(23)])
"""Those powers of ten that are floats exactly."""


@compiled
def rounded(value: float, places: int) -> float:
    """`round(value, places) + 0.0`, bit for bit, for 0 to 22 places.

    The product with a power of ten is taken with its rounding error (Dekker), so that ties are seen where they are, and
    only there. Where the product is no exact whole number any more, floats lie further apart than the places.
    """
    scale = _POWERS[places]
    product = value * scale
    if not abs(product) < EXACT:
        return value + 0.0
    value_high = _high(value)
    scale_high = _high(scale)
    value_low = value - value_high
    scale_low = scale - scale_high
    error = ((value_high * scale_high - product) + value_high * scale_low + value_low * scale_high) + (
        value_low * scale_low
    )
    whole = np.floor(product)
    beyond_half = (product - whole - 0.5) + error
    if beyond_half > 0 or (beyond_half == 0 and whole % 2 != 0):
        whole += 1.0
    return whole / scale + 0.0


@compiled
def _high(value: float) -> float:
    """The upper half of the value's bits."""
    part = _SPLITTER * value
    return part - (part - value)


@compiled
def tidy(value: float) -> float:
    """As the broker's `tidy`."""
    return rounded(value, 10)


@compiled
def tidy_difference(difference: float, price: float) -> float:
    """A difference of prices, without the dust of binary fractions, which is small beside the price."""
    places = 10
    if price != 0:
        places -= min(math.floor(math.log10(abs(price))), 0)
    return rounded(difference, places)


@compiled
def steps(count: float, units: float, scale: float) -> float:
    """`count` steps of the decimal number units / scale, as the float that is nearest to it."""
    return count * units / scale + 0.0
