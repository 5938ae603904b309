"""Event loops for `async def` handlers: one that its host drives, or one in a thread of its own; both watched.

A handler is driven step by step, from one `await` to the next. Each step holds the component's lock, so that none is
held across an `await`, and is timed by a thread that the loop cannot hold up.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from bus.errors import ComponentError
from bus.runtime.affinity import thread_affinity
from bus.runtime.means import POLL_S, Means, SlowHandler

_GRACE_S = 1.0
_LEAST_LOOK_S = 0.01

Wait = Callable[[], Any]


@dataclass(slots=True)
class Step:
    """What is running on a loop now. `started` is in seconds of the monotonic clock."""

    component: str
    handler: str
    thread: int
    started: float
    reported: bool = False
    """Whether it was called slow."""
    broken_off: bool = False


def new_loop(in_main_thread: bool) -> asyncio.AbstractEventLoop:
    """uvloop's, where it is installed, else the standard library's.

    The main thread drives its loop message by message, and there uvloop sets up signals each time: measured, a message
    costs 28 us with it and 10 without; in other threads 8 with it and 11 without.
    """
    if in_main_thread:
        return asyncio.new_event_loop()
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class Watch:
    """Looks at a loop from a thread of its own, for a loop that is held cannot look itself. `step` is what runs now."""

    def __init__(self, name: str, means: Means) -> None:
        self.step: Step | None = None
        self._means = means
        self._closed = threading.Event()
        threading.Thread(target=self._look, name=f"watch of {name}", daemon=True).start()

    def close(self) -> None:
        """Look no longer."""
        self._closed.set()

    def _look(self) -> None:
        means = self._means
        pause = max(_LEAST_LOOK_S, min(means.slow_handler_s, means.timeout_s) / 4)
        while not self._closed.wait(pause):
            step = self.step
            if step is None:
                continue
            lasts = time.monotonic() - step.started
            if lasts > means.slow_handler_s and not step.reported:
                step.reported = True
                means.on_slow(SlowHandler(step.component, step.handler, round(lasts, 3), _stack(step.thread)))
            if lasts > means.timeout_s and not step.broken_off:
                step.broken_off = True
                means.break_in(step.thread, partial(self._held, step))

    def _held(self, step: Step) -> ComponentError | None:
        """The error of a step that holds the loop, None when it does not any more."""
        if self.step is not step:
            return None
        text = f"{step.handler} held its event loop for more than {self._means.timeout_s:g} s; is it blocked?"
        return ComponentError(step.component, text)


class HandlerLoop:
    """A loop that is driven by whoever waits for what was started on it."""

    def __init__(self, name: str, means: Means, in_main_thread: bool | None = None) -> None:
        self._means = means
        if in_main_thread is None:
            in_main_thread = threading.current_thread() is threading.main_thread()
        self._loop = new_loop(in_main_thread)
        self._begun: dict[str, float] = {}
        """Component to when its handler that goes on, or its last one, began."""
        self._loop.set_exception_handler(self._on_background_error)
        self._background: BaseException | None = None
        self._late: set[asyncio.Future[Any]] = set()
        self._is_closing = False
        self.watch = Watch(name, means)

    def start(self, component: str, coroutine: Coroutine[Any, Any, Any]) -> Wait:
        """Start a coroutine of a component; calling what is returned gives its result.

        Raises:
            ComponentError: the loop has ended, the coroutine did not finish within the host's time-out or was
                cancelled, or something that an earlier handler left behind has failed.
        """
        if self._loop.is_closed():
            coroutine.close()
            raise ComponentError(component, "its event loop was closed; the loop is the host's, leave it open")
        task = self._loop.create_task(coroutine)
        return lambda: self._drive(component, task)

    def run(
        self, component: str, handler: str, coroutine: Coroutine[Any, Any, Any], lock: AbstractContextManager[Any]
    ) -> Any:
        """Run a handler to its end, step by step."""

        async def to_its_end() -> Any:
            return await self.steps(component, handler, coroutine, lock)

        return self.start(component, to_its_end())()

    @types.coroutine
    def steps(
        self, component: str, handler: str, coroutine: Coroutine[Any, Any, Any], lock: AbstractContextManager[Any]
    ) -> Generator[Any, Any, Any]:
        """The coroutine, each step of it under the lock and known to the watch."""
        send, thread, watch = coroutine.send, threading.get_ident(), self.watch
        self._begun[component] = time.monotonic()
        go: Callable[[Any], Any] = send
        argument: Any = None
        while True:
            watch.step = Step(component, handler, thread, time.monotonic())
            try:
                with lock:
                    awaited = go(argument)
            except StopIteration as end:
                return end.value
            finally:
                watch.step = None
            try:
                go, argument = send, (yield awaited)
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:
                go, argument = coroutine.throw, error

    def close(self) -> None:
        """Cancel what still runs, let it clean up, and close the loop. One that is blocked goes with the process."""
        self._is_closing = True
        self.watch.close()
        if self._loop.is_running() or self._loop.is_closed():
            return
        try:
            self._loop.run_until_complete(_wind_up(_GRACE_S))
        finally:
            self._loop.close()

    def _drive(self, component: str, task: asyncio.Task[Any]) -> Any:
        if not task.done():
            self._begun[component] = time.monotonic()
            timer = self._loop.call_later(self._means.timeout_s, self._time_out, component, task)
            try:
                self._loop.run_until_complete(task)
            except (Exception, asyncio.CancelledError):
                # The loop was stopped, or it is an error of the task, which comes again with its result.
                if task not in self._late and not task.done():
                    raise ComponentError(component, "its event loop was stopped before the handler was done") from None
            finally:
                timer.cancel()
                if self._is_closing:
                    # It was given up while a handler held it.
                    self.close()
        return self._result(component, task)

    def _result(self, component: str, task: asyncio.Task[Any]) -> Any:
        if task in self._late:
            raise ComponentError(
                component, f"did not finish within {self._means.timeout_s:g} s; what it awaits is late"
            )
        if task.cancelled():
            raise ComponentError(component, "its handler was cancelled")
        result = task.result()
        if self._background is not None:
            raise ComponentError(component, f"a task that a handler left behind failed: {self._background!r}")
        return result

    def _time_out(self, component: str, task: asyncio.Task[Any]) -> None:
        """Cancel a handler that has taken too long. The task may have got to a later one, which has its own time."""
        if task.done():
            return
        left = self._left(component)
        if left > 0:
            self._loop.call_later(left, self._time_out, component, task)
            return
        self._late.add(task)
        task.cancel()
        self._loop.call_later(_GRACE_S, self._give_up, task)

    def _left(self, component: str) -> float:
        """How many seconds the component's handler still has."""
        return self._begun[component] + self._means.timeout_s - time.monotonic()

    def _give_up(self, task: asyncio.Task[Any]) -> None:
        if not task.done():
            self._loop.stop()

    def _on_background_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._background = self._background or context.get("exception") or RuntimeError(context["message"])


