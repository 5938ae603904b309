"""Runs whose plain orders meet the unusual, a failure or a model of the user, are those of single messages."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
import pytest
from msgspec.structs import replace

from bus.runtime.component import Component, Source, handles
from components.models.commission import CommissionModel
from components.models.slippage import SlippageModel
from deploy import express
from deploy.run_folder import COMPLETED
from schemas import Bar, Direction, FeeLine, Signal
from tests.golden.test_express import STRATEGY, bars_of, one_by_one, outcome_of
from tests.support.builders import T0, a_bar


class Fails(SlippageModel):
    """Fails at its hundredth fill."""

    _fills: int = 0

    def apply_slippage(self, price: float, *_: Any, **__: Any) -> float:
        self._fills += 1
        if self._fills == 100:
            raise ValueError("no more")
        return price


class FailsToCharge(CommissionModel):
    """Fails at its hundredth fill."""

    _fills: int = 0

    def order_cost(self, *_: Any) -> float:
        self._fills += 1
        if self._fills == 100:
            raise ValueError("no more")
        return 1.0


class WholePrices(SlippageModel):
    """Gives whole prices, as ints."""

    def apply_slippage(self, price: float, *_: Any, **__: Any) -> float:
        return round(price)


class WholeCosts(CommissionModel):
    """Charges an int."""

    def order_cost(self, *_: Any) -> float:
        return 2


class WholeFees(CommissionModel):
    """Charges ints, in lines of its own."""

    def fees(self, *_: Any) -> tuple[FeeLine, ...]:
        return (FeeLine("flat", 2),)


def topology_of(folder: Path, size: float | None, **broker: Any) -> dict[str, Any]:
    """A strategy that asks for so much again and again."""
    return {
        "bus": {"capture": "full", "run_dir": str(folder / "runs")},
        "components": {
            "data_handler": {"class": "HistoricalDataHandler", "path": str(folder / "bars.csv")},
            "strategy": {"class": STRATEGY, "sizes": [size], "turns": True},
            "risk_manager": {"class": "RiskStub", "allow_short": True},
            "broker": {"class": "SimulatedBroker", **broker},
            "order_manager": {"class": "OrderManager"},
            "portfolio": {"class": "Portfolio"},
        },
    }


@pytest.fixture
def outcomes(tmp_path):
    """What becomes of a run whose books do not add up any more, together and one by one."""
    (tmp_path / "bars.csv").write_text(bars_of(Random(0), 700))
    content = topology_of(tmp_path, 1e307, max_volume_pct=None)
    return outcome_of(content, tmp_path), one_by_one(content, tmp_path)


def test_books_that_do_not_add_up_end_the_run(outcomes):
    for outcome in outcomes:
        assert outcome["status"] != COMPLETED
        assert "1e+307 is held, but inf was bought and inf sold" in outcome["error"][0]


@pytest.mark.parametrize("what", ["error", "counts", "records"])
def test_it_ends_as_with_single_messages(outcomes, what):
    together, single = outcomes
    assert together[what] == single[what]


def outcomes_with(folder: Path, **broker: Any) -> list[dict[str, Any]]:
    """What becomes of a run with such costs, together and one by one."""
    (folder / "bars.csv").write_text(bars_of(Random(0), 700))
    content = topology_of(folder, None, **broker)
    return [outcome_of(content, folder), one_by_one(content, folder)]


def model(kind: type) -> dict[str, str]:
    """The section of a model of a test's own."""
    return {"model": f"{kind.__module__}.{kind.__name__}"}


@pytest.mark.parametrize("costs", [{"slippage": model(Fails)}, {"commission": model(FailsToCharge)}])
def test_a_model_that_fails_ends_the_run_as_with_single_messages(costs, tmp_path):
    together, single = outcomes_with(tmp_path, **costs)
    assert "component 'broker' failed: ValueError: no more" in single["error"][0]
    assert together == single


@pytest.mark.parametrize(
    "costs", [{"slippage": model(WholePrices)}, {"commission": model(WholeCosts)}, {"commission": model(WholeFees)}]
)
def test_numbers_that_a_model_gives_as_ints_are_kept_as_with_single_messages(costs, tmp_path):
    together, single = outcomes_with(tmp_path, **costs)
    assert single["status"] == COMPLETED
    for what, value in single.items():
        assert together[what] == value, what


