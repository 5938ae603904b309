"""A run whose plain orders are taken together is the run of single messages: the same log, results and states.

`python -m tests.golden.test_express 1000 2000` looks for more runs that differ.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from bus.log_reader import LogReader
from bus.runtime.component import Component, Parameters, handles
from deploy import express
from deploy.launcher import launch
from deploy.plan import plan_of
from deploy.run_folder import COMPLETED
from schemas import Bar, Direction, OrderType, Signal, TimeInForce
from schemas.codec import to_builtins
from tests.support.states import state_of

STRATEGY = "tests.golden.test_express.Whimsical"
NOT_STATE = frozenset({"context", "emit", "parameters", "lock", "_plain", "_resting", "_filled", "curve"})
"""What is not, or is kept in another way by another name, which other things tell: `statistics`, the curve's points."""
CHECKPOINTS = (100, 1000, 32_768)
"""How many bars are between two."""
LEVELS = frozenset({"_heap", "_orders"})
"""Where orders wait for prices: told by the orders that all prices reach, in the order in which they are reached."""


class Whimsical(Component):
    """Signals by dice, as often and of such kinds as its parameters say."""

    class Parameters(Parameters):
        seed: int = 0
        often: float = 0.5
        odd: float = 0.0
        """How often a signal is not for a plain order."""
        twice: float = 0.0
        sizes: tuple[float | None, ...] = (None,)
        reasons: tuple[str, ...] = ("",)
        turns: bool = False
        """Whether it signals BUY and SELL in turn."""
        fails_at: int = -1

    component_type = "strategy"
    emits = (Signal,)

    def reset(self) -> None:
        self.dice = Random(self.parameters.seed)
        self.bars = 0
        self.buys = False

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        parameters, dice = self.parameters, self.dice
        if self.bars == parameters.fails_at:
            raise ValueError("it had to be")
        self.bars += 1
        assert self.clock.now_ns == bar.ts
        if dice.random() < parameters.often:
            self.signal(bar)
            if dice.random() < parameters.twice:
                self.signal(bar)

    def signal(self, bar: Bar) -> None:
        parameters, dice = self.parameters, self.dice
        self.buys = not self.buys if parameters.turns else dice.random() < 0.5
        direction = Direction.BUY if self.buys else Direction.SELL
        terms: dict[str, Any] = {}
        if dice.random() < parameters.odd:
            terms = dice.choice(
                [
                    {"order_type": OrderType.LIMIT, "limit_price": round(bar.close * dice.uniform(0.99, 1.01), 2)},
                    {"order_type": OrderType.STOP, "stop_price": round(bar.close * dice.uniform(0.99, 1.01), 2)},
                    {"time_in_force": TimeInForce.IOC},
                    {"target_price": bar.close * 1.01, "stop_loss_price": bar.close * 0.99},
                    {"symbol": "OTHER"},
                    {"ts": 5},
                ]
            )
        size, reason = dice.choice(parameters.sizes), dice.choice(parameters.reasons)
        strength = dice.choice([1.0, 1, 0.5])
        made = {"ts": bar.ts, "symbol": bar.symbol, "strength": strength, "price": bar.close, **terms}
        self.emit(Signal(direction=direction, quantity=size, reason=reason, **made))


def bars_of(dice: Random, count: int) -> str:
    """A CSV file of bars of a symbol: some with little volume or none, or after a gap, and rarely others."""
    other = dice.choice([0.0, 0.0, 0.0, 0.001])
    lines, close = ["timestamp,symbol,open,high,low,close,volume"], 100.0
    ts, rare = dice.choice([1_600_000_000, 1_600_000_000, 1_600_000_000, 2]), dice.choice([0.0, 0.0, 0.001, 0.02])
    for _ in range(count):
        opened = round(close + dice.uniform(-0.5, 0.5), 2)
        close = max(1.0, round(opened + dice.uniform(-1, 1), 2))
        high, low = max(opened, close) + 0.1, min(opened, close) - 0.1
        volume = dice.choice([0, 5, 90]) if dice.random() < rare else dice.randint(500, 10_000)
        ts += dice.choice([30, 60, 3600]) if dice.random() < rare else 60
        lines.append(f"{ts},AAPL,{opened},{high:.2f},{low:.2f},{close},{volume}")
        if dice.random() < other:
            lines.append(f"{ts},MSFT,{opened},{high:.2f},{low:.2f},{close},{volume}")
    return "\n".join(lines)