class LoopThread(HandlerLoop):
    """A loop in a thread of its own."""

    def __init__(self, name: str, means: Means, affinity: tuple[int, ...] = ()) -> None:
        super().__init__(name, means, in_main_thread=False)
        self._thread = threading.Thread(target=self._serve, name=f"loop of {name}", daemon=True)
        with thread_affinity(f"component {name}", affinity):
            self._thread.start()

    def start(self, component: str, coroutine: Coroutine[Any, Any, Any]) -> Wait:
        """As `HandlerLoop.start`."""
        if not self._thread.is_alive():
            coroutine.close()
            raise self._ended(component)
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return lambda: self._await(component, future)

    def close(self) -> None:
        """As `HandlerLoop.close`."""
        self._is_closing = True
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(_wind_up(_GRACE_S), self._loop).add_done_callback(self._stop)
            self._thread.join(2 * _GRACE_S)
        super().close()

    def _serve(self) -> None:
        self._loop.run_forever()
        if self._is_closing:
            self._loop.close()

    def _stop(self, _: Future[None]) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _await(self, component: str, future: Future[Any]) -> Any:
        self._begun[component] = time.monotonic()
        while True:
            try:
                result = future.result(POLL_S)
                break
            except TimeoutError:
                self._means.check()
            if not self._thread.is_alive():
                raise self._ended(component)
            if self._left(component) < 0:
                future.cancel()
                raise ComponentError(component, self._why_late())
        if self._background is not None:
            raise ComponentError(component, f"a task that a handler left behind failed: {self._background!r}")
        return result

    def _why_late(self) -> str:
        step = self.watch.step
        text = f"did not finish within {self._means.timeout_s:g} s; "
        return text + (f"{step.handler} holds its event loop" if step else "what it awaits is late")

    def _ended(self, component: str) -> ComponentError:
        return ComponentError(component, "its event loop has ended, and its thread with it")


async def _wind_up(grace_s: float) -> None:
    """Cancel every other task and wait for their ends; those that will not end are not complained of."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        done, stubborn = await asyncio.wait(others, timeout=grace_s)
        for task in done:
            if not task.cancelled():
                task.exception()
        for task in stubborn:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 (as asyncio does itself)
    await asyncio.get_running_loop().shutdown_asyncgens()


def _stack(thread: int) -> str:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 (the only way to see another thread's stack)
    return "".join(traceback.format_stack(frame)) if frame else ""
