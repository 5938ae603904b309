"""`admf optimize`: checks, shares the data, searches every fold, tests its best, runs the chosen point once more."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import math
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.errors import AdmfError, ConfigError, Divergence
from deploy.launcher import RunResult, launch
from deploy.optimize.constraints import Constraint, parse_constraints, split_by_kind
from deploy.optimize.extras import need
from deploy.optimize.market_data import SharedData, first_and_last_ns, share
from deploy.optimize.sampling import make_pruner, make_sampler
from deploy.optimize.search import OnTrial, Search, Task
from deploy.optimize.section import OptimizationSection
from deploy.optimize.space import distributions, grid, setting, space_faults
from deploy.optimize.store import delete_studies, only_one, open_storage, open_store
from deploy.optimize.trial import Trial, best_of, judge, seed_of
from deploy.optimize.windows import Fold, Period, make_folds
from deploy.optimize.workers import Workers, open_workers
from deploy.plan import Placement, Plan, make_plan
from deploy.run_folder import COMPLETED, INTERRUPTED
from deploy.stopping import Interrupted, StopRequest

_NS_PER_S = 1_000_000_000
_MAY_CHANGE = {"study", "storage", "trials", "executor", "workers", "address", "trial_timeout_s", "keep_runs"}
"""What may differ between two starts of one search: it decides how long and where, not what is found."""


@dataclass
class FoldResult:
    """What the search over one fold gave: all trials, the best (or the Pareto front), and the test of the first of it.

    `commands` run the first of the best by hand: over the training, and over the test.
    """

    fold: Fold
    trials: list[Trial]
    best: list[Trial]
    test: Trial | None = None
    commands: tuple[str, ...] = ()


@dataclass
class SearchResult:
    """What a search gave.

    `command` does the chosen trial by hand, and `digest` is what that run gave, in `run_dir`; None without digests or
    without a feasible trial. `resumed` trials were in the study when the search began. Times are seconds of wall clock.
    """

    study: str
    folder: Path
    storage: str
    section: OptimizationSection
    folds: list[FoldResult] = field(default_factory=list)
    digest: str | None = None
    run_dir: str = ""
    workers_replaced: int = 0
    elapsed_s: float = 0.0
    resumed: int = 0

    @property
    def trials(self) -> list[Trial]:
        """Of all folds."""
        return [trial for result in self.folds for trial in result.trials]

    @property
    def chosen(self) -> Trial | None:
        """The best of the last fold, whose training is the most recent."""
        best = self.folds[-1].best if self.folds else []
        return best[0] if best else None

    @property
    def command(self) -> str:
        """The command line that does the chosen trial by hand."""
        return next(iter(self.folds[-1].commands), "") if self.folds else ""


@dataclass(frozen=True)
class Hooks:
    """Who is told of what: `on_begin` hears how many trials a fold has (None: not known), `on_trial` of each."""

    on_begin: Callable[[Fold, int | None], None] = lambda _fold, _count: None
    on_trial: OnTrial = lambda _fold, _trial, _best: None


def optimize(
    config: Path,
    settings: Sequence[str] = (),
    hooks: Hooks | None = None,
    stop: StopRequest | None = None,
    restart: bool = False,
) -> SearchResult:
    """Search as the topology file's `optimization` section says, going on where an earlier start ended.

    Raises:
        ConfigError, DataError: the section, the space, the data or the cluster are not as they should be.
        Interrupted: somebody asked to stop; what was found is in the study.
        Divergence: the chosen trial, run once more, gave another digest.
    """
    started = time.perf_counter()
    plan = make_plan(config, settings)
    section, constraints = checked_section(plan, settings)
    study = section.study or config.stem
    folder = plan.topology.bus.run_dir / "studies" / study
    folder.mkdir(parents=True, exist_ok=True)
    url = section.storage or f"sqlite:///{folder / 'study.db'}"
    result = SearchResult(study, folder, url, section)
    stop = stop or StopRequest()
    with only_one(folder), stop.listening(), open_storage(url) as storage, _temporary_runs(folder, section) as runs:
        if restart:
            delete_studies(storage, study)
        shared = tuple(share(plan, folder / "data"))
        task = Task(config, tuple(settings), section, tuple(constraints), shared, runs)
        folds = make_folds(_period(plan, section, shared), section.validation)
        workers = open_workers(section, stop.check)
        try:
            for fold in folds:
                store = open_store(
                    storage,
                    study if len(folds) == 1 else f"{study}/fold-{fold.number}",
                    section.objective,
                    distributions(section.parameters),
                    fingerprint(plan, section, shared, fold),
                )
                result.resumed += len(store.trials)
                (hooks or Hooks()).on_begin(fold, trial_count(section, constraints))
                search = Search(task, fold, store, workers, (hooks or Hooks()).on_trial)
                result.folds.append(_tested(task, fold, search.run(), workers))
        finally:
            workers.close()
        result.workers_replaced = workers.replaced
        _verify(task, result, stop)
    result.elapsed_s = time.perf_counter() - started
    return result


def checked_section(plan: Plan, settings: Sequence[str]) -> tuple[OptimizationSection, list[Constraint]]:
    """The section and its constraints, when nothing is wrong with them.

    Raises:
        ConfigError: with every fault that can be seen before the first run.
    """
    need("optuna", "optimize", "admf optimize")
    section = plan.topology.optimization
    if section is None:
        raise ConfigError(
            f"{plan.path}: has no `optimization:` section, which says what to search; configs/optimize.yaml is an "
            "example, and docs/optimization.md explains it"
        )
    constraints, faults = parse_constraints(section.constraints, section.parameters)
    if plan.is_live:
        faults.append(
            f"execution.mode: {plan.mode} is a run by the clock, which no other gives again; a search runs backtests"
        )
    if section.executor == "compiled":
        faults += _compiled_faults(plan)
    faults += space_faults(plan, settings, section)
    checks = (lambda: make_sampler(section, 0), lambda: make_pruner(section), lambda: _check_grid(section, constraints))
    for check in checks:
        try:
            check()
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)
    return section, constraints


def _compiled_faults(plan: Plan) -> list[str]:
    need("numba", "fast", "executor: compiled")
    from deploy.optimize.compiled.refusals import refusals

    return [f"{reason} (found for optimization.executor: compiled)" for reason in refusals(plan)]


def _check_grid(section: OptimizationSection, constraints: Sequence[Constraint]) -> None:
    if section.sampler.type == "grid" and trial_count(section, constraints) == 0:
        raise ConfigError("optimization.constraints: no cell of the grid meets them; widen parameters or constraints")


def trial_count(section: OptimizationSection, constraints: Sequence[Constraint]) -> int | None:
    """How many trials a fold will have."""
    if section.sampler.type != "grid":
        return section.trial_count
    before, _ = split_by_kind(constraints, section.parameters)
    cells = sum(1 for _ in grid(section.parameters, before))
    return cells if section.trials is None else min(cells, section.trials)


def fingerprint(plan: Plan, section: OptimizationSection, shared: Sequence[SharedData], fold: Fold) -> dict[str, str]:
    """Hashes of all that decides what a search finds: a study goes on only when they are as they were."""
    content = section.model_dump(mode="json", exclude=_MAY_CHANGE)
    return {
        "topology": plan.behaviour_hash(),
        "optimization section": _hash(json.dumps(content, sort_keys=True)),
        "data": _hash("/".join(data.content_hash for data in shared)),
        "period": str(fold.train or "as the topology says"),
    }


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _period(plan: Plan, section: OptimizationSection, shared: Sequence[SharedData]) -> Period | None:
    """What the search may use, or None where the days do not matter: then a run has the dates of the topology."""
    if section.validation is None and section.pruning is None:
        return None
    run = plan.context.run
    data = first_and_last_ns(shared)
    first, last = (_day(data[0]), _day(data[1])) if data else (None, None)
    start, end = run.start_date or first, run.end_date or last
    if start is None or end is None:
        raise ConfigError(
            "optimization: validation and pruning cut the period into parts, and its days are not known; give "
            "backtest.start_date and backtest.end_date"
        )
    return Period(start, end)


def _day(ns: int) -> dt.date:
    return dt.datetime.fromtimestamp(ns // _NS_PER_S, dt.UTC).date()


@contextlib.contextmanager
def _temporary_runs(folder: Path, section: OptimizationSection) -> Iterator[Path]:
    """Where the runs of trials lie; without `keep_runs` they are gone afterwards, those of a killed search too."""
    runs = (folder / "runs").resolve()
    try:
        yield runs
    finally:
        if not section.keep_runs:
            shutil.rmtree(runs, ignore_errors=True)


def _tested(task: Task, fold: Fold, trials: list[Trial], workers: Workers) -> FoldResult:
    """The fold's result, with its best run over the days that the search did not see."""
    best = best_of(trials, task.section.objective)
    result = FoldResult(fold, trials, best)
    if not best:
        return result
    chosen = best[0]
    seed = seed_of(task.section.seed, fold.number, chosen.number, 0)
    periods = [fold.train, fold.test] if fold.test else [fold.train]
    result.commands = tuple(launch_command(task, task.settings_for(chosen.point, p, seed)) for p in periods)
    if fold.test is not None:
        outcomes = dict(workers.run(task.jobs(chosen.point, fold.test, fold.number, chosen.number)))
        in_order = [outcomes[place] for place in sorted(outcomes)]
        result.test = judge(chosen.number, chosen.point, in_order, task.section.objective, (), {})
    return result


