"""Workers that are killed at random moments; `python -m tests.support.killing 200` does it so many times."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import NamedTuple

from deploy.optimize.job import Outcome
from deploy.optimize.pool import LocalWorkers
from deploy.run_folder import COMPLETED

PAYLOAD = "x" * 400_000
"""More than a pipe holds, so that workers are killed in the middle of what they say."""


def spins(job: int) -> Outcome:
    """A job of 0 to 5 ms, as if it were work."""
    until = time.perf_counter() + random.Random(job).random() * 0.005
    while time.perf_counter() < until:
        pass
    return Outcome(COMPLETED, {"job": job, "payload": PAYLOAD})


def waits_for_ever(_job: int) -> Outcome:
    """A job that never ends."""
    threading.Event().wait()
    raise AssertionError


def kills_its_worker(job: int) -> Outcome:
    """Odd jobs kill the process that they are in."""
    if job % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return spins(job)


def raises(job: int) -> Outcome:
    """Not what a run does, but what a fault of ours would."""
    raise LookupError(job)


def ends_at_once(_pipe: object, _run: object) -> None:
    """What a worker does that cannot even start."""


class Found(NamedTuple):
    """What came of the jobs, by job, and how many workers were killed and replaced."""

    outcomes: dict[int, Outcome]
    killed: int
    replaced: int


def run_while_killing(kills: int, seed: int, batch: int = 100, width: int = 2) -> Found:
    """Batches of jobs, one after another, until so many workers were killed at moments that the seed decides."""
    killed: list[int] = []
    outcomes: dict[int, Outcome] = {}
    workers = LocalWorkers(width, lambda: None, run=spins)  # type: ignore[arg-type]
    killer = threading.Thread(target=_kill, args=(kills, random.Random(seed), killed, outcomes), daemon=True)
    killer.start()
    try:
        while len(killed) < kills:
            first = len(outcomes)
            jobs = range(first, first + batch)
            for place, outcome in workers.run(jobs):  # type: ignore[arg-type]
                outcomes[first + place] = outcome
    finally:
        workers.close()
    killer.join()
    return Found(outcomes, len(killed), workers.replaced)


def _kill(kills: int, rng: random.Random, killed: list[int], outcomes: Sized) -> None:
    pause = threading.Event()
    while len(killed) < kills:
        # One in four hits a worker that is starting up, the others one that works, idles or is in the middle of a word.
        seen, early = len(outcomes), rng.random() < 0.25
        while not early and killed and len(outcomes) == seen:
            pause.wait(0.02)
        pause.wait(rng.choice((0.02, 0.2, 1.0)) * rng.random())
        alive = [pid for pid in _children() if pid not in killed]
        if alive:
            with contextlib.suppress(ProcessLookupError):
                pid = rng.choice(alive)
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)


def _children() -> Iterator[int]:
    """The workers among this process's children, dead ones left out."""
    for task in Path("/proc/self/task").iterdir():
        for pid in map(int, (task / "children").read_text().split()):
            with contextlib.suppress(OSError):
                if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text():
                    yield pid


if __name__ == "__main__":
    kills = int(sys.argv[1])
    for seed in range(1, 1 + kills // 50):
        begun = time.monotonic()
        found = run_while_killing(50, seed)
        wrong = {job: o for job, o in found.outcomes.items() if o.statistics.get("job") != job}
        assert all(o.error.startswith("its worker died 3 times") for o in wrong.values()), wrong
        elapsed_s = time.monotonic() - begun
        print(
            f"seed {seed}: {found.killed} killed, {found.replaced} replaced, {len(found.outcomes)} jobs, "
            f"{len(wrong)} given up, {elapsed_s:.1f} s",
            flush=True,
        )