SEC = {"name": "SEC", "rate": 1e-4, "side": "SELL"}
TIERS = [{"rate": 0.001}, {"at_least": 1e5, "rate": 1e-4}]
COSTS: list[dict[str, Any]] = [
    {"slippage": {"model": "fixed", "price_impact": 0.0005}},
    {"commission": {"model": "percentage", "rate": 0.001}},
    {"commission": {"model": "per_share", "rate": 0.01, "minimum": 1.0}, "slippage": {"model": "volume"}},
    {
        "commission": {
            "model": "fixed",
            "cost_per_trade": 1.5,
            "extra_fees": [{"name": "SEC", "rate": 1e-4, "side": "SELL"}],
        }
    },
    {"slippage": {"model": "square_root"}},
    {
        "commission": {
            "model": "tiered",
            "period": "rolling_30_days",
            "tiers": [{"rate": 0.001}, {"at_least": 1e5, "rate": 1e-4}],
        }
    },
]
BROKERS: list[dict[str, Any]] = [
    {"fill_price": "close"},
    {"fill_price": "vwap"},
    {"latency": {"model": "fixed", "ms": 5}},
    {"max_volume_pct": 0.01},
    {"max_volume_pct": None},
]


def topology_of(dice: Random, folder: Path) -> dict[str, Any]:
    """A topology by dice."""

    def rarely(*values: Any, usual: Any, share: float = 0.3) -> Any:
        return dice.choice(values) if dice.random() < share else usual

    steps = rarely({"lot_size": 1}, {"lot_size": 0.1}, {"tick_size": 0.05}, {"max_quantity": 50}, usual={})
    instrument = {"symbol": "AAPL", "multiplier": rarely(5.0, usual=1.0), **steps}
    broker = {
        "class": "SimulatedBroker",
        **rarely(*COSTS, usual={}, share=0.5),
        **rarely(*BROKERS, usual={}, share=0.2),
    }
    strategy = {
        "class": STRATEGY,
        "seed": dice.randrange(1000),
        "often": dice.choice([0.05, 0.3, 1.0]),
        "odd": rarely(0.002, 0.05, usual=0.0),
        "twice": rarely(0.002, 0.1, usual=0.0),
        "sizes": rarely((None, 7.0), (0.3, 2.5), (None, 40.0, 3), usual=(None,)),
        "reasons": rarely(("up", "down again"), ("", "größer", "x" * 40, "y" * 300), usual=("",)),
        "turns": dice.random() < 0.5,
        "fails_at": rarely(dice.randrange(2500), usual=-1, share=0.1),
    }
    crossover = {"class": "MovingAverageCrossover", "fast": 2, "slow": dice.choice([3, 5, 9])}
    risk = {"class": "RiskStub", "quantity": rarely(100, 0.7, usual=10), "allow_short": dice.random() < 0.4}
    block_size = rarely(100, 5000, usual=1024)
    return {
        "bus": {"capture": rarely("digest", "none", usual="full"), "run_dir": str(folder / "runs")},
        "backtest": {
            "close_at_end": dice.choice(["none", "last_close", "next_open"]),
            "instruments": [instrument] if dice.random() < 0.6 else [],
            "initial_cash": 10_000,
        },
        "components": {
            "data_handler": {
                "class": "HistoricalDataHandler",
                "path": str(folder / "bars.csv"),
                "block_size": block_size,
            },
            "strategy": rarely(crossover, usual=strategy, share=0.2),
            "risk_manager": rarely({"class": "RiskStub", "percent_of_equity": 10}, usual=risk, share=0.05),
            "broker": broker,
            "order_manager": {"class": "OrderManager", "max_completed_orders": rarely(3, 500, usual=10_000)},
            "portfolio": {"class": "Portfolio", "curve_interval_s": rarely(300, usual=0, share=0.05)},
        },
    }


