"""A run whose resting orders are taken together is the run of single messages: the same log, results and states.

`python -m tests.golden.test_resting 1000 2000` looks for more runs that differ.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bus.runtime.component import Component, Parameters, handles
from deploy import parties, resting_express
from deploy.resting_express import RestingExpress
from deploy.run_folder import COMPLETED
from schemas import Bar, CancelOrder, Direction, Order, OrderType, Signal, TimeInForce
from tests.golden.test_express import CHECKPOINTS, bars_of, one_by_one, outcome_of, search, topology_of

HERE = "tests.golden.test_resting"


class Quoting(Component):
    """Signals for limit orders by dice, as far from the market as its parameters say."""

    class Parameters(Parameters):
        seed: int = 0
        often: float = 0.5
        most: int = 1
        """So many signals with one bar."""
        away: float = 0.5
        """How far from the close a limit is at least, as a share of it."""
        fails_at: int = -1

    component_type = "strategy"
    emits = (Signal,)

    def reset(self) -> None:
        self.dice = Random(self.parameters.seed)
        self.bars = 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        parameters, dice = self.parameters, self.dice
        if self.bars == parameters.fails_at:
            raise ValueError("it had to be")
        self.bars += 1
        assert self.clock.now_ns == bar.ts
        if dice.random() < parameters.often:
            for _ in range(dice.randint(1, parameters.most)):
                self.emit(self.signal(bar))

    def signal(self, bar: Bar) -> Signal:
        """A signal for an order on either side of the market."""
        dice, away = self.dice, self.parameters.away
        sign, limit = 1 if dice.random() < 0.6 else -1, OrderType.LIMIT
        price = round(bar.close * (1 - sign * dice.uniform(away, 1.1 * away)), 2)
        direction = Direction.BUY if sign > 0 else Direction.SELL
        return Signal(bar.ts, bar.symbol, direction, 1.0, bar.close, limit, limit_price=price)


class QuotingRisk(Component):
    """Orders on signals and cancels the oldest when too many would work; by dice it does something else."""

    class Parameters(Parameters):
        seed: int = 0
        size: int = 5
        odd: float = 0.0
        """How often it does something unusual."""
        reasons: tuple[str, ...] = ("",)
        ignores: float = 0.0
        before: bool = True
        """Whether it cancels before it orders."""
        fails_at: int = -1

    component_type = "risk_manager"
    emits = (Order, CancelOrder)

    def reset(self) -> None:
        self.dice = Random(self.parameters.seed)
        self.made = 0
        self.signals = 0
        self.working: deque[str] = deque()

    @handles(Signal)
    def on_signal(self, signal: Signal) -> None:
        parameters, dice = self.parameters, self.dice
        assert self.clock.now_ns == signal.ts
        if self.signals == parameters.fails_at:
            self.emit(CancelOrder("lost", signal.ts))
            raise ValueError("so it was")
        self.signals += 1
        if dice.random() < parameters.ignores:
            return
        if dice.random() < parameters.odd:
            self.do_something_else(signal)
        if parameters.before:
            self.cancel(signal)
        self.order(signal)
        if not parameters.before:
            self.cancel(signal)

    def cancel(self, signal: Signal) -> None:
        """Cancel what is too much."""
        while len(self.working) > self.parameters.size:
            self.emit(
                CancelOrder(self.working.popleft(), signal.ts, signal.symbol, self.dice.choice(self.parameters.reasons))
            )

    def order(self, signal: Signal, **terms: Any) -> None:
        """Order what was signalled, or on other terms."""
        self.made += 1
        made = {
            "order_id": f"{self.name}-{self.made}",
            "symbol": signal.symbol,
            "direction": signal.direction,
            "quantity": self.dice.choice([1.0, 10.0, 2.5]),
            "order_type": signal.order_type,
            "limit_price": signal.limit_price,
            "reason": self.dice.choice(self.parameters.reasons),
            "ts": signal.ts,
            **terms,
        }
        self.working.append(made["order_id"])
        self.emit(Order(**made))

    def order_at_stop(self, signal: Signal, price: float) -> None:
        """Order at a stop price."""
        self.order(signal, order_type=OrderType.STOP, limit_price=None, stop_price=price)

    def do_something_else(self, signal: Signal) -> None:
        """What is not plain."""
        dice, close, ts = self.dice, signal.price, signal.ts
        known = f"{self.name}-{max(1, self.made - dice.choice([0, 0, 1, 5, 30]))}"
        dice.choice(
            [
                lambda: self.emit(CancelOrder(known, ts)),
                lambda: self.emit(CancelOrder("", ts, reason="all of it")),
                lambda: self.emit(CancelOrder("nobody's", ts)),
                lambda: self.order(signal, order_id=known),
                lambda: self.order(signal, order_type=OrderType.MARKET, limit_price=None),
                lambda: self.order_at_stop(signal, round(close * dice.choice([0.99, 1.01, 1.5]), 2)),
                lambda: self.order(signal, time_in_force=TimeInForce.DAY),
                lambda: self.order(signal, time_in_force=TimeInForce.GTD, expire_ts=ts + 10**11),
                lambda: self.order(signal, post_only=True),
                lambda: self.order(signal, reduce_only=True),
                lambda: self.order(signal, group_id="a group"),
                lambda: self.order(signal, limit_price=close, direction=Direction.BUY),
                lambda: self.order(signal, limit_price=-1.0),
                lambda: self.order(signal, symbol="OTHER"),
                lambda: self.order(signal, ts=5),
                lambda: self.order(signal, quantity=3),
                lambda: self.order(signal, parent_id=known),
                lambda: self.order(signal, order_id=f"größer-{self.made}"),
            ]
        )()


def content_of(dice: Random, folder: Path) -> dict[str, Any]:
    """A topology by dice."""
    content = topology_of(dice, folder)
    parts = content["components"]
    if dice.random() < 0.6:
        parts["broker"] = {"class": "SimulatedBroker", "max_volume_pct": dice.choice([0.1, None])}
    parts["strategy"] = {
        "class": f"{HERE}.Quoting",
        "seed": dice.randrange(1000),
        "often": dice.choice([0.03, 0.2, 1.0]),
        "most": dice.choice([1, 1, 2, 12]),
        "away": dice.choice([0.5, 0.1, 0.02, 0.02, 0.005]),
        "fails_at": dice.choice([-1] * 9 + [dice.randrange(2500)]),
    }
    parts["risk_manager"] = {
        "class": f"{HERE}.QuotingRisk",
        "seed": dice.randrange(1000),
        "size": dice.choice([0, 1, 5, 50]),
        "odd": dice.choice([0.0, 0.0, 0.002, 0.02, 0.2]),
        "reasons": dice.choice([("",), ("",), ("", "replaced", "größer"), ("x" * 40, "y" * 300)]),
        "ignores": dice.choice([0.0, 0.0, 0.2]),
        "before": dice.random() < 0.6,
        "fails_at": dice.choice([-1] * 9 + [dice.randrange(500)]),
    }
    return content


def bars_by_dice(dice: Random) -> str:
    """A CSV file of bars; of some the second half is of another symbol."""
    bars = bars_of(dice, dice.choice([50, 700, 2500, 2500, 6000]))
    if dice.random() < 0.8:
        return bars
    lines = bars.splitlines()
    half = len(lines) // 2
    other = dice.choice([",B,", ",GOOG,"])
    return "\n".join([*lines[:half], *(line.replace(",AAPL,", other) for line in lines[half:])])


def outcomes(number: int, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the run that these dice give leaves behind, both ways; all is taken together that can be."""
    dice = Random(number)
    (folder / "bars.csv").write_text(bars_by_dice(dice))
    content = content_of(dice, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resting_express, "_ALIKE", 1)
        patch.setattr(resting_express, "_ENOUGH", 1)
        patch.setattr(parties, "_MOST_PATIENT", 2)
        patch.setattr("bus.conductor.CHECKPOINT_EVERY", dice.choice(CHECKPOINTS))
        return outcome_of(content, folder), one_by_one(content, folder)


def differing(number: int, folder: Path) -> list[str]:
    """What differs between the two."""
    found, expected = outcomes(number, folder)
    return [what for what, value in expected.items() if found[what] != value]


@pytest.mark.parametrize("number", range(32))
def test_a_run_of_resting_orders_is_that_of_single_messages(number, tmp_path):
    assert differing(number, tmp_path) == []


def test_most_of_these_runs_end_well_and_have_stretches(tmp_path, monkeypatch):
    taken, stretch = [], RestingExpress.stretch

    def counted(self, bars, start):
        found = stretch(self, bars, start)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(RestingExpress, "stretch", counted)
    found = [outcomes(number, tmp_path)[0] for number in range(100, 112)]
    completed = [outcome for outcome in found if outcome["status"] == COMPLETED]
    assert len(completed) > 4
    assert sum(outcome["orders"]["filled"] for outcome in completed) > 20
    assert sum(taken) > 100


if __name__ == "__main__":
    search(differing)
