"""A run does not depend on the size of the blocks in which its data come."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from deploy.launcher import launch
from deploy.plan import plan_of
from deploy.run_folder import COMPLETED
from schemas.codec import to_builtins

BARS = 9_000


@cache
def csv_text() -> str:
    rng, close, lines = Random(7), 100.0, ["timestamp,symbol,open,high,low,close,volume"]
    for minute in range(BARS):
        opened, close = close, round(close + rng.uniform(-1, 1), 2)
        high, low = max(opened, close), min(opened, close)
        lines.append(f"{1_600_000_000 + 60 * minute},AAPL,{opened},{high},{low},{close},100000")
    return "\n".join(lines)


@pytest.fixture(autouse=True)
def checkpoints(monkeypatch):
    monkeypatch.setattr("bus.conductor.CHECKPOINT_EVERY", 4096)


@cache
def outcome(block_size: int, capture: str) -> tuple[Any, ...]:
    with TemporaryDirectory() as folder:
        (Path(folder) / "bars.csv").write_text(csv_text())
        data = {"class": "HistoricalDataHandler", "path": f"{folder}/bars.csv", "block_size": block_size}
        content = {
            "bus": {"capture": capture, "run_dir": folder},
            "backtest": {"close_at_end": "next_open"},
            "components": {
                "data_handler": data,
                "strategy": {"class": "MovingAverageCrossover", "fast": 3, "slow": 8},
                "risk_manager": {"class": "RiskStub", "quantity": 10},
            },
        }
        result = launch(plan_of(content, Path(folder) / "topology.yaml"))
        assert result.status == COMPLETED, result.error
        return result.counts, result.statistics, [to_builtins(trade) for trade in result.trades]


@pytest.mark.parametrize("block_size", [1000, 3000, 4095, 4097, 100_000])
@pytest.mark.parametrize("capture", ["none", "digest"])
def test_trades_and_statistics_are_the_same(block_size, capture):
    """Blocks are cut where checkpoints come, so some of these reach the bus in parts."""
    expected = outcome(1, "none")
    assert len(expected[2]) > 300
    assert outcome(block_size, capture) == expected
