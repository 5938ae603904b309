"""What a run keeps of a trade: no object while it goes on, and next to nothing when its results are written."""

from __future__ import annotations

import errno
import json
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from bus.errors import EXIT_FAILED
from bus.runtime.component import Component, handles
from deploy import trades
from deploy.launcher import RunResult, launch
from deploy.plan import Placement, plan_of
from deploy.run_folder import COMPLETED, FAILED
from deploy.trades import TOGETHER
from schemas import Bar, ClosedTrade, Direction, Signal
from tests.benchmarks.workloads import PARTS, content

WITHOUT_TABLES = ["manifest.json", "results.json", "topology.yaml"]
BARS_BETWEEN = 1024
"""Bars between two calls of the progress."""


class TradeEveryBar(Component):
    """Says that a trade was closed with every bar, so that nothing but trades can take memory."""

    component_type = "strategy"
    emits = (Signal, ClosedTrade)

    def reset(self) -> None:
        self.trades = 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.trades += 1
        number, pnl = self.trades, bar.close - bar.open
        times_and_prices = (bar.ts - 7, bar.open, bar.ts, bar.close, pnl, 0.1, 0.2)
        ids = (f"fill-{number}", f"fill-{number + 1}")
        self.emit(ClosedTrade(f"trade-{number}", bar.symbol, Direction.BUY, 1.0, *times_and_prices, *ids))


def launched(folder: Path, bars: int, progress: Callable[[int, int], None] | None = None) -> RunResult:
    source = {"class": f"{PARTS}.MinuteBars", "count": bars}
    made = content(folder, {"data_handler": source, "strategy": {"class": f"{__name__}.TradeEveryBar"}})
    return launch(plan_of(made, folder / "memory.yaml", Placement.LOCAL), progress)


def a_run(folder: Path, bars: int, progress: Callable[[int, int], None]) -> None:
    result = launched(folder, bars, progress)
    assert (result.status, len(result.trades)) == (COMPLETED, bars), result.error


def test_no_object_is_kept_of_a_trade_while_a_run_goes_on(tmp_path):
    early, late = 8 * BARS_BETWEEN, 40 * BARS_BETWEEN
    blocks: dict[int, int] = {}

    def count(sent: int, _total: int) -> None:
        blocks[sent] = sys.getallocatedblocks()

    a_run(tmp_path, late, count)
    assert (blocks[late] - blocks[early]) / (late - early) < 0.2


def test_a_run_without_room_for_its_trades_fails_and_leaves_those_that_it_has(tmp_path, monkeypatch):
    def refuse(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trades, "_IN_MEMORY", 3)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    result = launched(tmp_path, 5 * TOGETHER)
    assert (result.status, result.exit_code) == (FAILED, EXIT_FAILED)
    assert result.error.startswith(f"{result.run_dir}: cannot write the trades of the run into a file: No space left")
    left = json.loads((Path(result.run_dir) / "results.json").read_text())
    assert [trade["trade_id"] for trade in left["trades"]] == [f"trade-{n + 1}" for n in range(3 * TOGETHER)]
    assert sorted(path.name for path in Path(result.run_dir).iterdir()) == WITHOUT_TABLES


def peak_at_the_end(folder: Path, bars: int) -> int:
    """Bytes that are taken at most from the last bar on."""

    def begin(sent: int, total: int) -> None:
        if sent == total:
            tracemalloc.start()

    try:
        a_run(folder, bars, begin)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_writing_the_results_takes_little_memory_for_a_trade(tmp_path):
    few, many = 4 * BARS_BETWEEN, 20 * BARS_BETWEEN
    peak_at_the_end(tmp_path, 1)  # which imports
    grown = peak_at_the_end(tmp_path, many) - peak_at_the_end(tmp_path, few)
    assert grown / (many - few) < 250
