"""Where jobs run: local processes, a Dask cluster, or this process, compiled or not."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

from bus.errors import AdmfError, ConfigError
from deploy.optimize.extras import need
from deploy.optimize.job import Job, Outcome, run_job
from deploy.optimize.pool import DEATHS, LocalWorkers
from deploy.optimize.section import OptimizationSection
from deploy.run_folder import FAILED, INTERRUPTED
from deploy.stopping import Interrupted

_POLL_S = 0.2


class Workers(Protocol):
    """What runs jobs. `replaced` counts the workers that have died and were replaced here."""

    @property
    def replaced(self) -> int:
        """How many."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """Each job's place in `jobs` and what it gave, as they end.

        Raises:
            AdmfError: the workers are lost, or the search is to stop.
        """

    def close(self) -> None:
        """End the workers, whatever they do."""


class FutureWorkers:
    """Jobs on an executor of `concurrent.futures` that looks after its own workers.

    `run` is what runs a job there, `end` is called at the end, `width` is how many jobs are handed over at a time;
    `check` is called all the time and raises when the search is to stop.
    """

    replaced = 0

    def __init__(
        self,
        executor: Executor,
        end: Callable[[], None],
        width: int,
        check: Callable[[], None],
        run: Callable[[Job], Outcome] = run_job,
    ) -> None:
        self._executor = executor
        self._run = run
        self._end = end
        self._width = width
        self._check = check

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """As `Workers` says."""
        waiting = deque(range(len(jobs)))
        running: dict[Future[Outcome], int] = {}
        interrupted: Counter[int] = Counter()
        while waiting or running:
            self._check()
            while waiting and len(running) < self._width:
                place = waiting.popleft()
                running[self._executor.submit(self._run, jobs[place])] = place
            done, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                place, outcome = running.pop(future), _outcome(future)
                interrupted[place] += outcome.status == INTERRUPTED
                if outcome.status == INTERRUPTED and interrupted[place] < DEATHS:
                    # Its worker was told to stop, and left.
                    waiting.appendleft(place)
                else:
                    yield place, outcome

    def close(self) -> None:
        """End the connection; what runs somewhere else is dropped there."""
        self._executor.shutdown(wait=False)
        self._end()


def _outcome(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
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
        return FutureWorkers(_Inline(), lambda: None, 1, check)
    if section.executor == "dask":
        return _open_dask(section, check)
    width = section.workers or len(os.sched_getaffinity(0))
    if section.executor == "compiled":
        return _open_compiled(width, check)
    return LocalWorkers(width, check, section.trial_timeout_s)


def _open_compiled(width: int, check: Callable[[], None]) -> Workers:
    from deploy.optimize.compiled.sweep import Sweep

    # The loop lets go of the interpreter's lock.
    return FutureWorkers(ThreadPoolExecutor(width), lambda: None, width, check, Sweep().run)


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
    return FutureWorkers(client.get_executor(), client.close, section.workers or threads, check)
