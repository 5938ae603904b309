"""Rules for `ArrayStrategy`, right ones and wrong ones."""

from __future__ import annotations

import numpy as np


def crossover(bars, params):
    """Long while the mean of the last `fast` closes is above that of the last `slow`, out (or short) while below."""
    sums = np.concatenate(([0.0], np.cumsum(np.round(bars.close * 1e6))))
    wants = np.zeros(len(bars.close), np.int64)
    first = params.slow - 1
    if len(wants) > first:
        fast = sums[params.slow :] - sums[params.slow - params.fast : len(sums) - params.fast]
        slow = sums[params.slow :] - sums[: len(sums) - params.slow]
        wants[first:] = np.sign(fast * params.slow - slow * params.fast)
    return wants


def by_last_digit(bars, params):
    """Something that changes its mind often, and has no opinion now and then."""
    return (np.round(bars.close * 100).astype(np.int64) + params.shift) % 3 - 1


def tomorrow(bars, _params):
    """Long before a rise: it looks ahead."""
    return np.append(np.where(np.diff(bars.close) > 0, 1, -1), 0)


def too_few(bars, _params):
    """Not one value a bar."""
    return np.zeros(len(bars.close) + 1)


def too_much(bars, _params):
    """Not a direction."""
    return np.full(len(bars.close), 2)
