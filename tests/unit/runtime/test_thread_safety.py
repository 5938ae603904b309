"""Components and collections that several threads reach: what holds under their lock, and breaks without it.

Every case is tried with one thread stopped at each of its lines in turn while the other goes through, so that what must
break without a lock surely does; and is hammered by many threads at once.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bus.runtime.clock import Clock
from bus.runtime.collections import ThreadSafeDict
from bus.runtime.component import Component
from bus.runtime.context import ExecutionContext
from bus.runtime.guidelines import LockStrategy, ThreadSynchronizationGuidelines
from bus.runtime.locks import make_lock
from bus.runtime.means import Means
from bus.runtime.runner import LazyLoop, direct_handlers
from bus.runtime.settings import RunContext, RunSettings
from components.broker import SimulatedBroker
from components.order_manager import OrderManager
from components.portfolio import Portfolio
from schemas import Fill, Message, OrderState, SubmitOrder
from tests.support.builders import a_bar, a_fill, an_order
from tests.support.interleaving import interleaved
from tests.unit.runtime.hammer import THREADS, hammer

PARALLEL = ExecutionContext("run", "BACKTEST_PARALLEL")
ROUNDS = 30
CASH = 1_000_000.0


@dataclass
class Case:
    """What two threads do, and whether what came of it is right."""

    first: Callable[[], Any]
    second: Callable[[], Any]
    holds: Callable[[Any], bool]


class Served:
    """A component as a host serves it: under its lock, or without one."""

    def __init__(self, component: Component, locks: bool) -> None:
        strategy = ThreadSynchronizationGuidelines.get_lock_strategy(PARALLEL, component.component_type)
        self.component: Any = component
        component.lock = make_lock(strategy if locks else LockStrategy.NONE)
        self.said: list[Message] = []
        context = RunContext(run=RunSettings(initial_cash=CASH), brokers={"broker": ()})
        component.initialize(context, self.said.append, Clock())
        self._handlers = direct_handlers(component, LazyLoop(Means()))

    def hand(self, message: Message) -> None:
        self._handlers[type(message)](message)


def order_manager(locks: bool) -> Case:
    """An order is filled, and moves from those that work to those that are done, while somebody looks for both."""
    served = Served(OrderManager("order_manager"), locks)
    served.hand(an_order("risk-0"))
    served.hand(an_order("risk-1"))
    return Case(
        lambda: served.hand(a_fill("broker-1", order_id="risk-1", quantity=100.0)),
        lambda: counted(served.component),
        lambda counts: set(counts) == {2},
    )


def counted(manager: OrderManager) -> tuple[int, ...]:
    """How many orders are known, by three ways of asking, at one moment."""
    with manager.lock.read():
        statistics = manager.statistics()
        by_state = [len(manager.orders(state=state)) for state in OrderState]
        return len(manager.orders()), sum(by_state), statistics["active"] + statistics["completed"]


def portfolio(locks: bool) -> Case:
    """A fill is booked while somebody adds up cash and positions."""
    served = Served(Portfolio("portfolio"), locks)
    served.hand(bought(0))
    return Case(lambda: served.hand(bought(1)), lambda: worth(served.component), lambda total: total == CASH)


def bought(n: int, symbol: str = "AAPL") -> Fill:
    return a_fill(f"broker-{n}", symbol=symbol, quantity=10.0, price=100.0, commission=0.0)


def worth(portfolio: Portfolio) -> float:
    """Cash and what was paid for the positions, at one moment."""
    with portfolio.lock.read():
        return portfolio.account.main.cash + sum(quantity * 100.0 for quantity in portfolio.positions().values())


def broker(locks: bool) -> Case:
    """Two orders are filled by bars of their symbols: every fill has a number of its own."""
    served = Served(SimulatedBroker("broker"), locks)
    for symbol in ("AAPL", "MSFT"):
        served.hand(SubmitOrder(an_order(f"risk-{symbol}", symbol=symbol, ts=0), "broker"))
    return Case(
        lambda: served.hand(a_bar(1, symbol="AAPL")),
        lambda: served.hand(a_bar(1, symbol="MSFT")),
        lambda _: sorted(m.fill_id for m in served.said if isinstance(m, Fill)) == ["broker-1", "broker-2"],
    )


def counter(locks: bool) -> Case:
    """Two threads count in one dictionary."""
    mapping: ThreadSafeDict[str, int] = ThreadSafeDict(locks=locks)

    def count() -> int:
        return mapping.update_with("orders", lambda value: value + 1, 0)

    return Case(count, count, lambda _: mapping["orders"] == 2)


CASES = (order_manager, portfolio, broker, counter)


def broken_at(make: Callable[[bool], Case], locks: bool, wait_s: float) -> list[int]:
    """The lines at which the first thread must not be stopped, or something is wrong afterwards."""
    broken = []
    for line in itertools.count(1):
        case = make(locks)
        reached, answer = interleaved(case.first, case.second, line, wait_s)
        if not case.holds(answer):
            broken.append(line)
        if not reached:
            assert line > 1
            return broken
    raise AssertionError


@pytest.mark.parametrize("make", CASES)
def test_under_its_lock_it_may_be_stopped_at_any_line(make):
    assert broken_at(make, locks=True, wait_s=0.002) == []


@pytest.mark.parametrize("make", CASES)
def test_without_a_lock_there_is_a_line_at_which_it_breaks(make):
    assert broken_at(make, locks=False, wait_s=30.0) != []


def hammered(locks: bool) -> dict[str, bool]:
    """Many threads work on all of them and ask them; what held throughout, and in the end."""
    manager, accounts = Served(OrderManager("order_manager"), locks), Served(Portfolio("portfolio"), locks)
    venue: Served = Served(SimulatedBroker("broker"), locks)
    orders: ThreadSafeDict[str, int] = ThreadSafeDict(locks=locks)
    wrong: list[Any] = []

    def work(number: int) -> None:
        symbol = f"S{number}"
        for n in range(ROUNDS):
            order = an_order(f"risk-{number}-{n}", symbol=symbol, ts=0)
            manager.hand(order)
            venue.hand(SubmitOrder(order, "broker"))
            venue.hand(a_bar(n, symbol=symbol))
            accounts.hand(bought(number * ROUNDS + n, symbol))
            orders.update_with("orders", lambda value: value + 1, 0)
            known = counted(manager.component)
            if len(set(known)) > 1 or worth(accounts.component) != CASH:
                wrong.append(known)

    hammer(work)
    fills = [m.fill_id for m in venue.said if isinstance(m, Fill)]
    total = THREADS * ROUNDS
    return {
        "every look saw one moment": not wrong,
        "every order is known": len(manager.component.orders()) == total,
        "every order was filled": len(fills) == total,
        "every fill has a number of its own": len(set(fills)) == len(fills),
        "every fill is booked": sum(accounts.component.positions().values()) == total * 10.0,
        "every order is counted": orders["orders"] == total,
    }


def test_many_threads_at_once_break_nothing():
    assert all(hammered(locks=True).values())


def test_a_query_waits_for_the_message_that_is_being_handled():
    served = Served(Portfolio("portfolio"), locks=True)
    asked, answers = threading.Event(), []

    def ask() -> None:
        asked.set()
        answers.append(served.component.positions())

    with served.component.lock.write():
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        assert asked.wait(10)
        served.component.on_fill(bought(1))
        assert answers == []
    thread.join(10)
    assert answers == [{"AAPL": 10.0}]


@pytest.mark.parametrize(
    ("kind", "asks"),
    [
        (OrderManager, ["order", "orders", "statistics"]),
        (Portfolio, ["equity", "positions"]),
        (SimulatedBroker, ["get_order_status"]),
    ],
)
def test_what_others_may_ask_takes_the_lock(kind, asks):
    marked = {n for n in dir(kind) if hasattr(getattr(kind, n), "__wrapped__")}
    assert marked == set(asks)


def test_a_handler_that_asks_itself_does_not_wait_for_itself():
    for kind in (OrderManager, Portfolio, SimulatedBroker):
        served = Served(kind("broker"), locks=True)
        with served.component.lock.write():
            if kind is Portfolio:
                assert served.component.positions() == {}
            elif kind is OrderManager:
                assert served.component.orders() == []
            else:
                assert served.component.get_order_status("risk-1") is None
