"""Who is handed signals ahead answers at their turns what it would have answered."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from bus.errors import ComponentError, StopNow
from bus.local_order import Uncaptured
from bus.local_route import Route
from bus.respondent import Respondent, can_respond
from bus.runtime.block import Block
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Parameters, handles
from bus.runtime.locks import make_lock
from bus.runtime.runner import Member, begin
from bus.runtime.settings import RunContext
from components.risk import RiskStub
from schemas import Bar, CancelOrder, Fill, Message, Order, SetTimer, Signal
from schemas.registry import MESSAGE_TYPES
from tests.support.builders import a_bar, a_signal, an_order


class Scripted(Component):
    """Orders on each signal, and cancels the order before; fails at a signal, if it does, when it has said half."""

    class Parameters(Parameters):
        fails_at: int = -1

    component_type = "risk_manager"
    emits: ClassVar[tuple[type[Message], ...]] = (Order, CancelOrder)
    failure: BaseException = RuntimeError("no idea")

    def reset(self) -> None:
        self.heard: list[float] = []
        self.times: list[int] = []

    @handles(Signal)
    def on_signal(self, signal: Signal) -> None:
        number = len(self.heard)
        self.heard.append(signal.price)
        self.times.append(self.clock.now_ns)
        self.emit(an_order(f"risk-{number}"))
        if number == self.parameters.fails_at:
            raise self.failure
        if number:
            self.emit(CancelOrder(f"risk-{number - 1}", signal.ts))


class Table:
    """What a bus has of a component that is handed signals ahead."""

    def __init__(self, component: Component) -> None:
        self.clock = Clock()
        self.order = Uncaptured({message_type: Route(message_type) for message_type in MESSAGE_TYPES.values()})
        self.respondent = Respondent(Member(1, component), self.order, self.clock)
        begin(component, RunContext(), self.respondent.emit, self.clock)
        self._take = self.respondent.stand_for(component.handlers()[Signal])

    def look(self, signals: list[tuple[int, Signal]]) -> None:
        self.respondent.look(signals, BARS)

    def turn(self, heard: tuple[int, Signal]) -> list[str]:
        """The signal's turn has come: the ids of the orders that are made or cancelled."""
        self.clock.now_ns = heard[1].ts
        self.order.hand_out(heard[1], [self._take])
        ids = [("" if isinstance(m, Order) else "not ") + m.order_id for m in self.order.answers]
        self.order.answers.clear()
        return ids


BARS = Block(map(a_bar, range(9)))
SIGNALS = [(at, a_signal(ts=BARS[at].ts, price=100.0 + n)) for n, at in enumerate([0, 3, 3, 5, 8])]
EXPECTED = [["risk-0"], *(([f"risk-{n}", f"not risk-{n - 1}"]) for n in range(1, 5))]


def scripted(**parameters: Any) -> Scripted:
    return Scripted("risk", parameters)


def test_signals_are_taken_ahead_and_nobody_hears_of_it():
    risk = scripted()
    table = Table(risk)
    table.look(SIGNALS[:3])
    assert risk.heard == [100.0, 101.0, 102.0]
    assert [[m.order_id for m in answers] for answers in table.respondent.answers] == [
        ["risk-0"],
        ["risk-1", "risk-0"],
        ["risk-2", "risk-1"],
    ]
    assert not table.order.answers


@pytest.mark.parametrize("ahead", range(6))
def test_what_is_answered_is_given_at_the_signals_own_turns(ahead):
    table = Table(scripted())
    table.look(SIGNALS[:ahead])
    assert [table.turn(heard) for heard in SIGNALS] == EXPECTED


def test_no_signal_is_taken_twice():
    risk = scripted()
    table = Table(risk)
    for many in (2, 1, 4, 5):
        table.look(SIGNALS[:many])
    assert risk.heard == [signal.price for _, signal in SIGNALS]


def test_the_signals_that_come_next_are_taken_when_some_have_had_their_turns():
    risk = scripted()
    table = Table(risk)
    table.look(SIGNALS[:3])
    table.turn(SIGNALS[0])
    table.respondent.pass_on(1)
    table.look(SIGNALS[2:])
    assert risk.heard == [signal.price for _, signal in SIGNALS]
    assert [table.turn(heard) for heard in SIGNALS[2:]] == EXPECTED[2:]


def test_the_time_is_that_of_the_signals_bar_while_it_is_taken_and_then_what_it_was():
    risk = scripted(fails_at=3)
    table = Table(risk)
    table.clock.now_ns, table.order.heeds = 5, False
    table.look(SIGNALS)
    assert risk.times == [BARS[at].ts for at in (0, 3, 3, 5)]
    assert (table.clock.now_ns, table.order.heeds) == (5, False)


def test_a_failure_is_raised_at_its_own_turn_and_nothing_is_said_then():
    table = Table(scripted(fails_at=2))
    table.look(SIGNALS)
    assert isinstance(table.respondent.error, RuntimeError)
    assert [table.turn(heard) for heard in SIGNALS[:2]] == EXPECTED[:2]
    with pytest.raises(ComponentError, match=r"'risk' failed: RuntimeError: no idea"):
        table.turn(SIGNALS[2])
    assert not table.order.answers


def test_nobody_is_handed_signals_after_it_has_failed():
    risk = scripted(fails_at=1)
    table = Table(risk)
    table.look(SIGNALS)
    table.look(SIGNALS)
    assert risk.heard == [100.0, 101.0]


def test_a_run_that_is_broken_off_ends_at_once():
    risk = scripted(fails_at=1)
    risk.failure = StopNow("enough")
    table = Table(risk)
    with pytest.raises(StopNow):
        table.look(SIGNALS)
    assert table.respondent.error is None


def test_who_takes_signals_and_says_orders_and_cancels_can_respond():
    assert can_respond(scripted())


class OrdersOnly(Scripted):
    emits = (Order,)


class TakesFills(Scripted):
    @handles(Fill)
    def on_fill(self, _: Fill) -> None: ...


class SetsTimers(Scripted):
    emits = (Order, CancelOrder, SetTimer)


class TakesBars(Component):
    component_type = "risk_manager"
    emits = (Order,)

    @handles(Bar)
    def on_bar(self, _: Bar) -> None: ...


class InBlocks(Scripted):
    def on_block(self, messages: Block, start: int, end: int) -> None: ...


class Asynchronous(Scripted):
    @handles(Signal)
    async def on_signal(self, signal: Signal) -> None: ...


class OfAnotherKind(Scripted):
    component_type = "filter"


def test_one_that_never_cancels_can_respond():
    assert can_respond(OrdersOnly("risk"))


@pytest.mark.parametrize("kind", [TakesFills, SetsTimers, TakesBars, InBlocks, Asynchronous, OfAnotherKind, RiskStub])
def test_no_other_component_can_respond(kind):
    assert not can_respond(kind("risk"))


def test_no_component_that_others_may_ask_meanwhile_can_respond():
    risk = scripted()
    risk.lock = make_lock("reentrant_lock")
    assert not can_respond(risk)
