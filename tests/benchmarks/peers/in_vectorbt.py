"""The workloads in vectorbt: compiled beforehand, whole arrays at once. No resting orders, so no W3."""

from __future__ import annotations

from typing import Any

import numpy as np
import vectorbt as vbt

from tests.benchmarks.bars import columns
from tests.benchmarks.peers.common import CASH, FAST, PAIRS, QUANTITY, SLOW, clocked, serve


def empty(opened: np.ndarray, close: np.ndarray) -> Any:
    """W4."""
    return vbt.Portfolio.from_orders(close, size=np.nan, price=opened, init_cash=CASH)


def crossover(opened: np.ndarray, close: np.ndarray) -> Any:
    """W1."""
    return _crossovers(opened, close, [(FAST, SLOW)])


def turns(opened: np.ndarray, close: np.ndarray) -> Any:
    """W2."""
    size = np.where(np.arange(len(close)) % 2 == 1, QUANTITY, -QUANTITY).astype(float)
    size[0] = np.nan
    return vbt.Portfolio.from_orders(close, size=size, price=opened, init_cash=CASH)


def sweep(opened: np.ndarray, close: np.ndarray) -> Any:
    """W5."""
    return _crossovers(opened, close, PAIRS)


def _crossovers(opened: np.ndarray, close: np.ndarray, pairs: list[tuple[int, int]]) -> Any:
    fast, slow = map(list, zip(*pairs, strict=True))
    quick, calm = vbt.MA.run(close, fast, short_name="fast"), vbt.MA.run(close, slow, short_name="slow")
    entries, exits = (_next_bar(quick.ma_crossed_above(calm)), _next_bar(quick.ma_crossed_below(calm)))
    return vbt.Portfolio.from_signals(
        close[:, None], entries, exits, size=QUANTITY, price=opened[:, None], init_cash=CASH
    )


def _next_bar(decided: Any) -> np.ndarray:
    """What is decided at a close is done at the next open."""
    signals = decided.to_numpy().reshape(len(decided), -1)
    return np.vstack([np.zeros_like(signals[:1]), signals[:-1]])


WORKLOADS = {"W4": empty, "W1": crossover, "W2": turns, "W5": sweep}


def run(workload: str, count: int) -> dict[str, Any]:
    """CPU seconds from arrays to the final values; of W5 wall seconds."""
    bars = columns(count)
    function = WORKLOADS[workload]

    def whole() -> Any:
        portfolio = function(bars.open, bars.close)
        portfolio.final_value()
        return portfolio

    whole()  # compiles
    cpu_s, wall_s, portfolio = clocked(whole)
    fills = int(np.sum(portfolio.orders.count()))
    return {"cpu_s": cpu_s, "fills": fills} | ({"wall_s": wall_s} if workload == "W5" else {})


if __name__ == "__main__":
    serve(run)
