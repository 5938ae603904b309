"""The `optimization` section of a topology file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bus.runtime.settings import StrictModel

Number = int | float
Scalar = bool | int | float | str | None


class ParameterRange(StrictModel):
    """What one parameter may be: `choices`, or numbers from `low` to `high`, both inclusive.

    Whole numbers where `low` and `high` (and `step`) are whole, else floats. `log` searches orders of magnitude alike.
    """

    choices: tuple[Scalar, ...] = ()
    low: Number | None = None
    high: Number | None = None
    step: Number | None = Field(default=None, gt=0)
    log: bool = False

    @model_validator(mode="after")
    def _is_one_kind(self) -> ParameterRange:
        if self.choices:
            if (self.low, self.high, self.step) != (None, None, None) or self.log:
                raise ValueError("give either choices, or low and high, not both")
            self._check_choices()
        elif self.low is None or self.high is None:
            raise ValueError("needs low and high, or a list of choices")
        else:
            self._check_range(self.low, self.high)
        return self

    def _check_choices(self) -> None:
        repeated = [c for i, c in enumerate(self.choices) if c in self.choices[:i]]
        if repeated:
            raise ValueError(f"{repeated[0]!r} stands there twice")

    def _check_range(self, low: Number, high: Number) -> None:
        if low > high:
            raise ValueError(f"low {low} is above high {high}")
        if self.log and low <= 0:
            raise ValueError(f"log needs low above 0, not {low}")
        if self.log and self.step is not None:
            raise ValueError("log and step do not go together; leave out one of them")

    @property
    def is_whole(self) -> bool:
        """Whether the range is one of whole numbers."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step) if value is not None)


class Objective(StrictModel):
    """A result key (see docs/statistics.md) and whether more of it is better."""

    key: str = Field(min_length=1)
    direction: Literal["maximize", "minimize"] = "maximize"


class SamplerSection(StrictModel):
    """How points are chosen. `options` are arguments of the Optuna sampler of that type."""

    type: Literal["grid", "random", "tpe", "nsga2", "cmaes"] = "tpe"
    options: dict[str, Any] = Field(default_factory=dict)


class PruningSection(StrictModel):
    """Looks at a trial after the first `fractions` of its period, and gives up on it when it lags behind.

    Each look is a run over that part of the period. `options` are arguments of the Optuna pruner of that type.
    """

    type: Literal["median", "percentile", "successive_halving", "hyperband", "threshold"] = "median"
    fractions: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(default=(0.25,), min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fractions_rise(self) -> PruningSection:
        if list(self.fractions) != sorted(set(self.fractions)):
            raise ValueError(f"fractions {list(self.fractions)} must rise")
        return self


class ValidationSection(StrictModel):
    """Data that the search never sees. Days are calendar days.

    `split` keeps the last `test_fraction` of the period for one test. `walk_forward` searches `train_days` and tests
    the best on the `test_days` that follow, then moves on by `test_days`; `anchored` keeps the first day fixed.
    Between training and test lie `embargo_days` that neither uses.
    """

    method: Literal["split", "walk_forward"]
    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    train_days: int | None = Field(default=None, ge=1)
    test_days: int | None = Field(default=None, ge=1)
    anchored: bool = False
    embargo_days: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _walk_has_days(self) -> ValidationSection:
        if self.method == "walk_forward" and (self.train_days is None or self.test_days is None):
            raise ValueError("walk_forward needs train_days and test_days")
        if self.method == "split" and (self.train_days, self.test_days, self.anchored) != (None, None, False):
            raise ValueError("train_days, test_days and anchored are for walk_forward; split has test_fraction")
        return self


def _as_range(value: object) -> object:
    return {"choices": value} if isinstance(value, list) else value


def _as_objectives(value: object) -> object:
    items = value if isinstance(value, list) else [value]
    return [{"key": item} if isinstance(item, str) else item for item in items]


def _as_type(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


def _as_method(value: object) -> object:
    return {"method": value} if isinstance(value, str) else value


class OptimizationSection(StrictModel):
    """`optimization`: what `admf optimize` searches, for what, how, and where.

    `seed` decides what the sampler draws and every trial's `backtest.seed`; `seeds_per_trial` runs each point with so
    many seeds and takes the mean. `batch_size` trials are drawn before the first of their results is looked at: results
    depend on it, but not on the number of `workers` (default: one for each core). A run that takes longer than
    `trial_timeout_s` fails. `storage` is an SQLAlchemy URL, by default an SQLite file in the study's folder,
    `<bus.run_dir>/studies/<study>`.
    """

    study: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    storage: str | None = None
    objective: Annotated[tuple[Objective, ...], BeforeValidator(_as_objectives), Field(min_length=1)]
    parameters: dict[str, Annotated[ParameterRange, BeforeValidator(_as_range)]] = Field(min_length=1)
    constraints: tuple[str, ...] = ()
    sampler: Annotated[SamplerSection, BeforeValidator(_as_type)] = SamplerSection()
    pruning: Annotated[PruningSection | None, BeforeValidator(_as_type)] = None
    validation: Annotated[ValidationSection | None, BeforeValidator(_as_method)] = None
    trials: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=8, ge=1)
    seed: int = Field(default=0, ge=0)
    seeds_per_trial: int = Field(default=1, ge=1)
    executor: Literal["local", "dask", "inline", "compiled"] = "local"
    workers: int | None = Field(default=None, ge=1)
    address: str | None = None
    trial_timeout_s: float | None = Field(default=None, gt=0)
    capture: Literal["digest", "none"] = "digest"
    keep_runs: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> OptimizationSection:
        keys = [objective.key for objective in self.objective]
        if len(keys) != len(set(keys)):
            raise ValueError("objective: a key stands there twice")
        if self.pruning is not None and len(keys) > 1:
            raise ValueError("pruning: works with one objective only, because it compares values on the way")
        if self.sampler.type == "cmaes" and len(keys) > 1:
            raise ValueError("sampler: cmaes works with one objective only; for several take nsga2 or tpe")
        if (self.executor == "dask") != (self.address is not None):
            raise ValueError("address: goes with `executor: dask`, and only with it (such as tcp://10.0.0.5:8786)")
        if self.keep_runs and self.executor == "compiled":
            raise ValueError("keep_runs: compiled runs leave no folders; leave it out, or take another executor")
        if self.trial_timeout_s is not None and self.executor != "local":
            raise ValueError("trial_timeout_s: goes with `executor: local` only, which can end a worker at any time")
        return self

    @property
    def trial_count(self) -> int | None:
        """How many trials a search has; None: every cell of the grid."""
        return self.trials if self.trials is not None or self.sampler.type == "grid" else _DEFAULT_TRIALS


_DEFAULT_TRIALS = 100
