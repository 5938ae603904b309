"""Where jobs run: local processes, a Dask cluster, or this process. A killed worker costs time, not results."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from typing import Any

from bus.errors import AdmfError, ConfigError
from deploy.optimize.extras import need
from deploy.optimize.job import Job, Outcome, run_job
from deploy.optimize.section import OptimizationSection
from deploy.run_folder import FAILED, INTERRUPTED
from deploy.stopping import Interrupted

_DEATHS_TOGETHER = 2
"""After so many deaths of a pool under it, a job runs alone, so that the guilty one is known."""
_DEATHS = 4
"""After so many, the job is given up."""
_POLL_S = 0.2
_END_S = 5.0


class Workers:
    """Runs batches of jobs on an executor of `concurrent.futures`, and makes a new one when that breaks.

    `open_executor` makes one, `end` ends one at once, `width` is how many jobs are handed over at a time; `check` is
    called all the time and raises when the search is to stop.
    """

    def __init__(
        self,
        open_executor: Callable[[], Executor],
        end: Callable[[Executor], None],
        width: int,
        check: Callable[[], None],
    ) -> None:
        self.width = width
        self.rebuilt = 0
        self._open_executor = open_executor
        self._end = end
        self._check = check
        self._executor: Executor | None = None
        self._deaths: dict[int, int] = {}

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """Each job's place in `jobs` and what it gave, as they end.

        Raises:
            AdmfError: the cluster is lost, or the search is to stop.
        """
        waiting = deque(range(len(jobs)))
        running: dict[Future[Outcome], int] = {}
        self._deaths = {}
        while waiting or running:
            self._check()
            self._hand_over(jobs, waiting, running)
            done, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            dead: list[int] = []
            for future in done:
                place = running.pop(future)
                outcome = _outcome(future)
                if outcome is None or outcome.status == INTERRUPTED:
                    dead.append(place)
                else:
                    yield place, outcome
            if dead:
                # The pool takes all its workers with it when one dies.
                dead += running.values()
                running.clear()
                yield from self._after_deaths(dead, waiting)

    def close(self) -> None:
        """End the executor and its workers, whatever they do."""
        if self._executor is not None:
            self._end(self._executor)
            self._executor = None

    def _hand_over(self, jobs: Sequence[Job], waiting: deque[int], running: dict[Future[Outcome], int]) -> None:
        while waiting and len(running) < self.width:
            place = waiting[0]
            suspects = [p for p in (place, *running.values()) if self._deaths.get(p, 0) >= _DEATHS_TOGETHER]
            if suspects and running:
                return
            if self._executor is None:
                self._executor = self._open_executor()
            try:
                future = self._executor.submit(run_job, jobs[place])
            except BrokenExecutor:
                if running:
                    return
                # A worker died between two batches; nothing was under way in it.
                self._replace()
                continue
            running[future] = waiting.popleft()

    def _after_deaths(self, dead: list[int], waiting: deque[int]) -> Iterator[tuple[int, Outcome]]:
        self._replace()
        for place in sorted(dead, reverse=True):
            self._deaths[place] = self._deaths.get(place, 0) + 1
            if self._deaths[place] >= _DEATHS:
                yield place, Outcome(FAILED, error=f"its worker was killed {_DEATHS} times")
            else:
                waiting.appendleft(place)

    def _replace(self) -> None:
        self.close()
        self.rebuilt += 1


def _outcome(future: Future[Outcome]) -> Outcome | None:
    """What the job gave; None when its worker died."""
    try:
        return future.result()
    except BrokenExecutor:
        return None
    except CancelledError:
        raise AdmfError("the connection to the cluster was lost; start the same command again to go on") from None
    except Exception as error:
        return Outcome(FAILED, error=f"{type(error).__name__}: {error}")


def open_workers(section: OptimizationSection, check: Callable[[], None]) -> Workers:
    """As the section says.

    Raises:
        ConfigError: there is no cluster at the address, or Dask is not installed.
    """
    if section.executor == "inline":
        return Workers(_Inline, lambda executor: executor.shutdown(), 1, check)
    if section.executor == "dask":
        return _open_dask(section, check)
    width = section.workers or len(os.sched_getaffinity(0))
    return Workers(lambda: _open_pool(width), _end_pool, width, check)


class _Inline(Executor):
    """Runs a job when it is submitted, here: for a debugger, and for tests."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        outcome = fn(*args, **kwargs)
        if outcome.status == INTERRUPTED:
            # The run has heard the signal in place of the search.
            raise Interrupted(outcome.error)
        future.set_result(outcome)
        return future


def _open_pool(width: int) -> Executor:
    # Spawned, never forked: a fork copies locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(width, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    """In a new worker: leave Ctrl-C to the search, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        # An orphan would wait for ever: it holds the other end of the pipe that it reads its jobs from.
        parent.join()
        os._exit(1)


def _end_pool(executor: Executor) -> None:
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    for process in processes:
        process.join(_END_S)
        if process.is_alive():
            process.kill()
            process.join()


def _open_dask(section: OptimizationSection, check: Callable[[], None]) -> Workers:
    distributed = need("distributed", "dask", "executor: dask")
    try:
        client = distributed.Client(section.address, timeout=10, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(f"optimization.address: no Dask scheduler answers at {section.address}: {error}") from None
    threads = sum(client.nthreads().values())
    if not threads:
        client.close()
        raise ConfigError(f"optimization.address: the Dask cluster at {section.address} has no workers")

    def end(executor: Executor) -> None:
        executor.shutdown(wait=False)
        client.close()

    return Workers(client.get_executor, end, section.workers or threads, check)
