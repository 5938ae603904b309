"""A trial: a point of the parameter space, and what its runs gave."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from bus.errors import ConfigError
from deploy.optimize.constraints import Constraint
from deploy.optimize.job import Outcome
from deploy.optimize.section import Objective
from deploy.optimize.space import Point
from deploy.run_folder import COMPLETED, FAILED
from deploy.topology import did_you_mean

PRUNED = "pruned"


@dataclass(frozen=True)
class Trial:
    """`state` is completed, pruned, failed or invalid; `values` are those of the objectives, in their order.

    `violations` has for each constraint how far it is from being met (above 0). `statistics` are means over the trial's
    seeds, `digests` has one for each seed. `elapsed_s` is the wall clock of all its runs together.
    """

    number: int
    point: Point
    state: str
    values: tuple[float, ...] = ()
    intermediate: dict[int, float] = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    digests: tuple[str | None, ...] = ()
    error: str = ""
    elapsed_s: float = 0.0

    @property
    def is_feasible(self) -> bool:
        """Whether it ran to its end and meets every constraint."""
        return self.state == COMPLETED and all(violation <= 0 for violation in self.violations.values())


def seed_of(seed: int, fold: int, trial: int, repeat: int) -> int:
    """A run's seed, from the search's seed and the place of the run in it, never from the worker. 31 bits."""
    digest = hashlib.blake2b(f"{seed}/{fold}/{trial}/{repeat}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) >> 1


def judge(
    number: int,
    point: Point,
    outcomes: Sequence[Outcome],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    intermediate: Mapping[int, float],
) -> Trial:
    """The trial that the runs of a point, one for each seed, make.

    Raises:
        ConfigError: the runs give no result of the name that an objective or a constraint asks for.
    """
    statistics, digests = mean_statistics(outcomes), tuple(o.digest for o in outcomes)
    elapsed_s = sum(o.elapsed_s for o in outcomes)

    def failed(state: str, error: str) -> Trial:
        return Trial(number, point, state, (), dict(intermediate), {}, statistics, digests, error, elapsed_s)

    for outcome in outcomes:
        if outcome.status != COMPLETED:
            return failed(outcome.status, outcome.error)
    values = [value_of(statistics, objective.key) for objective in objectives]
    undefined = [o.key for o, value in zip(objectives, values, strict=True) if value is None]
    if undefined:
        return failed(FAILED, f"{', '.join(undefined)} is not defined for this run")
    violations = _violations(constraints, {**point, **statistics}, statistics, point)
    known = tuple(float(value) for value in values if value is not None)
    return Trial(number, point, COMPLETED, known, dict(intermediate), violations, statistics, digests, "", elapsed_s)


def _violations(
    constraints: Sequence[Constraint], values: Mapping[str, Any], statistics: Mapping[str, Any], point: Point
) -> dict[str, float]:
    for constraint in constraints:
        for name in constraint.names:
            if name not in point:
                require_key(statistics, name, "optimization.constraints")
    return {constraint.text: constraint.violation(values) for constraint in constraints}


def mean_statistics(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Key by key the mean of numbers; what is not a number in every run is taken from the first."""
    first, *others = (outcome.statistics for outcome in outcomes)
    if not others:
        return dict(first)
    return {key: _mean([value, *(other.get(key) for other in others)]) for key, value in first.items()}


def _mean(values: Sequence[Any]) -> Any:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values):
        return values[0] if not numbers else None
    return fmean(numbers)


def value_of(statistics: Mapping[str, Any], key: str) -> float | None:
    """The value of an objective, None where it is not defined.

    Raises:
        ConfigError: there is no such key, or it is not a number.
    """
    require_key(statistics, key, "optimization.objective")
    value = statistics[key]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"optimization.objective: {key} is {value!r}, not a number")
    return float(value) if math.isfinite(value) else None


def require_key(statistics: Mapping[str, Any], key: str, place: str) -> None:
    """Refuse a result key that runs do not have."""
    if key not in statistics:
        known = ", ".join(statistics)
        raise ConfigError(
            f"{place}: a run has no result {key!r}{did_you_mean(key, statistics) or '.'} There are: {known}"
        )


def best_of(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """With one objective the best feasible trial, the first of equals; with several, the Pareto front.

    The front is in the order of the first objective, best first.
    """
    feasible = [trial for trial in trials if trial.is_feasible]
    costs = {trial.number: cost_of(trial, objectives) for trial in feasible}
    front = [t for t in feasible if not any(_dominates(costs[o.number], costs[t.number]) for o in feasible)]
    front.sort(key=lambda trial: (costs[trial.number], trial.number))
    return front[:1] if len(objectives) == 1 else front


def cost_of(trial: Trial, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """The values, turned so that less is better."""
    return tuple(-v if o.direction == "maximize" else v for v, o in zip(trial.values, objectives, strict=True))


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
