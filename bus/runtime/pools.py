"""The thread and process pools of a run, by execution mode."""

from __future__ import annotations

import contextlib
import difflib
import multiprocessing
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from types import TracebackType
from typing import Annotated, Final

from pydantic import Field

from bus.errors import ComponentError, ConfigError
from bus.runtime.affinity import affinity_faults, set_thread_affinity
from bus.runtime.context import ExecutionContext
from bus.runtime.modes import ThreadModel
from bus.runtime.settings import StrictModel

OPTIMIZATION: Final = "optimization"
BACKTEST_POOLS: Final = ("data", "compute")
LIVE_POOLS: Final = ("market_data", "order_processing", "strategy")
POOLS: Final = (*BACKTEST_POOLS, *LIVE_POOLS, OPTIMIZATION)

_MOST_BACKTEST_WORKERS = 4
_LIVE_WORKERS = 2
_THREAD_NAMES: Final = {"order_processing": "order_worker"}


class PoolSettings(StrictModel):
    """`execution.thread_pools.<name>`: how many workers, and the CPUs that all of them may use (none named: any)."""

    max_workers: int | None = Field(default=None, ge=1)
    affinity: tuple[Annotated[int, Field(ge=0)], ...] = ()


def pool_names(context: ExecutionContext) -> tuple[str, ...]:
    """The pools that a context has: none in one thread, one of processes or several of threads otherwise."""
    if context.thread_model is ThreadModel.SINGLE_THREADED:
        return ()
    if context.is_multi_process:
        return (OPTIMIZATION,)
    return LIVE_POOLS if context.is_live else BACKTEST_POOLS


def pool_of(context: ExecutionContext, component_type: str) -> str:
    """The thread pool that serves the isolated components of a type."""
    if not context.is_live:
        return "data" if component_type == "data_handler" else "compute"
    return {"data_handler": "market_data", "strategy": "strategy"}.get(component_type, "order_processing")


def with_threads(context: ExecutionContext) -> ExecutionContext:
    """The context, or where its model has no pool of threads a MIXED one: for components that are served on one all the
    same."""
    if pool_names(context) not in ((), (OPTIMIZATION,)):
        return context
    return ExecutionContext(context.name, context.execution_mode, ThreadModel.MIXED)


def default_workers(name: str) -> int:
    """How many workers a pool has when nothing else is said."""
    cpus = os.cpu_count() or 1
    if name == OPTIMIZATION:
        return max(1, cpus - 1)
    return min(cpus, _MOST_BACKTEST_WORKERS) if name in BACKTEST_POOLS else _LIVE_WORKERS


class ThreadPoolManager:
    """Makes the pools of a context when they are first asked for, and ends them together.

    `sizes` gives a pool's number of workers, or its `PoolSettings`. Settings of a pool that another mode has are
    allowed, so that one file serves several modes. In every worker the context is the current one. As a context
    manager it shuts down at the end of the block; if the block failed, what still waits is not begun.

    Raises:
        ConfigError: `sizes` names a pool that no mode has, no worker, or a CPU that does not exist.
    """

    def __init__(self, context: ExecutionContext, sizes: Mapping[str, int | PoolSettings] | None = None) -> None:
        self.context = context
        self._settings = _checked(sizes or {})
        self._executors: dict[str, Executor] = {}
        self._lock = threading.Lock()
        self._is_shut_down = False
        self._workers: dict[threading.Thread, str] = {}
        """Every thread that was started, with its pool."""

    def get_executor(self, pool_name: str) -> Executor:
        """The pool of that name, the same one every time.

        Raises:
            ValueError: the context has no such pool.
            RuntimeError: the pools were shut down.
        """
        known = pool_names(self.context)
        if pool_name not in known:
            raise ValueError(
                f"thread pool {pool_name!r} does not exist; {self.context!r} has {', '.join(known) or 'none'}"
            )
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError(f"thread pool {pool_name!r} was shut down with the others")
            if pool_name not in self._executors:
                self._executors[pool_name] = self._make(pool_name)
            return self._executors[pool_name]

    def check(self) -> None:
        """Look whether all threads that were started are still there.

        Raises:
            ComponentError: one has ended, which before the shutdown none does by itself.
        """
        for worker, pool_name in list(self._workers.items()):
            if not worker.is_alive() and not self._is_shut_down:
                raise ComponentError(f"thread pool {pool_name}", f"its worker {worker.name} has ended by itself")

    def shutdown(self, wait: bool = True, cancel_futures: bool = False) -> None:
        """Wait for all that runs (unless told not to), and for all that waits unless it is cancelled.

        A second call does nothing.
        """
        with self._lock:
            self._is_shut_down = True
            executors = list(self._executors.values())
        with contextlib.ExitStack() as stack:
            for executor in executors:
                stack.callback(executor.shutdown, wait=wait, cancel_futures=cancel_futures)

    def __enter__(self) -> ThreadPoolManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown(cancel_futures=error is not None)

    def _make(self, name: str) -> Executor:
        settings = self._settings.get(name, PoolSettings())
        workers = settings.max_workers or default_workers(name)
        start = (self.context, name, settings.affinity)
        if name == OPTIMIZATION:
            # A forked child would inherit locks that threads of ours hold at that moment.
            spawn = multiprocessing.get_context("spawn")
            return ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker, initargs=start)
        prefix = _THREAD_NAMES.get(name, f"{name}_worker")
        return ThreadPoolExecutor(workers, thread_name_prefix=prefix, initializer=self._start_thread, initargs=start)

    def _start_thread(self, context: ExecutionContext, name: str, affinity: Sequence[int]) -> None:
        self._workers[threading.current_thread()] = name
        _start_worker(context, name, affinity)


def _start_worker(context: ExecutionContext, name: str, affinity: Sequence[int]) -> None:
    ExecutionContext.set_current(context)
    if affinity:
        set_thread_affinity(f"thread pool {name}", affinity)


def _checked(sizes: Mapping[str, int | PoolSettings]) -> dict[str, PoolSettings]:
    settings: dict[str, PoolSettings] = {}
    faults: list[str] = []
    for name, size in sizes.items():
        place = f"execution.thread_pools.{name}"
        if name not in POOLS:
            near = difflib.get_close_matches(name, POOLS, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else "."
            faults.append(f"{place}: unknown key{guess} Allowed are: {', '.join(POOLS)}.")
        elif isinstance(size, int) and size < 1:
            faults.append(f"{place}: has {size} workers; it needs at least 1")
        else:
            settings[name] = PoolSettings(max_workers=size) if isinstance(size, int) else size
            if settings[name].affinity:
                faults += affinity_faults(f"{place}.affinity", settings[name].affinity)
    if faults:
        raise ConfigError(faults)
    return settings