def launch_command(task: Task, settings: Sequence[str]) -> str:
    """The command line of a run by hand."""
    parts = ["admf", "launch", str(task.config)]
    for one in settings:
        parts += ["--set", one]
    return shlex.join(parts)


def _verify(task: Task, result: SearchResult, stop: StopRequest) -> None:
    """Run the chosen trial as `admf launch` does, without shared data, into the study's folder, and compare.

    Digests must be equal; a compiled trial has none, and then every result is compared.
    """
    chosen, last = result.chosen, result.folds[-1]
    if chosen is None:
        return
    seed = seed_of(task.section.seed, last.fold.number, chosen.number, 0)
    settings = [
        *task.settings_for(chosen.point, last.fold.train, seed),
        setting("bus.run_dir", str(result.folder / "best")),
        setting("bus.capture", "full"),
    ]
    shutil.rmtree(result.folder / "best", ignore_errors=True)
    run = launch(make_plan(task.config, settings, Placement.LOCAL), stop=stop)
    if run.status == INTERRUPTED:
        raise Interrupted(run.error)
    if run.status != COMPLETED:
        raise AdmfError(f"the chosen trial, run once more, {run.status}: {run.error}")
    expected = chosen.digests[0]
    if expected is not None and run.digest != expected:
        raise Divergence(
            f"trial {chosen.number} gave digest {expected}, and run once more {run.digest}: something in the topology "
            f"is not deterministic; see {run.run_dir}"
        )
    if expected is None and task.section.executor == "compiled" and task.section.seeds_per_trial == 1:
        _require_same_results(chosen, run)
    result.digest, result.run_dir = run.digest, run.run_dir


def _require_same_results(chosen: Trial, run: RunResult) -> None:
    differing = [key for key, value in run.statistics.items() if not _is_same(chosen.statistics.get(key), value)]
    if differing:
        key = differing[0]
        raise Divergence(
            f"trial {chosen.number}, compiled, has {key} {chosen.statistics.get(key)}, and {run.statistics[key]} in "
            f"the event-driven run {run.run_dir}; differing: {', '.join(differing)}"
        )


def _is_same(one: Any, other: Any) -> bool:
    """Whether two results are equal, but for the last bits of a sum."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)
