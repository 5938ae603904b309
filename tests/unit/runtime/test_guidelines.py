"""The specification's tables, row by row, and no mode without an answer."""

from __future__ import annotations

import itertools

import pytest

from bus.runtime.component import COMPONENT_TYPES
from bus.runtime.context import ExecutionContext
from bus.runtime.guidelines import ThreadIsolationGuidelines as Isolating
from bus.runtime.guidelines import ThreadSynchronizationGuidelines as Synchronizing
from bus.runtime.modes import ExecutionMode, Isolation, ThreadModel

TYPES = ("data_handler", "strategy", "risk_manager", "portfolio", "broker", "order_manager", "coordinator", "component")


def a_context(mode: str, model: str | None = None) -> ExecutionContext:
    return ExecutionContext("run", mode, model)


def test_every_component_type_is_looked_at():
    assert set(TYPES) == set(COMPONENT_TYPES)


@pytest.mark.parametrize(
    ("mode", "model", "not_shared"),
    [
        ("BACKTEST_SINGLE", None, {}),
        ("BACKTEST_SINGLE", "MULTI_THREADED", {}),
        ("BACKTEST_PARALLEL", None, {"strategy": "isolated"}),
        ("BACKTEST_PARALLEL", "SINGLE_THREADED", {}),
        ("OPTIMIZATION", None, dict.fromkeys(TYPES, "process_isolated")),
        ("LIVE_TRADING", None, {"data_handler": "thread_isolated", "strategy": "thread_isolated"}),
        ("PAPER_TRADING", None, {"data_handler": "thread_isolated", "strategy": "thread_isolated"}),
        ("REPLAY", None, {}),
        ("REPLAY", "MULTI_THREADED", {"strategy": "isolated"}),
    ],
)
def test_isolation_levels(mode, model, not_shared):
    levels = {t: Isolating.get_isolation_level(a_context(mode, model), t) for t in TYPES}
    assert levels == {t: not_shared.get(t, "shared") for t in TYPES}


@pytest.mark.parametrize(("mode", "model"), list(itertools.product(ExecutionMode, ThreadModel)))
def test_every_question_has_an_answer_in_every_mode_and_model(mode, model):
    context = ExecutionContext("run", mode, model)
    for component_type in (*TYPES, "something_new"):
        assert isinstance(Isolating.get_isolation_level(context, component_type), Isolation)
        assert isinstance(Isolating.should_use_locks(context, component_type), bool)
        assert Synchronizing.get_recommended_sync_primitives(context, component_type)
        assert Synchronizing.get_lock_strategy(context, component_type)


@pytest.mark.parametrize(
    ("mode", "model", "locking"),
    [
        ("BACKTEST_SINGLE", None, set()),
        ("BACKTEST_SINGLE", "MULTI_THREADED", set()),
        ("BACKTEST_PARALLEL", None, set(TYPES)),
        ("BACKTEST_PARALLEL", "SINGLE_THREADED", set()),
        ("OPTIMIZATION", None, {"data_handler"}),
        ("LIVE_TRADING", None, set(TYPES)),
        ("LIVE_TRADING", "SINGLE_THREADED", set(TYPES)),
        ("PAPER_TRADING", None, set(TYPES)),
        ("REPLAY", None, set()),
        ("REPLAY", "ASYNC_SINGLE", set()),
        ("REPLAY", "MIXED", set(TYPES)),
    ],
)
def test_who_locks(mode, model, locking):
    assert {t for t in TYPES if Isolating.should_use_locks(a_context(mode, model), t)} == locking


DEFAULT_PRIMITIVES = {
    "data_handler": ["lock", "thread_local"],
    "broker": ["lock", "event"],
    "order_manager": ["lock", "queue"],
}
LIVE_PRIMITIVES = {
    "data_handler": ["lock", "thread_local", "queue"],
    "broker": ["lock", "event", "queue"],
    "order_manager": ["lock", "queue"],
}


@pytest.mark.parametrize(
    ("mode", "table", "otherwise"),
    [
        ("BACKTEST_SINGLE", {}, ["none"]),
        ("BACKTEST_PARALLEL", DEFAULT_PRIMITIVES, ["lock"]),
        ("OPTIMIZATION", DEFAULT_PRIMITIVES, ["lock"]),
        ("REPLAY", DEFAULT_PRIMITIVES, ["lock"]),
        ("LIVE_TRADING", LIVE_PRIMITIVES, ["lock"]),
        ("PAPER_TRADING", LIVE_PRIMITIVES, ["lock"]),
    ],
)
def test_recommended_primitives(mode, table, otherwise):
    found = {t: Synchronizing.get_recommended_sync_primitives(a_context(mode), t) for t in TYPES}
    assert found == {t: table.get(t, otherwise) for t in TYPES}


OWN_STRATEGY = {
    "data_handler": "reader_writer_lock",
    "portfolio": "fine_grained_lock",
    "order_manager": "fine_grained_lock",
}


@pytest.mark.parametrize(
    ("mode", "model", "table", "otherwise"),
    [
        ("BACKTEST_SINGLE", None, {}, "none"),
        ("BACKTEST_SINGLE", "MULTI_THREADED", OWN_STRATEGY, "none"),
        ("BACKTEST_PARALLEL", None, OWN_STRATEGY, "reentrant_lock"),
        ("BACKTEST_PARALLEL", "SINGLE_THREADED", {}, "none"),
        ("OPTIMIZATION", None, OWN_STRATEGY, "reentrant_lock"),
        ("LIVE_TRADING", None, OWN_STRATEGY, "reentrant_lock"),
        ("PAPER_TRADING", "ASYNC_SINGLE", {}, "none"),
        ("REPLAY", None, {}, "none"),
    ],
)
def test_lock_strategies(mode, model, table, otherwise):
    found = {t: Synchronizing.get_lock_strategy(a_context(mode, model), t) for t in TYPES}
    assert found == {t: table.get(t, otherwise) for t in TYPES}
