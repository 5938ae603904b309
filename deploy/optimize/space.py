"""The parameter space: which paths of the topology file vary, over what, and whether they exist there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bus.errors import ConfigError
from deploy.optimize.constraints import Constraint
from deploy.optimize.extras import optuna
from deploy.optimize.section import OptimizationSection, ParameterRange, Scalar
from deploy.plan import Plan, make_plan
from deploy.topology import did_you_mean

Point = dict[str, Scalar]
"""Parameter path to value."""

SEARCHED_SECTIONS = ("components", "backtest")
_DECIDED_BY_US = ("backtest.start_date", "backtest.end_date", "backtest.seed")


def setting(path: str, value: Scalar) -> str:
    """As a `--set` setting that reads back as the same value: YAML takes 1e-05 for a text, and 1.0e-05 for a number."""
    text = yaml.safe_dump(value, width=math.inf).removesuffix("\n").removesuffix("\n...")
    return f"{path}={text}"


def settings_of(point: Mapping[str, Scalar]) -> tuple[str, ...]:
    """The point as settings."""
    return tuple(setting(path, value) for path, value in point.items())


def distributions(parameters: Mapping[str, ParameterRange]) -> dict[str, Any]:
    """The space as Optuna has it."""
    return {path: _distribution(one) for path, one in parameters.items()}


def _distribution(one: ParameterRange) -> Any:
    kinds = optuna().distributions
    if one.choices:
        return kinds.CategoricalDistribution(one.choices)
    if one.is_whole:
        return kinds.IntDistribution(_reached(one), _reached(one, last=True), log=one.log, step=one.step or 1)
    low, high = float(_reached(one)), float(_reached(one, last=True))
    return kinds.FloatDistribution(low, high, log=one.log, step=one.step)


def _reached(one: ParameterRange, last: bool = False) -> int | float:
    """The first or last value that the steps reach: from 1 by 3 to 9 they end at 7, as the grid does."""
    low, high = one.low, one.high
    assert low is not None and high is not None
    if not last:
        return low
    return high if one.step is None else _steps(one)[-1]


def _steps(one: ParameterRange) -> list[int | float]:
    low, high, step = one.low, one.high, one.step
    assert low is not None and high is not None and step is not None
    # A little more than the quotient: 0.3 / 0.1 is 2.9999999999999996.
    count = math.floor((high - low) / step + 1e-9) + 1
    if one.is_whole:
        return [low + i * step for i in range(count)]
    # Rounded, so that 0.1 + 2 * 0.1 is 0.3 in the report and on the command line.
    return [round(low + i * step, 12) for i in range(count)]


def axis(path: str, one: ParameterRange) -> list[Scalar]:
    """The values of one parameter in a grid.

    Raises:
        ConfigError: a range of floats without steps has no end of values.
    """
    if one.choices:
        return list(one.choices)
    if one.step is None and not one.is_whole:
        raise ConfigError(f"optimization.parameters.{path}: a grid needs step, or a list of choices")
    if one.log:
        raise ConfigError(f"optimization.parameters.{path}: a grid has no log; give a list of choices")
    return list(_steps(one.model_copy(update={"step": one.step or 1})))


def grid(parameters: Mapping[str, ParameterRange], constraints: Sequence[Constraint]) -> Iterator[Point]:
    """Every cell that meets the constraints, the last parameter varying fastest."""
    axes = [axis(path, one) for path, one in parameters.items()]
    for values in itertools.product(*axes):
        point = dict(zip(parameters, values, strict=True))
        if all(constraint.holds(point) for constraint in constraints):
            yield point


def space_faults(plan: Plan, settings: Sequence[str], section: OptimizationSection) -> list[str]:
    """Every parameter that the topology does not have, or whose values it refuses, each with what was meant."""
    names = list(plan.topology.components)
    faults: list[str] = []
    for path, one in section.parameters.items():
        place = _path_fault(path, names)
        faults += (
            [f"optimization.parameters.{path}: {place}"] if place else _value_faults(plan.path, settings, path, one)
        )
    return faults


def _path_fault(path: str, names: Sequence[str]) -> str:
    head, *rest = path.split(".")
    if head not in SEARCHED_SECTIONS:
        return f"a parameter lies under components or backtest{did_you_mean(head, SEARCHED_SECTIONS)}"
    if head == "components" and len(rest) < 2:
        return "write it as components.NAME.PARAMETER"
    if head == "components" and rest[0] not in names:
        return f"no component is called {rest[0]!r}{did_you_mean(rest[0], names) or '.'} There are: {', '.join(names)}"
    if path in _DECIDED_BY_US:
        return "is decided by the search itself: by `validation` (dates), or `seed` (seeds)"
    return ""


def _value_faults(config: Path, settings: Sequence[str], path: str, one: ParameterRange) -> list[str]:
    """Faults that the topology has because of the extreme values of one parameter.

    What lies elsewhere is not this parameter's fault: two parameters may be allowed only together.
    """
    for value in one.choices or (one.low, one.high):
        try:
            make_plan(config, [*settings, setting(path, value)])
        except ConfigError as error:
            own = [fault for fault in error.faults if fault.startswith((f"{path}:", f"{path}."))]
            if own:
                return [f"optimization.parameters.{fault}" for fault in own]
    return []
