"""Jobs of a search as compiled runs, in threads of this process."""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bus.errors import AdmfError, ConfigError
from bus.runtime.clock import Clock
from deploy.optimize.compiled.program import Market, market_of, program_of
from deploy.optimize.compiled.refusals import refusals
from deploy.optimize.job import INVALID, Job, Outcome
from deploy.optimize.market_data import SharedData, with_shared_data
from deploy.plan import Placement, Plan, plan_of
from deploy.run_folder import COMPLETED, FAILED
from deploy.topology import apply_settings, read_yaml


class Sweep:
    """Runs jobs, and keeps what all trials share: the topology's content, and the bars of each period."""

    def __init__(self) -> None:
        self._contents: dict[Path, dict[str, Any]] = {}
        self._markets: dict[str, Market] = {}
        self._lock = threading.Lock()

    def run(self, job: Job) -> Outcome:
        """As `run_job` does, but without digest, log and run folder. What goes wrong is in the outcome."""
        started = time.perf_counter()
        try:
            plan = self._plan(job)
        except ConfigError as error:
            return Outcome(INVALID, error=str(error), pid=os.getpid())
        if reasons := refusals(plan):
            return Outcome(INVALID, error="; ".join(reasons), pid=os.getpid())
        try:
            program = program_of(plan, self._market(plan, job.shared))
            found = program.statistics(program.run(), _convention(plan))
        except AdmfError as error:
            return Outcome(FAILED, error=str(error), pid=os.getpid())
        return Outcome(COMPLETED, found, elapsed_s=time.perf_counter() - started, pid=os.getpid())

    def _plan(self, job: Job) -> Plan:
        with self._lock:
            if job.config not in self._contents:
                self._contents[job.config] = read_yaml(job.config)
            content = copy.deepcopy(self._contents[job.config])
        apply_settings(content, job.settings)
        return plan_of(content, job.config, Placement.LOCAL)

    def _market(self, plan: Plan, shared: Sequence[SharedData]) -> Market:
        """The bars as the plan's data handler would stream them."""
        run = plan.context.run
        handler: Any = next(e.component for e in plan.entries if e.component.component_type == "data_handler")
        key = f"{handler.parameters.model_dump_json()}/{run.symbols}/{run.start_date}/{run.end_date}"
        with self._lock:
            if key not in self._markets:
                self._markets[key] = _read(with_shared_data(plan, shared))
            return self._markets[key]


def _read(plan: Plan) -> Market:
    handler: Any = next(e.component for e in plan.entries if e.component.component_type == "data_handler")
    handler.initialize(plan.context, lambda _message: None, Clock())
    bars: Any = handler._bars  # noqa: SLF001 (as the handler has read them)
    return market_of(bars.symbols, bars.ts + handler.parameters.shift_ns, bars.code, bars.values)


def _convention(plan: Plan) -> Any:
    coordinator: Any = next(e.component for e in plan.entries if e.component.component_type == "coordinator")
    return coordinator.parameters.risk_convention
