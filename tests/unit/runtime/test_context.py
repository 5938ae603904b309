"""The current execution context: nested, in threads, in asyncio tasks and in pool workers."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
import threading

import pytest

from bus.runtime.context import ExecutionContext
from bus.runtime.modes import DEFAULT_THREAD_MODELS, ExecutionMode, ThreadModel

OUTER = ExecutionContext("outer", ExecutionMode.BACKTEST_SINGLE)
INNER = ExecutionContext("inner", ExecutionMode.LIVE_TRADING)


def current() -> ExecutionContext | None:
    return ExecutionContext.get_current()


@pytest.mark.parametrize("mode", ExecutionMode)
def test_the_thread_model_follows_from_the_mode(mode):
    assert ExecutionContext("run", mode).thread_model is DEFAULT_THREAD_MODELS[mode]


def test_a_thread_model_may_be_given_and_names_will_do():
    context = ExecutionContext("run", "REPLAY", "MULTI_THREADED")
    assert (context.execution_mode, context.thread_model) == (ExecutionMode.REPLAY, ThreadModel.MULTI_THREADED)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="BACKTEST_DOUBLE"):
        ExecutionContext("run", "BACKTEST_DOUBLE")


@pytest.mark.parametrize(
    ("name", "modes"),
    [
        ("is_backtest", {"BACKTEST_SINGLE", "BACKTEST_PARALLEL", "OPTIMIZATION"}),
        ("is_live", {"LIVE_TRADING", "PAPER_TRADING"}),
        ("is_optimization", {"OPTIMIZATION"}),
        ("is_replay", {"REPLAY"}),
    ],
)
def test_what_a_mode_is_for(name, modes):
    assert {mode for mode in ExecutionMode if getattr(ExecutionContext("run", mode), name)} == modes


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("is_multi_threaded", {"MULTI_THREADED", "PROCESS_PARALLEL", "ASYNC_MULTI", "MIXED"}),
        ("is_multi_process", {"PROCESS_PARALLEL"}),
        ("is_async", {"ASYNC_SINGLE", "ASYNC_MULTI"}),
    ],
)
def test_what_a_thread_model_means(name, models):
    assert {model for model in ThreadModel if getattr(ExecutionContext("run", "REPLAY", model), name)} == models


def test_nesting_restores_the_outer_context_even_after_an_error():
    assert current() is None
    with OUTER:
        with pytest.raises(KeyError), INNER:
            assert current() is INNER
            raise KeyError
        assert current() is OUTER
        with OUTER:
            assert current() is OUTER
        assert current() is OUTER
    assert current() is None


def test_set_current_lasts_until_the_end_of_the_block():
    with OUTER:
        with INNER:
            ExecutionContext.set_current(OUTER)
            assert current() is OUTER
            ExecutionContext.set_current(None)
            assert current() is None
        assert current() is OUTER


def test_set_current_works_without_a_block():
    def steps() -> list[ExecutionContext | None]:
        ExecutionContext.set_current(INNER)
        seen = [current()]
        with OUTER:
            seen.append(current())
        seen.append(current())
        ExecutionContext.set_current(None)
        return [*seen, current()]

    assert contextvars.copy_context().run(steps) == [INNER, OUTER, INNER, None]


def test_threads_enter_one_context_at_once_without_disturbing_each_other():
    both = threading.Barrier(2, timeout=10)
    seen: dict[str, list[ExecutionContext | None]] = {"a": [], "b": []}

    def work(name: str, own: ExecutionContext) -> None:
        with OUTER:
            both.wait()
            with own:
                both.wait()
                seen[name].append(current())
            both.wait()
            seen[name].append(current())

    threads = [threading.Thread(target=work, args=a) for a in (("a", INNER), ("b", ExecutionContext("b", "REPLAY")))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen["a"] == [INNER, OUTER]
    assert [context.name for context in seen["b"]] == ["b", "outer"]
    assert current() is None


def test_tasks_inherit_the_context_of_their_maker_and_keep_their_own_apart():
    async def task(own: ExecutionContext, mine: asyncio.Event, others: asyncio.Event) -> list[str]:
        seen = [current().name]
        with own:
            mine.set()
            await others.wait()
            seen.append(current().name)
        return [*seen, current().name]

    async def main() -> list[list[str]]:
        a, b = asyncio.Event(), asyncio.Event()
        with OUTER:
            return await asyncio.gather(task(INNER, a, b), task(ExecutionContext("other", "REPLAY"), b, a))

    assert asyncio.run(main()) == [["outer", "inner", "outer"], ["outer", "other", "outer"]]


def test_a_context_can_be_sent_to_another_process():
    again = pickle.loads(pickle.dumps(INNER))
    assert repr(again) == repr(INNER) == "ExecutionContext('inner', LIVE_TRADING, ASYNC_MULTI)"
