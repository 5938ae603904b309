"""The execution context: what a run is for and how its messages are served, known to whatever runs inside it."""

from __future__ import annotations

from contextvars import ContextVar
from types import TracebackType
from typing import Final

from bus.runtime.modes import DEFAULT_THREAD_MODELS, ExecutionMode, ThreadModel

_BACKTESTS: Final = frozenset(
    {ExecutionMode.BACKTEST_SINGLE, ExecutionMode.BACKTEST_PARALLEL, ExecutionMode.OPTIMIZATION}
)
_LIVE: Final = frozenset({ExecutionMode.LIVE_TRADING, ExecutionMode.PAPER_TRADING})
_ONE_THREAD: Final = frozenset({ThreadModel.SINGLE_THREADED, ThreadModel.ASYNC_SINGLE})
_ASYNC: Final = frozenset({ThreadModel.ASYNC_SINGLE, ThreadModel.ASYNC_MULTI})


class ExecutionContext:
    """An execution mode with a thread model, its mode's default when none is given.

    As a context manager it is the current context inside the block, and the outer one is current again afterwards. One
    context may be entered any number of times, by several threads and tasks at once. "Current" is a matter of the
    thread or asyncio task: a task starts with the context of whoever made it, a worker of a `ThreadPoolManager` with
    the manager's, and another new thread with none.
    """

    def __init__(
        self, name: str, execution_mode: ExecutionMode | str, thread_model: ThreadModel | str | None = None
    ) -> None:
        self.name = name
        self.execution_mode = ExecutionMode(execution_mode)
        self.names_thread_model = thread_model is not None
        self.thread_model = ThreadModel(thread_model or DEFAULT_THREAD_MODELS[self.execution_mode])

    @staticmethod
    def get_current() -> ExecutionContext | None:
        """The context of the calling thread or task, or None outside of any."""
        stack = _stack.get()
        return stack[-1] if stack else None

    @staticmethod
    def set_current(context: ExecutionContext | None) -> None:
        """Make a context the current one until the surrounding `with` block ends, if there is one."""
        _stack.set((*_stack.get()[:-1], context))

    def __enter__(self) -> ExecutionContext:
        _stack.set((*_stack.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _stack.set(_stack.get()[:-1])

    def __repr__(self) -> str:
        return f"ExecutionContext({self.name!r}, {self.execution_mode}, {self.thread_model})"

    @property
    def is_backtest(self) -> bool:
        """Historical data, also in the many backtests of an optimization."""
        return self.execution_mode in _BACKTESTS

    @property
    def is_optimization(self) -> bool:
        """Many backtests in parallel."""
        return self.execution_mode is ExecutionMode.OPTIMIZATION

    @property
    def is_live(self) -> bool:
        """The real market, with real or with simulated orders."""
        return self.execution_mode in _LIVE

    @property
    def is_replay(self) -> bool:
        """A captured log, again."""
        return self.execution_mode is ExecutionMode.REPLAY

    @property
    def is_multi_threaded(self) -> bool:
        """More than one thread of a process may be at work: every model but SINGLE_THREADED and ASYNC_SINGLE."""
        return self.thread_model not in _ONE_THREAD

    @property
    def is_multi_process(self) -> bool:
        """Work is spread over processes."""
        return self.thread_model is ThreadModel.PROCESS_PARALLEL

    @property
    def is_async(self) -> bool:
        """Event loops serve the messages."""
        return self.thread_model in _ASYNC


# A tuple of all contexts that were entered, not tokens of one variable: tokens cannot be shared between threads.
_stack: ContextVar[tuple[ExecutionContext | None, ...]] = ContextVar("admf_execution_context", default=())
