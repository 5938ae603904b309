"""What every process of a run is told alike: limits, and the pools that it may make for its component."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

from pydantic import Field

from bus.runtime.context import ExecutionContext
from bus.runtime.modes import ExecutionMode, ThreadModel
from bus.runtime.pools import PoolSettings, ThreadPoolManager, pool_of, with_threads
from bus.runtime.settings import StrictModel


class HostSettings(StrictModel):
    """The execution context and the limits of a run (seconds). The defaults are those of a topology file."""

    name: str = "run"
    mode: ExecutionMode = ExecutionMode.BACKTEST_SINGLE
    thread_model: ThreadModel = ThreadModel.SINGLE_THREADED
    thread_pools: dict[str, PoolSettings] = Field(default_factory=dict)
    timeout_s: float = 60.0
    slow_handler_s: float = 1.0

    @property
    def execution(self) -> ExecutionContext:
        """The run's context."""
        return ExecutionContext(self.name, self.mode, self.thread_model)

    def pools(self) -> ThreadPoolManager:
        """The run's pools; those of a MIXED run where its model has no threads and a component wants some."""
        return ThreadPoolManager(with_threads(self.execution), self.thread_pools)


def executor_of(pools: ThreadPoolManager) -> Callable[[str], Executor]:
    """What gives the pool for a component type."""
    return lambda component_type: pools.get_executor(pool_of(pools.context, component_type))
