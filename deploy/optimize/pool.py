"""Local worker processes, each with a pipe of its own: what happens to one concerns no other.

`concurrent.futures.ProcessPoolExecutor` will not do. Its workers share two queues and their locks; when one dies it
sends SIGTERM to the others and waits for their end without a limit, holding the lock that `shutdown` needs. A run takes
SIGTERM for a request to stop soon, so its worker outlives it, and both wait for ever.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait

from bus.errors import AdmfError
from bus.runtime.garbage import never_collect_what_is_there
from deploy.optimize.job import Job, Outcome, run_job
from deploy.run_folder import FAILED, INTERRUPTED

DEATHS: int = 3
"""A job is given up when so many workers have died of it."""
_FALSE_STARTS = 10
"""The search is given up when so many workers in a row have ended before they were ready."""
_POLL_S = 0.2
_GRACE_S = 1.0
_END_S = 5.0

# Spawned, never forked: a fork copies locks that other threads hold.
_SPAWN = multiprocessing.get_context("spawn")

RunJob = Callable[[Job], Outcome]


class LocalWorkers:
    """Runs batches of jobs on up to `width` processes, started when they are needed and kept for the next batch.

    `check` is called all the time and raises when the search is to stop. A job that takes longer than `timeout_s`
    fails. `replaced` counts the workers that have died or were ended for taking too long.
    """

    def __init__(
        self, width: int, check: Callable[[], None], timeout_s: float | None = None, run: RunJob = run_job
    ) -> None:
        self.width = width
        self.replaced = 0
        self._check = check
        self._timeout_s = timeout_s
        self._run = run
        self._workers: list[_Worker] = []
        self._false_starts = 0
        self._deaths: Counter[int] = Counter()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """Each job's place in `jobs` and what it gave, as they end.

        Raises:
            AdmfError: the search is to stop, or workers cannot be started.
        """
        waiting = deque(range(len(jobs)))
        self._deaths = Counter()
        try:
            while waiting or any(worker.is_busy for worker in self._workers):
                self._check()
                self._hand_over(jobs, waiting)
                wait([worker.pipe for worker in self._workers], _POLL_S)
                for worker in tuple(self._workers):
                    yield from self._look_at(worker, waiting)
        finally:
            # Only busy when the caller went away: their outcomes belong to no batch any more.
            self._end([worker for worker in self._workers if worker.is_busy])

    def close(self) -> None:
        """End all workers, whatever they do."""
        self._end(self._workers)

    def _hand_over(self, jobs: Sequence[Job], waiting: deque[int]) -> None:
        needed = len(waiting) + sum(worker.is_busy for worker in self._workers)
        while len(self._workers) < min(self.width, needed):
            self._workers.append(_start(self._run))
        for worker in self._workers:
            if waiting and worker.is_idle:
                place = waiting.popleft()
                worker.give(place, jobs[place])

    def _look_at(self, worker: _Worker, waiting: deque[int]) -> Iterator[tuple[int, Outcome]]:
        """Take what the worker has to say, or see that it says nothing any more."""
        said = worker.hear()
        if worker.is_ready:
            self._false_starts = 0
        place = worker.place
        if isinstance(said, Outcome) and said.status != INTERRUPTED:
            assert place is not None, "only a worker that was given a job answers"
            worker.place = None
            yield place, said
        elif said is not None or not worker.is_alive:
            yield from self._after_death(worker, waiting)
        elif place is not None and self._timeout_s is not None and worker.busy_s > self._timeout_s:
            self._replace(worker)
            yield place, Outcome(FAILED, error=f"it took longer than trial_timeout_s allows ({self._timeout_s:g} s)")

    def _after_death(self, worker: _Worker, waiting: deque[int]) -> Iterator[tuple[int, Outcome]]:
        place = worker.place
        # Its pipe ends a little before its process does, and how that ends is worth knowing.
        how = self._replace(worker, _GRACE_S)
        self._false_starts += not worker.is_ready
        if self._false_starts >= _FALSE_STARTS:
            raise AdmfError(f"workers cannot be started: {_FALSE_STARTS} in a row ended at once, the last {how}")
        if place is None:
            return
        self._deaths[place] += 1
        if self._deaths[place] < DEATHS:
            waiting.appendleft(place)
        else:
            yield place, Outcome(FAILED, error=f"its worker died {DEATHS} times, {how}")

    def _replace(self, worker: _Worker, grace_s: float = 0.0) -> str:
        """End a worker, whose successor is started when it is needed. How it ended."""
        self.replaced += 1
        self._workers.remove(worker)
        return worker.end(grace_s)

    def _end(self, workers: Sequence[_Worker]) -> None:
        for worker in tuple(workers):
            self._workers.remove(worker)
            worker.end()


class _Worker:
    """A process, our end of its pipe, and the place of the job that it has."""

    def __init__(self, process: multiprocessing.process.BaseProcess, pipe: Connection) -> None:
        self.pipe = pipe
        self.place: int | None = None
        self.is_ready = False
        self._process = process
        self._given_at = 0.0

    @property
    def is_busy(self) -> bool:
        return self.place is not None

    @property
    def is_idle(self) -> bool:
        return self.is_ready and self.place is None

    @property
    def is_alive(self) -> bool:
        """Whether there is anything left to hear: what a process wrote before its end counts."""
        return self._process.is_alive() or self.pipe.poll()

    @property
    def busy_s(self) -> float:
        """How long it has had its job, by the wall clock."""
        return time.monotonic() - self._given_at

    def give(self, place: int, job: Job) -> None:
        self.place = place
        self._given_at = time.monotonic()
        with contextlib.suppress(OSError):  # it is dead, which will be seen when it is looked at
            self.pipe.send(job)

    def hear(self) -> Outcome | EOFError | None:
        """An outcome, that the pipe has ended, or None: nothing (new)."""
        try:
            if not self.pipe.poll():
                return None
            said = self.pipe.recv()
        except (EOFError, OSError):
            return EOFError()
        self.is_ready = True
        return said  # type: ignore[no-any-return]

    def end(self, grace_s: float = 0.0) -> str:
        """End it if it has not ended by itself in `grace_s`, and say how it did."""
        self._process.join(grace_s)
        self._process.kill()
        self._process.join(_END_S)
        code = self._process.exitcode
        self.pipe.close()
        return f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"


def _start(run: RunJob) -> _Worker:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, run), name="worker of a search")
    try:
        process.start()
    except OSError as error:
        raise AdmfError(f"a worker cannot be started: {error}; try a smaller optimization.workers") from None
    finally:
        # Only the worker may hold its end, so that its death ends the pipe.
        theirs.close()
    return _Worker(process, ours)


def _serve(pipe: Connection, run: RunJob) -> None:
    """In a worker: say that it is ready, then answer each job with its outcome, until the search hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search
    threading.Thread(target=_end_with_parent, daemon=True).start()
    never_collect_what_is_there()
    with contextlib.suppress(EOFError, OSError):
        pipe.send(None)
        while True:
            pipe.send(_outcome_of(run, pipe.recv()))


def _outcome_of(run: RunJob, job: Job) -> Outcome:
    try:
        return run(job)
    except Exception as error:
        return Outcome(FAILED, error=f"{type(error).__name__}: {error}")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
