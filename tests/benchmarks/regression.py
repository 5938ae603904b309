"""Whether a hot path has become slower: `python -m tests.benchmarks.regression`, without any absolute time.

Two measures for each case, compared with those that `baseline.json` keeps for this version of Python:

    time    CPU time of a run to that of a fixed piece of plain Python that has nothing to do with us, taken in turn in
            one process; the least of several rounds of each, because other work on the machine can only add to it, and
            of more rounds before anything is called slower
    calls   functions called for one more bar, Python's and C's; it does not depend on the machine at all

What is more than a quarter above its baseline is a regression and makes the exit code 1. Where a change is meant to
cost, or has made things faster, `--rewrite` takes the present figures as the baseline; commit them with the change.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.benchmarks.result import Result
from tests.benchmarks.workloads import plan_for, run

BASELINE: Final = Path(__file__).with_name("baseline.json")
ALLOWANCE: Final = 1.25
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


class Case(NamedTuple):
    """A workload and a number of bars that takes some hundredths of a second."""

    workload: str
    capture: str
    bars: int

    def __str__(self) -> str:
        return self.workload if self.capture == "none" else f"{self.workload}, captured"


CASES: Final = (
    Case("W4", "none", 30_000),
    Case("W4", "full", 20_000),
    Case("W2", "none", 3_000),
    Case("W2", "full", 2_000),
    Case("W3", "none", 10_000),
)

Figures = dict[str, float]


def calibration(rounds: int = 40_000) -> float:
    """CPU seconds of a fixed mix of what our hot paths do: calls, attributes, dicts, a queue, floats, small objects."""
    started = time.process_time()
    counter, queue, book = _Counter(), deque([(0, 0.0)]), {}
    for n in range(rounds):
        key = f"order-{n % 64}"
        book[key] = counter.add(n, n * 0.25)
        queue.append((n, book[key]))
        at, value = queue.popleft()
        if value > counter.top and at >= 0:
            counter.top = value
        if len(book) > 32:
            del book[next(iter(book))]
    return time.process_time() - started


class _Counter:
    __slots__ = ("count", "top", "total")

    def __init__(self) -> None:
        self.count, self.total, self.top = 0, 0.0, 0.0

    def add(self, n: int, value: float) -> float:
        self.count += n
        self.total += value
        return self.total / (self.count + 1)


def cpu_s(case: Case, folder: Path) -> float:
    """CPU seconds of one run."""
    return run(plan_for(case.workload, case.bars, folder, case.capture)).result.cpu_s


def calls_a_bar(case: Case, folder: Path) -> float:
    """Functions called for one more bar. A first run is not counted: it imports, and fills what is kept."""
    few, many = case.bars // 20, case.bars // 10
    _, of_few, of_many = (_calls(case, bars, folder) for bars in (few, few, many))
    return (of_many - of_few) / (many - few)


def _calls(case: Case, bars: int, folder: Path) -> int:
    plan = plan_for(case.workload, bars, folder, case.capture)
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        run(plan)
    finally:
        sys.setprofile(None)
    return calls


def measure_times(rounds: int, baseline: Figures) -> Figures:
    """Time of every case to that of the calibration; up to five times the rounds while something seems slower."""
    least: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, 5 * rounds + 1):
            for case in CASES:
                for name, value in (("", calibration()), (f"{case}: time", cpu_s(case, Path(folder)))):
                    least[name] = min(value, least.get(name, value))
            found = {name: value / least[""] for name, value in least.items() if name}
            if number >= rounds and all(
                value <= ALLOWANCE * baseline.get(name, value) for name, value in found.items()
            ):
                break
    return found


def measure_calls() -> Figures:
    """Calls of every case."""
    with tempfile.TemporaryDirectory() as folder:
        return {f"{case}: calls": calls_a_bar(case, Path(folder)) for case in CASES}


def compare(found: Figures, baseline: Figures) -> Iterator[Result]:
    """Every figure in units of its baseline."""
    for name, value in found.items():
        yield Result(name, value / baseline[name], "of its baseline", aim=ALLOWANCE)


def main() -> int:
    """Compare, or rewrite the baseline; the exit code says whether anything has become slower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rewrite", action="store_true", help="take the present figures as this Python's baseline")
    given = parser.parse_args()
    kept: dict[str, Figures] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    baseline = {} if given.rewrite else kept.get(PYTHON, {})
    found = measure_calls() | measure_times(given.rounds, baseline)
    if given.rewrite:
        kept[PYTHON] = {name: float(f"{value:.4g}") for name, value in found.items()}
        BASELINE.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
        return 0
    if baseline.keys() != found.keys():
        sys.stderr.write(
            f"{BASELINE.name} has no baseline of these cases for Python {PYTHON}; it has some for {', '.join(kept)}. "
            "Make it from a commit whose speed is as it should be: python -m tests.benchmarks.regression --rewrite\n"
        )
        return 2
    results = list(compare(found, baseline))
    for result in results:
        print(json.dumps(result.document()))
    slower = [result.name for result in results if not result.met]
    if slower:
        sys.stderr.write(
            f"More than {ALLOWANCE:.0%} of the baseline: {'; '.join(slower)}. Find out why (docs/benchmarks.md, "
            '"Where the time goes"), or say in the commit why it has to be, with --rewrite\n'
        )
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
