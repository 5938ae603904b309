"""What a benchmark gives, the same for all: one JSON object a line.

Every module in this folder that has `measure(options) -> Iterator[Result]` is run by `make bench`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent.parent
HISTORY = Path(__file__).with_name("history.jsonl")
_SURE = 0.02
_MOST_RUNS = 31


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

    def document(self) -> dict[str, Any]:
        """As plain values, without what is not known."""
        given = {name: value for name, value in dataclasses.asdict(self).items() if value not in (None, "")}
        if self.aim is None:
            del given["bound"]
        for name in ("value", "low", "high"):
            if name in given:
                given[name] = rounded(given[name])
        return {**given, **({} if self.met is None else {"met": self.met})}


def rounded(value: float) -> float:
    """Four digits, and no fraction of a large number."""
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")


def median_of(name: str, values: Sequence[float], unit: str, **other: Any) -> Result:
    """The result of several runs: their median, from the lowest to the highest."""
    return Result(name, statistics.median(values), unit, low=min(values), high=max(values), runs=len(values), **other)


def ratio_of(name: str, values: Sequence[float], bases: Sequence[float], **other: Any) -> Result:
    """What `values` are to `bases`, which were measured in turn with them: the median of the ratios of neighbours.

    So a machine that gets slower or faster meanwhile changes little.
    """
    return median_of(name, _ratios(values, bases), "ratio", **other)


def until_sure(measure: Callable[[], tuple[float, float]], options: Options) -> tuple[list[float], list[float]]:
    """Values and their bases, each pair measured in turn: `options.runs` of them.

    At full size there are more, up to `_MOST_RUNS`, as long as the median of their ratios is not known to `_SURE`.
    """
    values: list[float] = []
    bases: list[float] = []
    most = _MOST_RUNS if options.full else options.runs
    while len(values) < options.runs or (len(values) < most and _doubt(_ratios(values, bases)) > _SURE):
        value, base = measure()
        values.append(value)
        bases.append(base)
    return values, bases


def _ratios(values: Sequence[float], bases: Sequence[float]) -> list[float]:
    return [value / base for value, base in zip(values, bases, strict=True)]


def _doubt(values: Sequence[float]) -> float:
    """The standard error of their median, as a part of it; infinite where there is only one.

    1.2533 sigma / sqrt(n), as for a normal distribution, sigma being the quartiles' distance / 1.349.
    """
    if len(values) < 2:
        return math.inf
    lower, middle, upper = statistics.quantiles(values, n=4)
    return 1.2533 * (upper - lower) / 1.349 / math.sqrt(len(values)) / middle


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module gives in a process of its own; plain values in, plain values out."""
    code = f"import json; {_import(function)}; print(json.dumps(f(*{arguments!r})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def in_turn(function: Callable[..., Any], *calls: tuple[Any, ...]) -> list[Any]:
    """As `alone`, for several calls that do a piece in turn, so that whatever else the machine does meets all of them.

    The first argument of the function is a `Turn`, which it calls after every piece.
    """
    with contextlib.ExitStack() as stack:
        processes = []
        for arguments in calls:
            code = f"from tests.benchmarks.result import take_turns; {_import(function)}; take_turns(f, {arguments!r})"
            command, pipe = [sys.executable, "-c", code], subprocess.PIPE
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True))
            stack.callback(process.kill)
            processes.append(process)
        found: dict[int, Any] = {}
        while len(found) < len(processes):
            for place, process in enumerate(processes):
                if place not in found and (said := _next_word(process)):
                    found[place] = json.loads(said)
    return [found[place] for place in range(len(calls))]


Turn = Callable[[], None]
"""Lets the others do their next piece."""


def take_turns(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """In a process of `in_turn`: an empty line says that a piece is done, the last line what the function gave."""

    def turn() -> None:
        print(flush=True)
        sys.stdin.readline()

    sys.stdin.readline()
    print(json.dumps(function(turn, *arguments)), flush=True)


def _next_word(process: subprocess.Popen[str]) -> str:
    """Let a process do its next piece. What it gave, once it has ended."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise subprocess.CalledProcessError(process.wait(), process.args)
    return line.strip()


def _import(function: Callable[..., Any]) -> str:
    module = function.__module__
    if module == "__main__":
        module = sys.modules[module].__spec__.name
    return f"from {module} import {function.__name__} as f"


def machine() -> dict[str, Any]:
    """What the figures are measured on, and when."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "name": "machine",
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "commit": asked.stdout.strip(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "cpu": _cpu(),
        "platform": platform.platform(),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def write_down(around: dict[str, Any], results: Iterable[Result], record: bool) -> None:
    """Print the machine and every result as it comes; with `record`, add them to the history."""
    print(json.dumps(around), flush=True)
    kept = [around]
    for result in results:
        kept.append(result.document())
        print(json.dumps(kept[-1]), flush=True)
    if record:
        with HISTORY.open("a") as file:
            file.writelines(json.dumps(document) + "\n" for document in kept)
