"""What a host gives its components beside its own thread: pools, limits, and somebody to tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from typing import Any

from bus.errors import ComponentError

POLL_S = 0.1


@dataclass(frozen=True)
class SlowHandler:
    """A handler that held its event loop. `seconds` is how long when it was noticed, `stack` where it was then."""

    component: str
    handler: str
    seconds: float
    stack: str

    def __str__(self) -> str:
        return (
            f"{self.component}.{self.handler} has held its event loop for {self.seconds:g} s, and nothing else on that "
            f"loop was served meanwhile. Where it is:\n{self.stack.rstrip()}"
        )


@dataclass(frozen=True)
class Means:
    """The defaults are those of a host that stands alone, as in tests.

    `pool` gives the thread pool for a component type. `check` is called while the host waits for its components, and
    raises to give up; `on_slow` is called by a watching thread. `break_in` raises an error in the host's thread while
    it runs a handler, if that is the thread and the error is still due.
    """

    timeout_s: float = 60.0
    slow_handler_s: float = 1.0
    pool: Callable[[str], Executor] | None = None
    check: Callable[[], None] = lambda: None
    on_slow: Callable[[SlowHandler], None] = lambda _: None
    break_in: Callable[[int, Callable[[], BaseException | None]], None] = lambda _thread, _error: None

    def executor(self, component_type: str) -> Executor:
        """The pool for a component type.

        Raises:
            LookupError: this host has none.
        """
        if self.pool is None:
            raise LookupError(f"this host has no thread pool for a {component_type}")
        return self.pool(component_type)


def submit(pool: Executor, names: str, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Hand work of some components to a pool.

    Raises:
        ComponentError: the pool is broken: its workers could not start.
    """
    try:
        return pool.submit(function, *arguments)
    except BrokenExecutor as error:
        raise ComponentError(names, f"its thread pool is broken: {error}") from error


def result_of(future: Future[Any], names: str, timeout_s: float, check: Callable[[], None]) -> Any:
    """Wait for the end of a handler on a pool.

    Raises:
        ComponentError: it did not come within `timeout_s`, or the pool is broken.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return future.result(POLL_S)
        except BrokenExecutor as error:
            raise ComponentError(names, f"its thread pool is broken: {error}") from error
        except TimeoutError:
            # No handler's: those come as ComponentError.
            check()
        if time.monotonic() > deadline:
            raise silent(names, timeout_s)


def silent(names: str, timeout_s: float) -> ComponentError:
    """The error of components that do not answer."""
    return ComponentError(names, f"did not answer within {timeout_s:g} s; is a handler blocked?")
