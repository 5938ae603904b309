"""Which runs of resting orders are taken together; the unusual in them is that of single messages."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
import pytest
from msgspec.structs import replace

from bus.runtime.component import Component, Parameters, handles
from components.models.commission import CommissionModel
from components.models.slippage import SlippageModel
from deploy.resting_express import RestingExpress
from deploy.run_folder import COMPLETED
from schemas import Bar, CancelOrder, ClosedTrade, Direction, Fill, Message, Order, OrderStatus, OrderType, Signal
from tests.golden.test_express import bars_of, one_by_one, outcome_of
from tests.golden.test_express_unusual import Tape, model
from tests.golden.test_resting import HERE
from tests.support.builders import T0, a_bar

QUOTING = {"class": f"{HERE}.Quoting", "often": 1.0, "most": 2}


@pytest.fixture
def taken(monkeypatch):
    """How many bars were taken together: one number for each stretch."""
    found, stretch = [], RestingExpress.stretch

    def counted(self, bars, start):
        taken = stretch(self, bars, start)
        if taken is not None:
            found.append(taken.end - start)
        return taken

    monkeypatch.setattr(RestingExpress, "stretch", counted)
    return found


def content_of(folder: Path, capture: str = "full", **components: dict[str, Any]) -> dict[str, Any]:
    return {
        "bus": {"capture": capture, "run_dir": str(folder / "runs")},
        "components": {
            "data_handler": {"class": "HistoricalDataHandler", "path": f"{folder}/bars.csv"},
            "strategy": QUOTING,
            "risk_manager": {"class": f"{HERE}.QuotingRisk"},
            "broker": {"class": "SimulatedBroker"},
            "order_manager": {"class": "OrderManager"},
            "portfolio": {"class": "Portfolio"},
            **components,
        },
    }


@pytest.mark.parametrize("capture", ["none", "full"])
@pytest.mark.parametrize("reason", ["", "replaced"])
def test_orders_that_are_replaced_on_every_bar_are_taken_together(capture, reason, tmp_path, taken):
    (tmp_path / "bars.csv").write_text(bars_of(Random(1), 3000))
    risk = {"class": f"{HERE}.QuotingRisk", "reasons": [reason]}
    assert outcome_of(content_of(tmp_path, capture, risk_manager=risk), tmp_path)["status"] == COMPLETED
    assert sum(taken) > 2900


def test_orders_near_the_market_are_taken_together_between_their_fills(tmp_path, taken):
    (tmp_path / "bars.csv").write_text(bars_of(Random(1), 3000))
    outcome = outcome_of(content_of(tmp_path, strategy={**QUOTING, "away": 0.02}), tmp_path)
    assert outcome["orders"]["filled"] > 20
    assert sum(taken) > 2000


class HearsFills(Component):
    """Hears what does not come of orders that rest."""

    @handles(Fill, ClosedTrade)
    def on_fill(self, _: Fill | ClosedTrade) -> None: ...


class HearsOrders(Component):
    @handles(OrderStatus)
    def on_status(self, _: OrderStatus) -> None: ...


class HearsBars(Component):
    @handles(Bar)
    def on_bar(self, _: Bar) -> None: ...


class Signals(Component):
    """Signals on fills, as the strategy does on bars."""

    emits = (Signal,)

    @handles(Fill)
    def on_fill(self, fill: Fill) -> None:
        limit = round(fill.price * 0.5, 2)
        terms = {"order_type": OrderType.LIMIT, "limit_price": limit}
        self.emit(Signal(fill.ts, fill.symbol, Direction.BUY, 1.0, fill.price, **terms))


class HearsMore(Component):
    """A risk manager that hears fills too, and orders the same whatever they are."""

    component_type = "risk_manager"
    emits: ClassVar[tuple[type[Message], ...]] = (Order, CancelOrder)

    def reset(self) -> None:
        self.made = 0

    @handles(Signal)
    def on_signal(self, signal: Signal) -> None:
        self.made += 1
        terms = {"limit_price": signal.limit_price}
        made = (f"risk-{self.made}", signal.symbol, signal.direction, 1.0, signal.order_type, signal.ts)
        self.emit(Order(*made, **terms))

    @handles(Fill)
    def on_fill(self, _: Fill) -> None: ...


def own(kind: type) -> dict[str, str]:
    return {"class": f"{kind.__module__}.{kind.__name__}"}


def test_who_hears_nothing_that_comes_of_them_does_not_matter(tmp_path, taken):
    (tmp_path / "bars.csv").write_text(bars_of(Random(1), 300))
    outcome_of(content_of(tmp_path, listener=own(HearsFills)), tmp_path)
    assert sum(taken) > 200


@pytest.mark.parametrize("kind", [HearsOrders, HearsBars, Signals])
def test_who_may_be_told_or_say_something_does(kind, tmp_path, taken):
    (tmp_path / "bars.csv").write_text(bars_of(Random(1), 300))
    assert outcome_of(content_of(tmp_path, other=own(kind)), tmp_path)["status"] == COMPLETED
    assert not taken


@pytest.mark.parametrize("risk", [own(HearsMore), {"class": "RiskStub"}])
def test_a_risk_manager_that_hears_more_does(risk, tmp_path, taken):
    (tmp_path / "bars.csv").write_text(bars_of(Random(1), 300))
    outcome_of(content_of(tmp_path, risk_manager=risk), tmp_path)
    assert not taken


class Raises(Component):
    """Signals for an order far below, and has numpy raise whenever something is unusual."""

    component_type = "strategy"
    emits = (Signal,)

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        np.seterr(all="raise")
        terms = {"order_type": OrderType.LIMIT, "limit_price": 40.0}
        self.emit(Signal(bar.ts, bar.symbol, Direction.BUY, 1.0, 100.0, **terms))


class Steady(Component):
    """Signals for an order far below on every bar; fails at one of them, if it does."""

    class Parameters(Parameters):
        fails_at: int = -1

    component_type = "strategy"
    emits = (Signal,)

    def reset(self) -> None:
        self.bars = 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        if self.bars == self.parameters.fails_at:
            raise ValueError("no more")
        self.bars += 1
        terms = {"order_type": OrderType.LIMIT, "limit_price": 40.0 + self.bars % 7}
        self.emit(Signal(bar.ts, bar.symbol, Direction.BUY, 1.0, 100.0, **terms))


AT: int = 100
"""The signal at which a `Once` does something else, too."""


class Once(Component):
    """Keeps five orders, each made with a signal and cancelled with the fifth after it; does something else once."""

    class Parameters(Parameters):
        what: str = ""

    component_type = "risk_manager"
    emits: ClassVar[tuple[type[Message], ...]] = (Order, CancelOrder)

    def reset(self) -> None:
        self.signals = 0

    @handles(Signal)
    def on_signal(self, signal: Signal) -> None:
        number, ts = self.signals, signal.ts
        self.signals += 1
        if number >= 5:
            self.cancel(number - 5, ts)
        self.order(f"id-{number}", signal)
        if number == AT:
            getattr(self, self.parameters.what)(signal, ts)

    def cancel(self, number: int, ts: int) -> None:
        self.emit(CancelOrder(f"id-{number}", ts))

    def order(self, order_id: str, signal: Signal, **terms: Any) -> None:
        made = {"quantity": 1.0, "order_type": signal.order_type, "limit_price": signal.limit_price, **terms}
        made = {"symbol": signal.symbol, "direction": signal.direction, "ts": signal.ts, **made}
        self.emit(Order(order_id, **made))

    def nothing(self, _: Signal, __: int) -> None: ...

    def cancel_the_one_of_this_bar(self, _: Signal, ts: int) -> None:
        self.cancel(AT, ts)

    def cancel_one_twice(self, _: Signal, ts: int) -> None:
        self.cancel(AT - 1, ts)
        self.cancel(AT - 1, ts)

    def cancel_one_that_was_cancelled(self, _: Signal, ts: int) -> None:
        self.cancel(AT - 20, ts)

    def cancel_nobodys(self, _: Signal, ts: int) -> None:
        self.emit(CancelOrder("nobody's", ts))

    def cancel_all(self, _: Signal, ts: int) -> None:
        self.emit(CancelOrder("", ts))

    def order_in_another_symbol(self, signal: Signal, _: int) -> None:
        self.order("other", signal, symbol="OTHER")

    def use_an_id_that_works(self, signal: Signal, _: int) -> None:
        self.order(f"id-{AT - 2}", signal)

    def use_an_id_of_this_bar(self, signal: Signal, _: int) -> None:
        self.order(f"id-{AT}", signal)

    def use_an_id_that_was_cancelled(self, signal: Signal, _: int) -> None:
        self.order(f"id-{AT - 20}", signal)

    def use_an_id_of_another_stretch(self, signal: Signal, _: int) -> None:
        self.order("id-7", signal)

    def order_very_much(self, signal: Signal, _: int) -> None:
        for number in range(12):
            self.order(f"more-{number}", signal)

    def order_at_once(self, signal: Signal, _: int) -> None:
        self.order("market", signal, order_type=OrderType.MARKET, limit_price=None)

    def order_near_the_market(self, signal: Signal, _: int) -> None:
        self.order("near", signal, limit_price=96.0)

    def order_of_each_side(self, signal: Signal, _: int) -> None:
        self.order("sell", signal, limit_price=104.0, direction=Direction.SELL)

    def order_something_wrong(self, signal: Signal, _: int) -> None:
        self.order("wrong", signal, limit_price=-1.0)

    def say_what_is_not_declared(self, signal: Signal, _: int) -> None:
        self.emit(signal)

    def fail(self, _: Signal, ts: int) -> None:
        self.emit(CancelOrder("lost", ts))
        raise ValueError("no more")


ONCE = [name for name in vars(Once) if name.split("_")[0] in ("cancel", "use", "order", "say", "fail")]


class FailsToLearn(SlippageModel):
    """Fails at its hundredth bar."""

    learns: ClassVar[bool] = True
    _bars: int = 0

    def apply_slippage(self, price: float, *_: Any, **__: Any) -> float:
        return price

    def on_bar(self, _: Bar) -> None:
        self._bars += 1
        if self._bars == 100:
            raise ValueError("no more")


class FailsToForget(CommissionModel):
    """Fails at the hundredth order that is done."""

    _orders: int = 0

    def order_cost(self, *_: Any) -> float:
        return 1.0

    def forget(self, _: str) -> None:
        self._orders += 1
        if self._orders == 100:
            raise ValueError("no more")


@pytest.mark.parametrize("costs", [{"slippage": model(FailsToLearn)}, {"commission": model(FailsToForget)}])
def test_a_model_that_fails_ends_the_run_as_with_single_messages(costs, tmp_path, taken):
    (tmp_path / "bars.csv").write_text(bars_of(Random(1), 300))
    outcome = outcome_of(content_of(tmp_path, broker={"class": "SimulatedBroker", **costs}), tmp_path)
    assert "component 'broker' failed: ValueError: no more" in outcome["error"][0]
    assert not taken


@pytest.fixture
def compared(tmp_path, monkeypatch, taken):
    """Says what differs between the two ways of a run with blocks of bars; some bars were taken together."""

    def compare(*blocks: list[Bar], lot_size: float = 0.0, **components: dict[str, Any]) -> list[str]:
        monkeypatch.setattr(Tape, "bars", list(blocks))
        content = content_of(tmp_path, data_handler=own(Tape), **components)
        content["backtest"] = {"instruments": [{"symbol": "AAPL", "lot_size": lot_size}], "close_at_end": "none"}
        together = outcome_of(content, tmp_path)
        single = one_by_one(content, tmp_path)
        assert taken, "nothing was taken together"
        return [what for what, value in single.items() if repr(together[what]) != repr(value)]

    return compare


def minutes(count: int, **fields: Any) -> list[Bar]:
    return [a_bar(c=100.0 + n % 5, ts=T0 + n * 60 * 10**9, h=105.0, low=95.0, **fields) for n in range(count)]


@pytest.mark.parametrize(
    "odd",
    [
        {"low": math.nan},
        {"high": math.nan},
        {"low": -math.inf},
        {"high": math.inf},
        {"volume": 0.0},
        {"volume": math.inf},
        {"volume": 1e308},
        {"low": 1.0},
    ],
    ids=str,
)
def test_bars_that_are_unusual_are_those_of_single_messages(compared, odd):
    bars = minutes(200)
    bars[100] = replace(bars[100], **odd)
    assert compared(bars) == []
    assert compared(bars, lot_size=0.01) == []


def test_blocks_may_begin_and_end_anywhere(compared):
    bars = minutes(200)
    assert compared(bars[:50], bars[50:51], bars[51:52], bars[52:]) == []


@pytest.mark.parametrize("symbol", ["MSFT", "LONGER"])
def test_another_symbol_may_follow(compared, symbol, taken):
    bars = minutes(400)
    others = [replace(bar, symbol=symbol) for bar in bars[200:]]
    assert compared(bars[:200], others, strategy=own(Steady), risk_manager={**own(Once), "what": "nothing"}) == []
    assert sum(taken) > 300


def test_bars_of_other_symbols_may_come_between(compared):
    bars = minutes(200)
    others = [[a_bar(ts=bars[at].ts, symbol="MSFT")] for at in (60, 120)]
    assert compared(bars[:60], others[0], bars[60:120], others[1], bars[120:]) == []


@pytest.mark.parametrize(("bars", "kept"), [(300, 10_000), (300, 1), (AT + 1, 10_000)])
@pytest.mark.parametrize("what", [name for name in ONCE if name not in ("cancel", "order")])
def test_what_is_unusual_is_that_of_single_messages(compared, what, bars, kept):
    orders = {"class": "OrderManager", "max_completed_orders": kept}
    risk = {**own(Once), "what": what}
    blocks = [minutes(bars)[first : first + 75] for first in range(0, bars, 75)]
    assert compared(*blocks, strategy=own(Steady), risk_manager=risk, order_manager=orders) == []


@pytest.mark.parametrize("fails_at", [30, 74, 75, 100])
def test_a_strategy_that_fails_does_so_at_its_turn(compared, fails_at):
    risk = {**own(Once), "what": "cancel_all"}
    blocks = [minutes(300)[first : first + 75] for first in range(0, 300, 75)]
    assert compared(*blocks, strategy={**own(Steady), "fails_at": fails_at}, risk_manager=risk) == []


def test_numpy_may_have_been_told_to_raise(compared):
    bars = minutes(200)
    bars[100] = replace(bars[100], low=math.nan, volume=math.nan)
    with np.errstate():
        assert compared(bars, strategy=own(Raises)) == []
