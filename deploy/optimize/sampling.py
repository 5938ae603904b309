"""Chooses points and decides on pruning, with Optuna; asked and told in one order, so that a search repeats itself."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from bus.errors import ConfigError
from deploy.optimize.constraints import Constraint
from deploy.optimize.extras import need, optuna
from deploy.optimize.section import OptimizationSection
from deploy.optimize.space import Point, distributions, grid
from deploy.optimize.trial import PRUNED, Trial, seed_of
from deploy.run_folder import COMPLETED
from deploy.topology import did_you_mean

_DRAWS = 1000
"""So many points in a row that break a constraint, and the sampler is taken to find none."""

_SAMPLERS = {"grid": "RandomSampler", "random": "RandomSampler", "tpe": "TPESampler", "nsga2": "NSGAIISampler"}
_SAMPLERS["cmaes"] = "CmaEsSampler"
_PRUNERS = {
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "successive_halving": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
    "threshold": "ThresholdPruner",
}
_NO_PRUNER = "NopPruner"


class Questioner:
    """An Optuna study in memory that is asked for points and told results.

    The study that lasts is another one (`deploy.optimize.store`). When a search goes on after a kill, this one is asked
    the same questions again and told the answers of the other: so every sampler comes back to the same state, also
    those that keep more than the trials.
    """

    def __init__(self, section: OptimizationSection, fold: int, before: Sequence[Constraint]) -> None:
        """`before` are the constraints on points; those on results come with the trials."""
        self._space = distributions(section.parameters)
        self._before = before
        self._cells = grid(section.parameters, before) if section.sampler.type == "grid" else None
        with warnings.catch_warnings():
            # Optuna warns of every option that it calls experimental.
            warnings.simplefilter("ignore")
            self._study = optuna().create_study(
                directions=[objective.direction for objective in section.objective],
                sampler=make_sampler(section, seed_of(section.seed, fold, 0, -1)),
                pruner=make_pruner(section),
            )

    def ask(self) -> tuple[Any, Point] | None:
        """A handle and the next point that meets the constraints; None when the grid is exhausted.

        Raises:
            ConfigError: the constraints leave no point that the sampler could find.
        """
        if self._cells is not None:
            return next(self._cell(self._cells), None)
        for _ in range(_DRAWS):
            handle, point = self._draw()
            if all(constraint.holds(point) for constraint in self._before):
                return handle, point
            self._study.tell(handle, state=optuna().trial.TrialState.FAIL)
        raise ConfigError(
            f"optimization.constraints: {_DRAWS} points in a row break them; widen the parameters or the constraints"
        )

    def _cell(self, cells: Iterator[Point]) -> Iterator[tuple[Any, Point]]:
        for cell in cells:
            self._study.enqueue_trial(cell)
            handle, _ = self._draw()
            yield handle, cell

    def _draw(self) -> tuple[Any, Point]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            handle = self._study.ask(self._space)
        # In the order of the file: the order of settings is part of nothing, but people compare command lines.
        return handle, {path: handle.params[path] for path in self._space}

    def lags(self, handle: Any, step: int, value: float) -> bool:
        """Report a value on the way, and whether the pruner gives up on the trial."""
        handle.report(value, step)
        return bool(handle.should_prune())

    def tell(self, handle: Any, trial: Trial) -> None:
        """What became of the point."""
        states = optuna().trial.TrialState
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for text, violation in trial.violations.items():
                handle.set_constraint(text, violation)
            if trial.state == COMPLETED:
                self._study.tell(handle, list(trial.values))
            else:
                self._study.tell(handle, state=states.PRUNED if trial.state == PRUNED else states.FAIL)


def make_sampler(section: OptimizationSection, seed: int) -> Any:
    """The sampler of the section.

    Raises:
        ConfigError: it does not have such an option, or a package is missing.
    """
    kind = section.sampler.type
    fixed: dict[str, Any] = {"seed": seed}
    if kind == "cmaes":
        need("cmaes", "optimize", "sampler cmaes")
        fixed["warn_independent_sampling"] = False
    return _make(getattr(optuna().samplers, _SAMPLERS[kind]), section.sampler.options, fixed, "optimization.sampler")


def make_pruner(section: OptimizationSection) -> Any:
    """The pruner of the section, or one that never prunes.

    Raises:
        ConfigError: it does not have such an option, or misses one.
    """
    if section.pruning is None:
        return getattr(optuna().pruners, _NO_PRUNER)()
    pruner = getattr(optuna().pruners, _PRUNERS[section.pruning.type])
    return _make(pruner, section.pruning.options, {}, "optimization.pruning")


def _make(kind: Any, options: dict[str, Any], fixed: dict[str, Any], place: str) -> Any:
    known = [name for name in inspect.signature(kind).parameters if name not in (*fixed, "constraints_func")]
    faults = [f"{place}.options.{k}: unknown option{did_you_mean(k, known)}" for k in options if k not in known]
    if faults:
        raise ConfigError([f"{fault}. Allowed are: {', '.join(known)}." for fault in faults])
    try:
        return kind(**options, **fixed)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{place}.options: {error}") from None
