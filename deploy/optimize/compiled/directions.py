"""What a strategy wants, bar by bar, of all bars at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from bus.errors import AdmfError
from components.strategy.array_strategy import DIRECTIONS, ArrayStrategy, Bars, find_rule, params_of
from components.strategy.moving_average import MovingAverageCrossover
from deploy.optimize.compiled.jit import compiled
from deploy.optimize.compiled.state import Floats, Ints

_UNITS_PER_PRICE = 1e9
"""As `MovingAverageCrossover` has it: sums of whole numbers are exact."""

_LARGEST = 2.0**62


def directions(strategy: Any, bars: Bars) -> Ints:
    """Of one symbol's bars: +1, -1 or 0 each, as the strategy has them when it sees the bars one by one.

    Raises:
        AdmfError: the rule looks ahead, or gives something else than directions; or prices are too high to be summed.
    """
    if isinstance(strategy, MovingAverageCrossover):
        return _of_averages(strategy, bars.close)
    assert isinstance(strategy, ArrayStrategy)
    return _of_rule(strategy, bars)


def _of_averages(strategy: MovingAverageCrossover, close: Floats) -> Ints:
    fast, slow = strategy.parameters.fast, strategy.parameters.slow
    if not float(np.abs(close).max()) * _UNITS_PER_PRICE * fast * slow < _LARGEST:
        raise AdmfError(
            f"prices up to {close.max():g} with averages of {fast} and {slow} bars need 64-bit sums or more"
        )
    return crossings(close, fast, slow)


@compiled
def crossings(close: Floats, fast: int, slow: int) -> Ints:
    """+1 where the average of the last `fast` closes crosses above that of the last `slow`, -1 below, else 0."""
    found = np.zeros(len(close), np.int64)
    units = np.empty(len(close), np.int64)
    fast_sum, slow_sum, side = 0, 0, 0
    for bar in range(len(close)):
        units[bar] = np.int64(np.rint(close[bar] * _UNITS_PER_PRICE))
        fast_sum += units[bar]
        slow_sum += units[bar]
        if bar >= fast:
            fast_sum -= units[bar - fast]
        if bar >= slow:
            slow_sum -= units[bar - slow]
        if bar + 1 < slow:
            continue
        difference = fast_sum * slow - slow_sum * fast
        if difference != 0:
            before, side = side, 1 if difference > 0 else -1
            if before == -side:
                found[bar] = side
    return found


def _of_rule(strategy: ArrayStrategy, bars: Bars) -> Ints:
    parameters = strategy.parameters
    rule, params = find_rule(parameters.rule), params_of(parameters.params)
    found = _checked(str(parameters.rule), rule(bars, params), len(bars.ts))
    _refuse_foresight(strategy, rule, params, bars, found)
    return found


def _refuse_foresight(strategy: ArrayStrategy, rule: Any, params: Any, bars: Bars, found: Ints) -> None:
    """Ask again about the first two thirds, and about the last `lookback` of them: the answers must be the same."""
    name, back = str(strategy.parameters.rule), strategy.parameters.bars_back
    seen = -(-2 * len(bars.ts) // 3)
    early = _checked(name, rule(_part(bars, slice(seen)), params), seen)
    if not np.array_equal(early, found[:seen]):
        bar = int(np.flatnonzero(early != found[:seen])[0])
        raise AdmfError(
            f"{name} looks ahead: at bar {bar} it wants {early[bar]} when it has seen {seen} bars, and {found[bar]} "
            f"when it has seen {len(found)}"
        )
    if back is not None and back < seen:
        window = _checked(name, rule(_part(bars, slice(seen - back, seen)), params), back)
        if window[-1] != found[seen - 1]:
            raise AdmfError(
                f"{name} needs more than its lookback of {back} bars: at bar {seen - 1} it wants {window[-1]} when it "
                f"is given those, and {found[seen - 1]} with all that there were"
            )


def _part(bars: Bars, rows: slice) -> Bars:
    return Bars._make(column[rows] for column in bars)


def _checked(name: str, found: Any, size: int) -> Ints:
    array = np.asarray(found)
    if array.shape != (size,):
        raise AdmfError(f"{name} gave an array of shape {array.shape} for {size} bars; it is to have one value a bar")
    whole = array.astype(np.int64)
    if not (np.array_equal(whole, array) and np.isin(whole, DIRECTIONS).all()):
        raise AdmfError(f"{name} gave something else than 1 (long), -1 (out, or short) and 0 (as before)")
    return whole