def outcome_of(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """All that a run leaves behind."""
    plan = plan_of(json.loads(json.dumps(content)), folder / "topology.yaml")
    result = launch(plan)
    outcome = {"status": result.status, "error": (result.error or "").splitlines()[:1], "counts": result.counts}
    if content["bus"]["capture"] == "full":
        records = list(LogReader(Path(result.run_dir) / "log"))
        # The traceback of a component's failure tells where it was called from.
        outcome["records"] = records if result.status == COMPLETED else records[:-1]
    if result.status == COMPLETED:
        components = {entry.name: entry.component for entry in plan.entries}
        completed = components["order_manager"].completed_orders
        outcome |= {
            "digest": result.digest,
            "statistics": result.statistics,
            "trades": [to_builtins(trade) for trade in result.trades],
            "orders": components["order_manager"].statistics(),
            "completed": state_of(completed),
            "steps": [[to_builtins(step) for step in record.history] for record in completed.values()],
            "waiting": {
                symbol: state_of(book.reached(-math.inf, math.inf), LEVELS)
                for symbol, book in components["broker"]._desk.books.items()
            },
            "curve": [to_builtins(block) for block in components["portfolio"].curve.take_blocks(rest=True)],
            **{
                name: state_of(component, NOT_STATE | LEVELS)
                for name, component in components.items()
                if name != "strategy"
            },
        }
    return outcome


def one_by_one(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the run of single messages leaves behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(express, "express_of", lambda _wiring: None)
        return outcome_of(content, folder)


def differing(number: int, folder: Path) -> list[str]:
    """What differs between the two ways of the run that these dice give."""
    dice = Random(number)
    (folder / "bars.csv").write_text(bars_of(dice, dice.choice([50, 700, 2500, 2500, 6000])))
    content = topology_of(dice, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bus.conductor.CHECKPOINT_EVERY", dice.choice(CHECKPOINTS))
        found, expected = outcome_of(content, folder), one_by_one(content, folder)
    return [what for what, value in expected.items() if found[what] != value]


@pytest.mark.parametrize("number", range(24))
def test_a_run_of_plain_orders_is_that_of_single_messages(number, tmp_path):
    assert differing(number, tmp_path) == []


@pytest.mark.parametrize("capture", ["none", "full"])
def test_orders_on_every_bar_are_taken_together(capture, tmp_path, monkeypatch):
    taken, stretch = [], express.OrderExpress.stretch

    def counted(self, bars, start):
        found = stretch(self, bars, start)
        taken.append(0 if found is None else found.end - start)
        return found

    monkeypatch.setattr(express.OrderExpress, "stretch", counted)
    (tmp_path / "bars.csv").write_text(bars_of(Random(1), 3000))
    content = {
        "bus": {"capture": capture, "run_dir": str(tmp_path / "runs")},
        "components": {
            "data_handler": {"class": "HistoricalDataHandler", "path": f"{tmp_path}/bars.csv"},
            "strategy": {"class": STRATEGY, "often": 1.0, "turns": True},
            "risk_manager": {"class": "RiskStub", "quantity": 10},
        },
    }
    assert outcome_of(content, tmp_path)["status"] == COMPLETED
    assert sum(taken) > 2900


def search(differing: Callable[[int, Path], list[str]]) -> None:
    """Look for runs that differ, among those of which the numbers are given on the command line."""
    for number in range(*map(int, sys.argv[1:])):
        with TemporaryDirectory() as folder:
            if found := differing(number, Path(folder)):
                print(number, *found, flush=True)


if __name__ == "__main__":
    search(differing)
