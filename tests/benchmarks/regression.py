"""Whether a hot path has become slower: `python -m tests.benchmarks.regression`, without any absolute time.

Three measures for each case, compared with those that `baseline.json` keeps for this version of Python:

    calls         functions called for one more bar, Python's and C's
    instructions  bytecode instructions for one more bar; neither depends on the machine at all
    time          CPU time of a run to that of a fixed piece of plain Python that has nothing to do with us, taken in
                  turn in one process; the least of several rounds of each, because other work on the machine can only
                  add to it, and of more rounds before anything is called slower

Counts that are more than a quarter above their baseline are a regression and make the exit code 1; so does a time that
is more than half above its, which finds what counts cannot see and is more than what a busy machine does to it.

Where a change is meant to cost, or has made things faster, `--rewrite` takes the present figures as baseline; commit
them with the change.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

from tests.benchmarks.result import Result
from tests.benchmarks.workloads import plan_for, run
from tests.support.tracing import traced

BASELINE: Final = Path(__file__).with_name("baseline.json")
ALLOWANCE: Final = 1.25
TIME_ALLOWANCE: Final = 1.5
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
    Case("W2", "none", 10_000),
    Case("W2", "full", 10_000),
    Case("W3", "none", 20_000),
    Case("W3", "full", 20_000),
    Case("W6", "none", 3_000),
    Case("W6", "full", 2_000),
    Case("W7", "none", 20_000),
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


class Counts(NamedTuple):
    """What a run did, or one more bar of it."""

    calls: float
    instructions: float


def counts_a_bar(case: Case, folder: Path) -> Counts:
    """What one more bar takes.

    The first runs are not counted: they import, and fill what is kept; and since Python 3.13 not every instruction of
    a function is traced when it runs for the first time.
    """
    few, many = case.bars // 20, case.bars // 10
    _, _, of_few, of_many = (_counts(case, bars, folder) for bars in (few, many) * 2)
    return Counts(*((more - less) / (many - few) for less, more in zip(of_few, of_many, strict=True)))


def _counts(case: Case, bars: int, folder: Path) -> Counts:
    plan = plan_for(case.workload, bars, folder, case.capture)
    calls = instructions = 0

    def on_call(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    def on_frame(frame: FrameType, _event: str, _argument: Any) -> Callable[..., Any]:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return on_instruction

    def on_instruction(_frame: FrameType, event: str, _argument: Any) -> Callable[..., Any]:
        nonlocal instructions
        instructions += event == "opcode"
        return on_instruction

    with traced(on_frame, on_call):
        run(plan)
    return Counts(calls, instructions)


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
                value <= TIME_ALLOWANCE * baseline.get(name, value) for name, value in found.items()
            ):
                break
    return found


def measure_counts() -> Figures:
    """Calls and instructions of every case."""
    found: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            for what, value in counts_a_bar(case, Path(folder))._asdict().items():
                found[f"{case}: {what}"] = value
    return found


def allowance(name: str) -> float:
    """How much of its baseline a figure may be."""
    return TIME_ALLOWANCE if name.endswith("time") else ALLOWANCE


def compare(found: Figures, baseline: Figures) -> Iterator[Result]:
    """Every figure in units of its baseline."""
    for name, value in found.items():
        yield Result(name, value / baseline[name], "of its baseline", aim=allowance(name))


def main() -> int:
    """Compare, or rewrite the baseline; the exit code says whether anything has become slower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rewrite", action="store_true", help="take the present figures as this Python's baseline")
    given = parser.parse_args()
    kept: dict[str, Figures] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    baseline = {} if given.rewrite else kept.get(PYTHON, {})
    found = measure_counts() | measure_times(given.rounds, baseline)
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
            f"Too far above the baseline: {'; '.join(slower)}. Find out why (docs/benchmarks.md, "
            '"Where the time goes"), or say in the commit why it has to be, with --rewrite\n'
        )
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
