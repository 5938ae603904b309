"""The search over one period: batches of points are drawn, run, and told to the sampler in the order of asking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.errors import ConfigError
from deploy.optimize.constraints import Constraint, split_by_kind
from deploy.optimize.job import Job, Outcome
from deploy.optimize.market_data import SharedData
from deploy.optimize.sampling import Questioner
from deploy.optimize.section import OptimizationSection
from deploy.optimize.space import Point, setting, settings_of
from deploy.optimize.store import Store
from deploy.optimize.trial import PRUNED, Trial, cost_of, judge, mean_statistics, seed_of, value_of
from deploy.optimize.windows import Fold, Period
from deploy.optimize.workers import Workers
from deploy.run_folder import COMPLETED

OnTrial = Callable[[Fold, Trial, Trial | None], None]
"""Hears of every trial that ends, and of the best so far by the first objective."""


@dataclass(frozen=True)
class Task:
    """What is searched: a topology file with settings, the section, the constraints, the shared data."""

    config: Path
    settings: tuple[str, ...]
    section: OptimizationSection
    constraints: tuple[Constraint, ...]
    shared: tuple[SharedData, ...]
    run_dir: Path

    def settings_for(self, point: Point, period: Period | None, seed: int) -> tuple[str, ...]:
        """The settings with which `admf launch` does the run of a point."""
        dates = period.settings if period else ()
        return (*self.settings, *settings_of(point), *dates, setting("backtest.seed", seed))

    def jobs(self, point: Point, period: Period | None, fold: int, trial: int) -> list[Job]:
        """The runs of a point, one for each seed."""
        section = self.section
        return [
            Job(
                config=self.config.resolve(),
                settings=self.settings_for(point, period, seed_of(section.seed, fold, trial, repeat)),
                run_dir=self.run_dir,
                shared=self.shared,
                capture=section.capture,
                keep=section.keep_runs,
            )
            for repeat in range(section.seeds_per_trial)
        ]


@dataclass
class _Candidate:
    """A point under way. `stored` is its trial when an earlier start of the search has run it already."""

    number: int
    handle: Any
    point: Point
    stored: Trial | None
    intermediate: dict[int, float] = field(default_factory=dict)
    trial: Trial | None = None


class Search:
    """Searches one fold to its end; what the store has already is not run again."""

    def __init__(self, task: Task, fold: Fold, store: Store, workers: Workers, on_trial: OnTrial) -> None:
        self._task = task
        self._fold = fold
        self._store = store
        self._workers = workers
        self._on_trial = on_trial
        before, self._after = split_by_kind(task.constraints, task.section.parameters)
        self._questioner = Questioner(task.section, fold.number, before)
        self._asked = 0
        self._known = list(store.trials)
        self._best: Trial | None = None

    def run(self) -> list[Trial]:
        """All trials, in the order of their numbers.

        Raises:
            ConfigError: no run has a result that is asked for, or the study does not fit to the search.
            AdmfError: the search was stopped, or the cluster is lost.
        """
        trials: list[Trial] = []
        while batch := self._ask_batch():
            self._run_batch(batch)
            for candidate in batch:
                assert candidate.trial is not None
                self._questioner.tell(candidate.handle, candidate.trial)
                trials.append(candidate.trial)
        return trials

    def _ask_batch(self) -> list[_Candidate]:
        section = self._task.section
        batch: list[_Candidate] = []
        while len(batch) < section.batch_size and self._asked != section.trial_count:
            asked = self._questioner.ask()
            if asked is None:
                break
            batch.append(self._candidate(*asked))
        return batch

    def _candidate(self, handle: Any, point: Point) -> _Candidate:
        number = self._asked
        self._asked += 1
        stored = self._known[number] if number < len(self._known) else None
        if stored is not None and (stored.number, stored.point) != (number, point):
            raise ConfigError(
                f"trial {number} of the study has {stored.point}, but the sampler draws {point} now: another version "
                "of Optuna or numpy made the study; begin anew with --restart, or under a new optimization.study"
            )
        return _Candidate(number, handle, point, stored)

    def _run_batch(self, batch: Sequence[_Candidate]) -> None:
        pruning = self._task.section.pruning
        for step, fraction in enumerate(pruning.fractions if pruning else (), 1):
            self._look(batch, step, fraction)
        alive = [candidate for candidate in batch if candidate.trial is None]
        for candidate in alive:
            if candidate.stored is not None:
                self._settle(candidate, candidate.stored)

        def ended(candidate: _Candidate, outcomes: list[Outcome]) -> None:
            self._settle(candidate, self._judged(candidate, outcomes))
            self._keep(batch)

        self._keep(batch)
        self._run([c for c in alive if c.trial is None], self._fold.train, ended)

    def _look(self, batch: Sequence[_Candidate], step: int, fraction: float) -> None:
        """Run the first part of the period for those still alive, and prune those that lag behind."""
        assert self._fold.train is not None
        alive = [candidate for candidate in batch if candidate.trial is None]
        seen: dict[int, list[Outcome]] = {}
        self._run(
            [c for c in alive if c.stored is None],
            self._fold.train.first(fraction),
            lambda candidate, outcomes: seen.__setitem__(candidate.number, outcomes),
        )
        for candidate in alive:
            outcomes = seen.get(candidate.number, [])
            value = self._value_at(candidate, step, outcomes)
            if value is None:
                continue
            candidate.intermediate[step] = value
            if self._questioner.lags(candidate.handle, step, value):
                self._settle(candidate, candidate.stored or self._pruned(candidate, outcomes))

    def _value_at(self, candidate: _Candidate, step: int, outcomes: Sequence[Outcome]) -> float | None:
        if candidate.stored is not None:
            return candidate.stored.intermediate.get(step)
        if any(outcome.status != COMPLETED for outcome in outcomes):
            # Its full run will fail likewise, and say why.
            return None
        return value_of(mean_statistics(outcomes), self._task.section.objective[0].key)

    def _pruned(self, candidate: _Candidate, outcomes: Sequence[Outcome]) -> Trial:
        elapsed_s = sum(outcome.elapsed_s for outcome in outcomes)
        intermediate = dict(candidate.intermediate)
        return Trial(candidate.number, candidate.point, PRUNED, intermediate=intermediate, elapsed_s=elapsed_s)

    def _judged(self, candidate: _Candidate, outcomes: Sequence[Outcome]) -> Trial:
        objectives = self._task.section.objective
        return judge(candidate.number, candidate.point, outcomes, objectives, self._after, candidate.intermediate)

    def _run(
        self,
        candidates: Sequence[_Candidate],
        period: Period | None,
        ended: Callable[[_Candidate, list[Outcome]], None],
    ) -> None:
        """Run every seed of the candidates; `ended` hears of each when its last seed is done, seeds in their order."""
        jobs: list[Job] = []
        owner: list[tuple[_Candidate, int]] = []
        for candidate in candidates:
            its_jobs = self._task.jobs(candidate.point, period, self._fold.number, candidate.number)
            owner += [(candidate, repeat) for repeat in range(len(its_jobs))]
            jobs += its_jobs
        outcomes: dict[int, dict[int, Outcome]] = {}
        for place, outcome in self._workers.run(jobs):
            candidate, repeat = owner[place]
            so_far = outcomes.setdefault(candidate.number, {})
            so_far[repeat] = outcome
            if len(so_far) == self._task.section.seeds_per_trial:
                ended(candidate, [so_far[i] for i in sorted(so_far)])

    def _settle(self, candidate: _Candidate, trial: Trial) -> None:
        candidate.trial = trial
        if trial.is_feasible and (self._best is None or self._cost(trial) < self._cost(self._best)):
            self._best = trial
        self._on_trial(self._fold, trial, self._best)

    def _cost(self, trial: Trial) -> tuple[float, ...]:
        return cost_of(trial, self._task.section.objective)

    def _keep(self, batch: Sequence[_Candidate]) -> None:
        """Store what has ended, as far as everything before it has."""
        for candidate in batch:
            if candidate.trial is None:
                return
            if candidate.number >= len(self._store.trials):
                self._store.append(candidate.trial)
