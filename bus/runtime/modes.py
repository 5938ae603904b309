"""Execution modes, thread models and isolation levels, under the specification's names."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ExecutionMode(StrEnum):
    """What a run is for."""

    BACKTEST_SINGLE = "BACKTEST_SINGLE"
    """Backtest in one thread: fastest, no locks."""
    BACKTEST_PARALLEL = "BACKTEST_PARALLEL"
    """Backtest whose components run in threads or processes of their own."""
    OPTIMIZATION = "OPTIMIZATION"
    """Many backtests in parallel."""
    LIVE_TRADING = "LIVE_TRADING"
    """Real market, real orders."""
    PAPER_TRADING = "PAPER_TRADING"
    """Real market, simulated orders."""
    REPLAY = "REPLAY"
    """A captured log, again."""


class ThreadModel(StrEnum):
    """How the messages of a run, or of one component, are served."""

    SINGLE_THREADED = "SINGLE_THREADED"
    MULTI_THREADED = "MULTI_THREADED"
    PROCESS_PARALLEL = "PROCESS_PARALLEL"
    ASYNC_SINGLE = "ASYNC_SINGLE"
    ASYNC_MULTI = "ASYNC_MULTI"
    MIXED = "MIXED"


class Isolation(StrEnum):
    """Where a component runs."""

    SHARED = "shared"
    """In the main thread, with the others there."""
    ISOLATED = "isolated"
    """State and inbox of its own, on the mode's thread pool."""
    THREAD_ISOLATED = "thread_isolated"
    """A thread of its own."""
    PROCESS_ISOLATED = "process_isolated"
    """A process of its own, over ZeroMQ."""


DEFAULT_THREAD_MODELS: Final[dict[ExecutionMode, ThreadModel]] = {
    ExecutionMode.BACKTEST_SINGLE: ThreadModel.SINGLE_THREADED,
    ExecutionMode.BACKTEST_PARALLEL: ThreadModel.MULTI_THREADED,
    ExecutionMode.OPTIMIZATION: ThreadModel.PROCESS_PARALLEL,
    ExecutionMode.LIVE_TRADING: ThreadModel.ASYNC_MULTI,
    ExecutionMode.PAPER_TRADING: ThreadModel.ASYNC_MULTI,
    ExecutionMode.REPLAY: ThreadModel.SINGLE_THREADED,
}
