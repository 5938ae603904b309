"""Pools by mode: names, sizes, the context in their workers, and their end."""

from __future__ import annotations

import os
import threading

import pytest

from bus.errors import ConfigError
from bus.runtime.affinity import usable_cpus
from bus.runtime.context import ExecutionContext
from bus.runtime.pools import POOLS, PoolSettings, ThreadPoolManager, default_workers, pool_names, pool_of
from deploy.topology import ThreadPoolsSection

PARALLEL = ExecutionContext("parallel", "BACKTEST_PARALLEL")


@pytest.mark.parametrize(
    ("mode", "model", "names"),
    [
        ("BACKTEST_SINGLE", None, ()),
        ("BACKTEST_PARALLEL", None, ("data", "compute")),
        ("BACKTEST_PARALLEL", "SINGLE_THREADED", ()),
        ("OPTIMIZATION", None, ("optimization",)),
        ("LIVE_TRADING", None, ("market_data", "order_processing", "strategy")),
        ("LIVE_TRADING", "MULTI_THREADED", ("market_data", "order_processing", "strategy")),
        ("PAPER_TRADING", None, ("market_data", "order_processing", "strategy")),
        ("REPLAY", None, ()),
        ("REPLAY", "MULTI_THREADED", ("data", "compute")),
    ],
)
def test_each_mode_has_its_pools_and_an_unknown_one_is_refused_with_their_names(mode, model, names):
    context = ExecutionContext("run", mode, model)
    assert pool_names(context) == names
    known = ", ".join(names) or "none"
    with ThreadPoolManager(context) as pools, pytest.raises(ValueError, match=f"'gpu' does not exist; .* has {known}$"):
        pools.get_executor("gpu")


@pytest.mark.parametrize(
    ("cpus", "sizes"), [(1, (1, 2, 1)), (2, (2, 2, 1)), (4, (4, 2, 3)), (64, (4, 2, 63)), (None, (1, 2, 1))]
)
def test_default_sizes(cpus, sizes, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    assert (default_workers("compute"), default_workers("market_data"), default_workers("optimization")) == sizes
    assert default_workers("data") == sizes[0]
    assert {default_workers("order_processing"), default_workers("strategy")} == {2}


@pytest.mark.parametrize(
    ("mode", "component_type", "name"),
    [
        ("BACKTEST_PARALLEL", "data_handler", "data"),
        ("BACKTEST_PARALLEL", "strategy", "compute"),
        ("BACKTEST_PARALLEL", "broker", "compute"),
        ("LIVE_TRADING", "data_handler", "market_data"),
        ("LIVE_TRADING", "strategy", "strategy"),
        ("PAPER_TRADING", "order_manager", "order_processing"),
    ],
)
def test_component_types_have_their_pool(mode, component_type, name):
    assert pool_of(ExecutionContext("run", mode), component_type) == name


def concurrency(pools: ThreadPoolManager, name: str, workers: int) -> set[str]:
    """Names of the threads in which `workers` tasks run at the same time."""
    together = threading.Barrier(workers, timeout=10)

    def task(_: int) -> str:
        together.wait()
        return threading.current_thread().name

    return set(pools.get_executor(name).map(task, range(workers)))


def test_a_pool_has_the_workers_that_were_asked_for_and_their_names():
    live = ExecutionContext("live", "LIVE_TRADING")
    with ThreadPoolManager(live, {"market_data": 3, "order_processing": PoolSettings(max_workers=1)}) as pools:
        assert concurrency(pools, "market_data", 3) == {f"market_data_worker_{n}" for n in range(3)}
        assert concurrency(pools, "order_processing", 1) == {"order_worker_0"}
        assert concurrency(pools, "strategy", 2) == {"strategy_worker_0", "strategy_worker_1"}


def test_a_pool_is_made_when_it_is_first_asked_for_and_then_kept():
    before = threading.active_count()
    with ThreadPoolManager(PARALLEL) as pools:
        assert not pools._executors
        assert pools.get_executor("data") is pools.get_executor("data")
        assert list(pools._executors) == ["data"]
    assert threading.active_count() == before


def test_workers_run_in_the_context_on_the_pools_cpus():
    cpu, before = min(usable_cpus()), os.sched_getaffinity(0)
    with ThreadPoolManager(PARALLEL, {"compute": PoolSettings(affinity=(cpu,))}) as pools:
        work = pools.get_executor("compute").submit(
            lambda: (ExecutionContext.get_current(), os.sched_getaffinity(threading.get_native_id()))
        )
        assert work.result(10) == (PARALLEL, {cpu})
    assert os.sched_getaffinity(0) == before


@pytest.mark.processes
def test_the_optimization_pool_has_processes_of_its_own_in_the_context():
    with ThreadPoolManager(ExecutionContext("search", "OPTIMIZATION"), {"optimization": 1}) as pools:
        executor = pools.get_executor("optimization")
        assert executor.submit(os.getpid).result(60) != os.getpid()
        assert repr(executor.submit(ExecutionContext.get_current).result(60)).startswith("ExecutionContext('search'")


def test_shutdown_waits_for_everything_and_may_be_repeated():
    pools, done = ThreadPoolManager(PARALLEL, {"compute": 1}), []
    for n in range(50):
        pools.get_executor("compute").submit(done.append, n)
    pools.shutdown()
    assert done == list(range(50))
    pools.shutdown()
    with pytest.raises(RuntimeError, match="'data' was shut down with the others"):
        pools.get_executor("data")


def test_a_failed_block_begins_nothing_more():
    blocked, release = threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        release.wait(10)

    pools = ThreadPoolManager(PARALLEL, {"compute": 1})

    def fail() -> None:
        with pools:
            pools.get_executor("compute").submit(block)
            futures.append(pools.get_executor("compute").submit(print))
            assert blocked.wait(10)
            threading.Thread(target=lambda: (wait_for_cancel(futures[0]), release.set())).start()
            raise KeyError

    futures: list = []
    with pytest.raises(KeyError):
        fail()
    assert futures[0].cancelled()


def wait_for_cancel(future) -> None:
    cancelled = threading.Event()
    future.add_done_callback(lambda _: cancelled.set())
    assert cancelled.wait(10)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"marketdata": 2}, "execution.thread_pools.marketdata: unknown key; did you mean 'market_data'?"),
        ({"gpu": 2}, "execution.thread_pools.gpu: unknown key. Allowed are: data, compute, market_data"),
        ({"data": 0}, "execution.thread_pools.data: has 0 workers; it needs at least 1"),
        ({"data": PoolSettings(affinity=(4000,))}, "execution.thread_pools.data.affinity: names CPU 4000; this"),
    ],
)
def test_wrong_sizes_are_refused(sizes, expected):
    with pytest.raises(ConfigError) as caught:
        ThreadPoolManager(PARALLEL, sizes)
    assert expected in str(caught.value)


def test_sizes_for_the_pools_of_another_mode_are_allowed():
    with ThreadPoolManager(PARALLEL, {"strategy": 3}) as pools:
        assert concurrency(pools, "data", 1) == {"data_worker_0"}


def test_the_configuration_knows_every_pool():
    assert tuple(ThreadPoolsSection.model_fields) == POOLS
