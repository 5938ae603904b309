"""A run in several symbols in which bars are looked ahead of is the run bar by bar: the same log and states.

`python -m tests.golden.test_several_symbols 1000 2000` looks for more runs that differ.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from components.broker import SimulatedBroker, feed
from components.strategy import MovingAverageCrossover
from deploy import express
from deploy.run_folder import COMPLETED
from tests.golden.test_express import outcome_of, search, topology_of


def bars_of(dice: Random, times: int) -> str:
    """A CSV file of bars of up to six symbols, which all come at the same times or miss some; some after a gap."""
    lines, ts = ["timestamp,symbol,open,high,low,close,volume"], 1_600_000_000
    closes = dict.fromkeys(["AAPL", "B", "MSFT", "C", "D", "LONGER"][: dice.randint(1, 6)], 100.0)
    misses = dice.choice([0.0, 0.0, 0.1, 0.5])
    for _ in range(times):
        ts += dice.choice([60, 60, 60, 60, 120, 80_000])
        for symbol, last in closes.items():
            if dice.random() < misses:
                continue
            opened = round(last + dice.uniform(-0.3, 0.3), 2)
            closes[symbol] = close = max(1.0, round(opened + dice.uniform(-1, 1), 2))
            high, low = max(opened, close) + dice.random(), min(opened, close) - dice.random()
            volume = dice.choice([0, 90, 9_000, 9_000, 9_000])
            lines.append(f"{ts},{symbol},{opened},{high:.2f},{low:.2f},{close},{volume}")
    return "\n".join(lines)


def content_of(dice: Random, folder: Path) -> dict[str, Any]:
    """A topology by dice: signals for resting orders and brackets too, in few bars or many."""
    content = topology_of(dice, folder)
    strategy = content["components"]["strategy"]
    if "often" in strategy:
        often, twice = dice.choice([0.01, 0.05, 0.3]), dice.choice([0.0, 0.0, 0.5])
        strategy |= {"often": often, "odd": dice.choice([0.0, 0.5]), "twice": twice}
    content["components"]["data_handler"]["block_size"] = dice.choice([64, 512, 2048])
    return content


def outcomes(number: int, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the run that these dice give leaves behind, looked ahead of and bar by bar."""
    dice = Random(number)
    (folder / "bars.csv").write_text(bars_of(dice, dice.randint(50, 500)))
    content = content_of(dice, folder)
    found = outcome_of(content, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(express, "express_of", lambda _wiring: None)
        patch.setattr(SimulatedBroker, "unanswered", None)
        patch.setattr(MovingAverageCrossover, "unanswered", None)
        return found, outcome_of(content, folder)


def differing(number: int, folder: Path) -> list[str]:
    """What differs between the two."""
    found, expected = outcomes(number, folder)
    return [what for what, value in expected.items() if found[what] != value]


@pytest.mark.parametrize("number", range(16))
def test_bars_of_several_symbols_may_be_looked_ahead_of(number, tmp_path):
    assert differing(number, tmp_path) == []


def test_these_runs_fill_orders_and_are_looked_ahead_of(tmp_path, monkeypatch):
    told: list[int] = []

    def counted(*arguments: Any) -> int:
        told.append(untouched(*arguments))
        return told[-1]

    untouched = feed._untouched_of_many
    monkeypatch.setattr(feed, "_untouched_of_many", counted)
    fills = 0
    for number in range(4):
        found, _ = outcomes(number, tmp_path)
        assert found["status"] == COMPLETED
        fills += found["orders"]["filled"]
    assert fills > 50
    assert sum(told) > 200


if __name__ == "__main__":
    search(differing)
