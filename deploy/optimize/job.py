"""One run of a trial, as a worker does it: a topology, settings, and where the shared data lie."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.errors import AdmfError, ConfigError
from deploy.launcher import RunResult, launch
from deploy.optimize.market_data import SharedData, with_shared_data
from deploy.plan import Placement, make_plan
from deploy.run_folder import COMPLETED, FAILED, INTERRUPTED
from deploy.stopping import Interrupted, StopRequest

INVALID = "invalid"
"""The topology refuses this combination of parameters."""


@dataclass(frozen=True)
class Job:
    """What a worker needs, and nothing that depends on which worker it is. Paths are absolute."""

    config: Path
    settings: tuple[str, ...]
    run_dir: Path
    shared: tuple[SharedData, ...] = ()
    capture: str = "digest"
    keep: bool = False

    @property
    def all_settings(self) -> tuple[str, ...]:
        """The settings with those that say where the run is kept."""
        from deploy.optimize.space import setting

        return (*self.settings, setting("bus.run_dir", str(self.run_dir)), setting("bus.capture", self.capture))


_COUNTED = {"bars": "Bar", "orders": "Order", "fills": "Fill"}


@dataclass(frozen=True)
class Outcome:
    """What a job gave. `status` is completed, failed, interrupted or invalid; `elapsed_s` is wall clock."""

    status: str
    statistics: dict[str, Any] = field(default_factory=dict)
    digest: str | None = None
    error: str = ""
    elapsed_s: float = 0.0
    run_dir: str = ""
    pid: int = 0


class _WorkerStop(StopRequest):
    """Ends a run whose search was killed: a worker that has lost its parent has nobody to answer to."""

    def __init__(self) -> None:
        super().__init__()
        self._parent = os.getppid()

    def check(self) -> None:
        if os.getppid() != self._parent:
            raise Interrupted("the search that this run belongs to is gone")
        super().check()


def run_job(job: Job) -> Outcome:
    """Run it in this thread. What goes wrong is in the outcome, so that one bad point does not end a search."""
    started = time.perf_counter()
    try:
        plan = make_plan(job.config, job.all_settings, Placement.LOCAL)
    except ConfigError as error:
        return Outcome(INVALID, error=str(error), pid=os.getpid())
    try:
        result = launch(with_shared_data(plan, job.shared), stop=_WorkerStop())
    except AdmfError as error:
        return Outcome(FAILED, error=str(error), pid=os.getpid())
    if not job.keep:
        shutil.rmtree(result.run_dir, ignore_errors=True)
    return Outcome(
        status=result.status if result.status in (COMPLETED, INTERRUPTED) else FAILED,
        statistics={**_counts(result), **result.statistics},
        digest=result.digest,
        error=result.error,
        elapsed_s=time.perf_counter() - started,
        run_dir=result.run_dir if job.keep else "",
        pid=os.getpid(),
    )


def _counts(result: RunResult) -> dict[str, int]:
    """How much happened, for objectives and constraints: `trades >= 30`."""
    return {"trades": len(result.trades), **{key: result.counts.get(name, 0) for key, name in _COUNTED.items()}}