class Tape(Source):
    """Bars from a test, in its own blocks."""

    component_type = "data_handler"
    emits = (Bar,)
    bars: ClassVar[list[list[Bar]]] = []

    def blocks(self) -> list[list[Bar]]:
        return self.bars


class Turns(Component):
    """Buys and sells AAPL in turn, as soon as it has seen some bars; `terms` are a test's, by the number of a bar."""

    component_type = "strategy"
    emits = (Signal,)
    from_bar: ClassVar[int] = 0
    first: ClassVar[int] = 0
    terms: ClassVar[dict[int, dict[str, Any]]] = {}
    raises: ClassVar[bool] = False

    def reset(self) -> None:
        self.bars = self.signals = 0
        self.behind = 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        if self.raises:
            np.seterr(all="raise")
        self.behind += self.clock.now_ns < bar.ts
        if bar.symbol != "MSFT" and (self.bars == self.first or self.bars > self.from_bar):
            self.signals += 1
            direction = Direction.BUY if self.signals % 2 else Direction.SELL
            made = {"strength": 1.0, "price": bar.close, **self.terms.get(self.bars, {})}
            self.emit(Signal(bar.ts, bar.symbol, direction, **made))


def minutes(count: int, first_ts: int = T0, step: int = 60 * 10**9, **fields: Any) -> list[Bar]:
    made = [a_bar(o=100.0 + n % 7, c=100.5 + n % 5, ts=first_ts + n * step, **fields) for n in range(count)]
    return [replace(bar, high=120.0, low=80.0, volume=10_000.0) for bar in made]


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """Runs `Turns` on blocks of bars both ways, and says what differs; and that stretches were taken."""

    def compare(blocks: list[list[Bar]], *, lot_size: float = 0.0, **turns: Any) -> list[str]:
        monkeypatch.setattr(Tape, "bars", blocks)
        for name, value in turns.items():
            monkeypatch.setattr(Turns, name, value)
        content = topology_of(tmp_path, None)
        content["components"]["data_handler"] = {"class": f"{__name__}.Tape"}
        content["components"]["strategy"] = {"class": f"{__name__}.Turns"}
        if lot_size:
            content["backtest"] = {"instruments": [{"symbol": "AAPL", "lot_size": lot_size}]}
        taken, stretch = [], express.OrderExpress.stretch
        with monkeypatch.context() as patch:
            patch.setattr(express.OrderExpress, "stretch", lambda *of: taken.append(found := stretch(*of)) or found)
            together = outcome_of(content, tmp_path)
        single = one_by_one(content, tmp_path)
        assert any(found is not None for found in taken), "nothing was taken together"
        return [what for what, value in single.items() if repr(together[what]) != repr(value)]

    return compare


def test_another_symbol_may_have_had_the_time_of_a_stretch_already(compared):
    bars = minutes(120)
    others = [[a_bar(ts=bars[40].ts, symbol=f"O{n}")] for n in range(2)]
    assert compared([bars[:40], *others, bars[40:]]) == []


def test_a_position_may_be_older_than_times_of_nine_bytes(compared):
    assert compared([minutes(120, 10**9, 10**9)], first=1, from_bar=20) == []


@pytest.mark.parametrize("strength", [math.nan, math.inf, -math.inf, 1e308, -1.0, 1e-12])
def test_strengths_that_no_lots_fit_fail_at_their_turn(compared, strength):
    assert compared([minutes(200)], lot_size=1.0, terms={150: {"strength": strength}}) == []


@pytest.mark.parametrize("volume", [math.nan, math.inf, -math.inf, 1e308])
@pytest.mark.parametrize("lot_size", [0.0, 0.001])
def test_volumes_that_are_no_numbers_fail_at_their_turn(compared, volume, lot_size):
    bars = minutes(200)
    bars[150] = replace(bars[150], volume=volume)
    assert compared([bars], lot_size=lot_size) == []


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf, 1e308, 0.0, -5.0])
def test_prices_that_are_unusual_are_those_of_single_messages(compared, price):
    bars = minutes(200)
    bars[150] = replace(bars[150], open=price, close=price)
    assert compared([bars]) == []


def test_numpy_may_have_been_told_to_raise(compared):
    with np.errstate():
        assert compared([minutes(200)], raises=True) == []
