"""Where a component should run, whether it should lock, and with what, by execution mode and component type."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from bus.runtime.context import ExecutionContext
from bus.runtime.modes import ExecutionMode, Isolation


class LockStrategy(StrEnum):
    """How the shared state of a component is guarded; `bus.runtime.locks.make_lock` makes each."""

    NONE = "none"
    LOCK = "lock"
    REENTRANT_LOCK = "reentrant_lock"
    READER_WRITER_LOCK = "reader_writer_lock"
    FINE_GRAINED_LOCK = "fine_grained_lock"


_ISOLATION: Final = {"strategy": Isolation.ISOLATED}
_LIVE_ISOLATION: Final = {
    "data_handler": Isolation.THREAD_ISOLATED,
    "strategy": Isolation.THREAD_ISOLATED,
}
_SHARED_IN_OPTIMIZATION: Final = frozenset({"data_handler"})
_PRIMITIVES: Final = {
    "data_handler": ("lock", "thread_local"),
    "broker": ("lock", "event"),
    "order_manager": ("lock", "queue"),
}
_LIVE_PRIMITIVES: Final = {
    "data_handler": ("lock", "thread_local", "queue"),
    "broker": ("lock", "event", "queue"),
}
_STRATEGIES: Final = {
    "data_handler": LockStrategy.READER_WRITER_LOCK,
    "portfolio": LockStrategy.FINE_GRAINED_LOCK,
    "order_manager": LockStrategy.FINE_GRAINED_LOCK,
}


class ThreadIsolationGuidelines:
    """Where components run unless the topology says otherwise."""

    @staticmethod
    def get_isolation_level(context: ExecutionContext, component_type: str) -> Isolation:
        """The level for a component type; types that the tables do not name are shared.

        A run with one thread has nowhere to isolate anything, so that all is shared there: this is what a replay and a
        parallel backtest with `thread_model: SINGLE_THREADED` or `ASYNC_SINGLE` get. PROCESS_PARALLEL is about
        processes, whatever the mode.
        """
        if context.execution_mode is ExecutionMode.BACKTEST_SINGLE:
            return Isolation.SHARED
        if context.is_optimization or context.is_multi_process:
            return Isolation.PROCESS_ISOLATED
        if context.is_live:
            return _LIVE_ISOLATION.get(component_type, Isolation.SHARED)
        if not context.is_multi_threaded:
            return Isolation.SHARED
        return _ISOLATION.get(component_type, Isolation.SHARED)

    @staticmethod
    def should_use_locks(context: ExecutionContext, component_type: str) -> bool:
        """Whether more than one thread may reach the component's state."""
        if context.execution_mode is ExecutionMode.BACKTEST_SINGLE:
            return False
        if context.is_live:
            return True
        if context.is_optimization:
            return component_type in _SHARED_IN_OPTIMIZATION
        return context.is_multi_threaded


class ThreadSynchronizationGuidelines:
    """With what components guard the state that threads share."""

    @staticmethod
    def get_recommended_sync_primitives(context: ExecutionContext, component_type: str) -> list[str]:
        """Names of primitives: none, lock, thread_local, event, queue."""
        if context.execution_mode is ExecutionMode.BACKTEST_SINGLE:
            return ["none"]
        table = {**_PRIMITIVES, **_LIVE_PRIMITIVES} if context.is_live else _PRIMITIVES
        return list(table.get(component_type, ("lock",)))

    @staticmethod
    def get_lock_strategy(context: ExecutionContext, component_type: str) -> LockStrategy:
        """The strategy for the thread model.

        A data handler, a portfolio and an order manager get theirs in every multi-threaded context, the other types in
        no single-threaded backtest. Whether to lock at all is `should_use_locks`; `lock_for` asks both.
        """
        if not context.is_multi_threaded:
            return LockStrategy.NONE
        if component_type in _STRATEGIES:
            return _STRATEGIES[component_type]
        if context.execution_mode is ExecutionMode.BACKTEST_SINGLE:
            return LockStrategy.NONE
        return LockStrategy.REENTRANT_LOCK
