"""The bars that every benchmark runs on, as columns; needs nothing but numpy, so that peers have the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

SYMBOL: Final = "SYN"
MINUTE_NS: Final = 60_000_000_000
START_NS: Final = 1_577_923_200_000_000_000
BLOCK: Final = 4096

_STEP: Final = 0.05
_HOME: Final = 100.0
_SEED: Final = 7


class Columns(NamedTuple):
    """One-minute bars: `ts` is when each closes (ns UTC), prices are whole cents."""

    ts: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray


def blocks(count: int) -> Iterator[Columns]:
    """The first `count` bars in blocks: a seeded random walk in steps of five cents.

    In every block it drifts half the way back to 100, so that ten million bars have prices as a hundred thousand do.
    """
    last = _HOME
    for number, first in enumerate(range(0, count, BLOCK)):
        draw = np.random.default_rng((_SEED, number))
        steps = draw.normal((_HOME - last) / 2 / BLOCK, _STEP, BLOCK)
        close = np.round(last + np.cumsum(steps), 2)
        opened = np.concatenate(([last], close[:-1]))
        high = np.round(np.maximum(opened, close) + 0.02, 2)
        low = np.round(np.minimum(opened, close) - 0.02, 2)
        volume = np.floor(10_000 + np.abs(draw.normal(0.0, 1000.0, BLOCK)))
        ts = START_NS + MINUTE_NS * np.arange(first, first + BLOCK, dtype=np.int64)
        last = float(close[-1])
        yield Columns(*(column[: count - first] for column in (ts, opened, high, low, close, volume)))


def columns(count: int) -> Columns:
    """The first `count` bars at once."""
    return Columns(*(np.concatenate(parts) for parts in zip(*blocks(count), strict=True)))
