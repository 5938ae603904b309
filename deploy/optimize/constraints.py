"""Constraints: comparisons between numbers, parameters and results, such as `max_drawdown <= 0.25`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.topology import did_you_mean

_FORM = re.compile(r"^\s*(\S+)\s*(<=|>=|<|>)\s*(\S+)\s*$")
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


@dataclass(frozen=True)
class Constraint:
    """`left` `sign` `right`; each side a number or the name of a parameter or result."""

    text: str
    left: str
    sign: str
    right: str

    @property
    def names(self) -> list[str]:
        """The parameters and results that it speaks of."""
        return [side for side in (self.left, self.right) if not _NUMBER.match(side)]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is met; a value that is missing or None does not meet it."""
        left, right = _value(self.left, values), _value(self.right, values)
        if left is None or right is None:
            return False
        if self.sign in ("<=", ">="):
            return left <= right if self.sign == "<=" else left >= right
        return left < right if self.sign == "<" else left > right

    def violation(self, values: Mapping[str, Any]) -> float:
        """How far it is from being met: above 0 when it is not, as Optuna wants it."""
        left, right = _value(self.left, values), _value(self.right, values)
        if left is None or right is None:
            return _NO_VALUE
        excess = left - right if self.sign[0] == "<" else right - left
        if self.holds(values):
            return min(excess, 0.0)
        return max(excess, _STRICTLY)


_NO_VALUE = 1e9
_STRICTLY = 1e-12


def _value(side: str, values: Mapping[str, Any]) -> float | None:
    if _NUMBER.match(side):
        return float(side)
    value = values.get(side)
    return float(value) if isinstance(value, int | float) else None


def parse_constraints(texts: Sequence[str], parameters: Collection[str]) -> tuple[list[Constraint], list[str]]:
    """The constraints, and a sentence for each text that is none.

    A name with a dot is a parameter's path and must be one that is searched; another is a result key.
    """
    found, faults = [], []
    for index, text in enumerate(texts):
        match = _FORM.match(text)
        place = f"optimization.constraints.{index}"
        if match is None:
            faults.append(f"{place}: {text!r} is not a comparison; write it as `max_drawdown <= 0.25`")
            continue
        constraint = Constraint(text.strip(), *match.groups())
        unknown = [name for name in constraint.names if "." in name and name not in parameters]
        faults += [f"{place}: {name} is not searched{did_you_mean(name, parameters)}" for name in unknown]
        if not constraint.names:
            faults.append(f"{place}: {text!r} compares two numbers; name a parameter or a result key")
        found.append(constraint)
    return found, faults


def split_by_kind(
    constraints: Sequence[Constraint], parameters: Collection[str]
) -> tuple[list[Constraint], list[Constraint]]:
    """Those that can be decided before a run (parameters and numbers only), and the others."""
    before = [c for c in constraints if all(name in parameters for name in c.names)]
    return before, [c for c in constraints if c not in before]
