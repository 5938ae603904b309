"""What can be asked for a component and cannot be had, and what is decided where nothing is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import ConfigError
from bus.runtime.guidelines import LockStrategy
from bus.runtime.locks import KeyedLock, NoLock
from bus.runtime.modes import Isolation, ThreadModel
from deploy.plan import Placement, Plan, plan_of

PARTS = {
    "bars": {"class": "tests.support.served.ManyBars"},
    "risk": {"class": "tests.support.parts.PlainRisk"},
    "manager": {"class": "tests.support.parts.PlainManager"},
    "broker": {"class": "tests.support.parts.PlainBroker"},
    "coordinator": {"class": "tests.support.parts.PlainCoordinator"},
    "portfolio": {"class": "tests.support.parts.PlainPortfolio"},
}
BY_KEY, LATER = "tests.support.served.ByKey", "tests.support.served.Later"


def a_plan(
    class_name: str = BY_KEY,
    mode: str = "BACKTEST_PARALLEL",
    model: str | None = None,
    placement: Placement | None = None,
    **strategy: object,
) -> Plan:
    """The small topology with a strategy that has these keys."""
    components = {**PARTS, "strategy": {"class": class_name, **strategy}}
    content = {"execution": {"mode": mode, "thread_model": model}, "components": components}
    return plan_of(content, Path("topology.yaml"), placement)


def the_strategy(plan: Plan):
    return next(entry for entry in plan.entries if entry.name == "strategy")


def a_fault(**wanted: object) -> str:
    with pytest.raises(ConfigError) as caught:
        a_plan(**wanted)
    (fault,) = caught.value.faults
    return fault


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (
            {"class_name": LATER, "thread_model": "PROCESS_PARALLEL"},
            "thread_model: Later cannot be divided among replicas: it declares no keys (partition_by)",
        ),
        (
            {"thread_model": "PROCESS_PARALLEL", "isolation": "thread_isolated"},
            "isolation: replicas are processes; make it process_isolated, or leave it out",
        ),
        ({"partitions": 3}, "partitions: only replicas share keys among them; set thread_model: PROCESS_PARALLEL"),
        (
            {"class_name": LATER, "thread_model": "SINGLE_THREADED"},
            "thread_model: on_bar of Later is async def, which only an event loop can serve; choose ASYNC_MULTI or",
        ),
        ({"thread_model": "MIXED"}, "thread_model: MIXED needs the models of the handlers, as handlers: {on_bar:"),
        ({"handlers": {"on_bar": "MULTI_THREADED"}}, "handlers: models of single handlers need thread_model: MIXED"),
        (
            {"thread_model": "MIXED", "handlers": {"on_bra": "MULTI_THREADED"}},
            "handlers.on_bra: no such handler; did you mean 'on_bar'? There are: on_bar, on_fill.",
        ),
        (
            {"thread_model": "MIXED", "handlers": {"on_bar": "PROCESS_PARALLEL"}},
            "handlers.on_bar: PROCESS_PARALLEL is for a whole component; one handler may have ASYNC_MULTI,",
        ),
        (
            {"class_name": LATER, "thread_model": "MIXED", "handlers": {"on_bar": "MULTI_THREADED"}},
            "handlers.on_bar: is async def, which only ASYNC_MULTI or ASYNC_SINGLE can serve, not MULTI_THREADED",
        ),
        (
            {"class_name": "tests.support.served.WrongKey"},
            "class: WrongKey.partition_by names 'symbl', which Bar has not; did you mean 'symbol'? Its fields are ts,",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(wanted, expected):
    assert a_fault(**wanted).startswith(f"components.strategy.{expected}")


@pytest.mark.parametrize(
    ("name", "class_name", "why"),
    [
        ("broker", "SimulatedBroker", "it numbers its fills over all symbols"),
        (
            "risk",
            "RiskStub",
            "it numbers its orders over all symbols, and sizes them by the equity of the whole account",
        ),
        (
            "portfolio",
            "Portfolio",
            "its cash, its equity and the numbers of its round trips are of all symbols together",
        ),
    ],
)
def test_components_of_ours_say_why_they_cannot_be_divided(name, class_name, why):
    parts = {**PARTS, "strategy": {"class": BY_KEY}, name: {"class": class_name, "thread_model": "PROCESS_PARALLEL"}}
    with pytest.raises(ConfigError) as caught:
        plan_of({"components": parts}, Path("topology.yaml"))
    text = f"components.{name}.thread_model: {class_name} cannot be divided among replicas: {why}"
    assert text in caught.value.faults


def test_a_component_that_takes_no_messages_has_nothing_to_serve():
    components = {**PARTS, "strategy": {"class": BY_KEY}, "bars": {**PARTS["bars"], "thread_model": "MULTI_THREADED"}}
    with pytest.raises(
        ConfigError, match=r"components\.bars\.thread_model: bars takes no messages, so that MULTI_THRE"
    ):
        plan_of({"components": components}, Path("topology.yaml"))


@pytest.mark.parametrize("model", ["MULTI_THREADED", "PROCESS_PARALLEL", "ASYNC_MULTI"])
def test_a_backtest_in_one_thread_has_one_thread(model):
    fault = a_fault(mode="BACKTEST_SINGLE", model=model)
    assert fault.startswith(f"execution.thread_model: {model} needs more than the one thread of BACKTEST_SINGLE")


@pytest.mark.parametrize(
    ("class_name", "run_model", "expected"),
    [
        (BY_KEY, None, "SINGLE_THREADED"),
        (BY_KEY, "ASYNC_MULTI", "SINGLE_THREADED"),
        (LATER, None, "ASYNC_SINGLE"),
        (LATER, "ASYNC_SINGLE", "ASYNC_SINGLE"),
        (LATER, "ASYNC_MULTI", "ASYNC_MULTI"),
    ],
)
def test_the_default_thread_model_follows_from_the_handlers_and_the_run(class_name, run_model, expected):
    assert the_strategy(a_plan(class_name, model=run_model)).thread_model == expected


@pytest.mark.parametrize(
    ("placement", "asked", "given"),
    [
        ("local", "MULTI_THREADED", "SINGLE_THREADED"),
        ("local", "PROCESS_PARALLEL", "SINGLE_THREADED"),
        ("local", "ASYNC_MULTI", "SINGLE_THREADED"),
        ("threads", "PROCESS_PARALLEL", "SINGLE_THREADED"),
        ("threads", "MULTI_THREADED", "MULTI_THREADED"),
        ("processes", "PROCESS_PARALLEL", "PROCESS_PARALLEL"),
    ],
)
def test_a_placement_from_the_command_line_takes_away_what_it_has_no_place_for(placement, asked, given):
    entry = the_strategy(a_plan(placement=Placement(placement), thread_model=asked))
    assert entry.thread_model == given
    assert len(entry.replicas()) == (2 if given == "PROCESS_PARALLEL" else 1)


def test_replicas_are_processes_with_names_that_no_component_can_have():
    entry = the_strategy(a_plan(thread_model="PROCESS_PARALLEL", partitions=3))
    assert entry.isolation is Isolation.PROCESS_ISOLATED
    assert [one.name for one in entry.replicas()] == ["strategy#1", "strategy#2", "strategy#3"]
    assert [(one.service.replica, one.service.replicas) for one in entry.replicas()] == [(0, 3), (1, 3), (2, 3)]
    assert {one.component for one in entry.replicas()} == {entry.component}


@pytest.mark.parametrize(
    ("wanted", "lock"),
    [
        ({}, LockStrategy.REENTRANT_LOCK),
        ({"thread_safe": False}, LockStrategy.NONE),
        ({"mode": "BACKTEST_SINGLE"}, LockStrategy.NONE),
        ({"mode": "BACKTEST_SINGLE", "thread_safe": True}, LockStrategy.REENTRANT_LOCK),
        ({"model": "SINGLE_THREADED"}, LockStrategy.NONE),
        ({"thread_model": "MULTI_THREADED"}, LockStrategy.FINE_GRAINED_LOCK),
        ({"isolation": "process_isolated"}, LockStrategy.NONE),
        ({"isolation": "process_isolated", "thread_model": "MULTI_THREADED"}, LockStrategy.FINE_GRAINED_LOCK),
    ],
)
def test_the_lock_is_that_of_the_guidelines_unless_something_says_otherwise(wanted, lock):
    entry = the_strategy(a_plan(**wanted))
    assert entry.lock is lock
    kinds = {LockStrategy.NONE: NoLock, LockStrategy.FINE_GRAINED_LOCK: KeyedLock}
    assert isinstance(entry.component.lock, kinds.get(lock, object))


def test_order_manager_and_portfolio_have_the_lock_that_the_tables_name():
    plan = a_plan()
    locks = {entry.component.component_type: entry.lock for entry in plan.entries}
    assert locks["order_manager"] is locks["portfolio"] is LockStrategy.FINE_GRAINED_LOCK
    assert locks["data_handler"] is LockStrategy.READER_WRITER_LOCK


@pytest.mark.parametrize("model", ["PROCESS_PARALLEL", "MIXED"])
def test_process_parallel_puts_every_component_into_a_process(model):
    levels = {entry.isolation for entry in a_plan(model=model).entries}
    assert (levels == {Isolation.PROCESS_ISOLATED}) == (model == ThreadModel.PROCESS_PARALLEL)
