"""What a benchmark gives, the same for all: one JSON object a line.

A module with benchmarks has `measure(options) -> Iterator[Result]` and is named in `run.MODULES`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Options:
    """How to measure: the number of runs of which the median is taken, and whether at full size or quickly."""

    runs: int = 3
    full: bool = False


@dataclass(frozen=True)
class Result:
    """One figure with its spread. `aim` is the bound that it should keep, None where it only informs."""

    name: str
    value: float
    unit: str
    aim: float | None = None
    bound: Literal["at most", "at least"] = "at most"
    low: float | None = None
    high: float | None = None
    runs: int = 1
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the aim is met, None without one."""
        if self.aim is None:
            return None
        return self.value <= self.aim if self.bound == "at most" else self.value >= self.aim

    def line(self) -> str:
        """As JSON, without what is not known."""
        given = {
            name: float(f"{value:.4g}") if isinstance(value, float) and abs(value) < 1000 else value
            for name, value in dataclasses.asdict(self).items()
            if value not in (None, "") and not (self.aim is None and name == "bound")
        }
        return json.dumps({**given, **({} if self.met is None else {"met": self.met})})


def median_of(name: str, values: Sequence[float], unit: str, **other: Any) -> Result:
    """The result of several runs: their median, from the lowest to the highest."""
    return Result(name, statistics.median(values), unit, low=min(values), high=max(values), runs=len(values), **other)


def ratio_of(name: str, values: Sequence[float], bases: Sequence[float], **other: Any) -> Result:
    """The median of `values` to the median of `bases`, which were measured in turn with them.

    The spread is that of the ratios of neighbours.
    """
    ratios = [value / base for value, base in zip(values, bases, strict=True)]
    middle = statistics.median(values) / statistics.median(bases)
    return Result(name, middle, "ratio", low=min(ratios), high=max(ratios), runs=len(ratios), **other)


def machine() -> dict[str, Any]:
    """What the figures are measured on."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "name": "machine",
        "cpus": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "commit": asked.stdout.strip(),
    }
