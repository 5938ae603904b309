"""Where the instructions of a run are: `python -m tests.benchmarks.instructions W2 --bars 2000 --top 40`.

Bytecode instructions, and calls of functions of Python, for one more bar, by function and by package. They do not
depend on the machine or on what else it does, so a change of a few in a thousand can be seen; what C does is not in
them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from deploy.plan import Plan
from tests.benchmarks.workloads import WORKLOADS, plan_for, run
from tests.support.tracing import traced

ROOT: Final = Path(__file__).parents[2]
AFTER_THE_RUN: Final = ("_write_results",)
"""Functions of the launcher that are no part of the run call."""


class Tally:
    """Instructions and calls by code object."""

    def __init__(self) -> None:
        self.instructions: Counter[CodeType] = Counter()
        self.calls: Counter[CodeType] = Counter()

    def count(self, plan: Plan) -> None:
        """Run a plan, and count."""
        with traced(self._on_frame):
            run(plan)

    def _on_frame(self, frame: FrameType, _event: str, _argument: Any) -> Callable[..., Any] | None:
        if frame.f_code.co_name in AFTER_THE_RUN:
            sys.settrace(None)
            return None
        self.calls[frame.f_code] += 1
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._on_instruction

    def _on_instruction(self, frame: FrameType, event: str, _argument: Any) -> Callable[..., Any]:
        if event == "opcode":
            self.instructions[frame.f_code] += 1
        return self._on_instruction


def one_more_bar(workload: str, bars: int, capture: str) -> dict[str, tuple[float, float]]:
    """Function to its instructions and calls for one more bar. A first run, which imports, is not counted."""
    few, many = Tally(), Tally()
    with tempfile.TemporaryDirectory() as folder:
        for tally, count in ((Tally(), bars // 2), (few, bars // 2), (many, bars)):
            tally.count(plan_for(workload, count, Path(folder), capture))
    more, found = bars - bars // 2, {}
    for code in many.calls:
        instructions = (many.instructions[code] - few.instructions[code]) / more
        if instructions > 0:
            found[f"{_file(code)}:{code.co_qualname}"] = instructions, (many.calls[code] - few.calls[code]) / more
    return found


def by_package(found: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The same by folder of the project, and all others together."""
    totals: dict[str, tuple[float, float]] = {}
    for name, (instructions, calls) in found.items():
        package = name.rpartition("/")[0] or "elsewhere"
        before = totals.get(package, (0.0, 0.0))
        totals[package] = before[0] + instructions, before[1] + calls
    return totals


def _file(code: CodeType) -> str:
    path = Path(code.co_filename)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) and ".venv" not in path.parts else path.name


def _print(found: dict[str, tuple[float, float]], top: int | None = None) -> None:
    for name, (instructions, calls) in sorted(found.items(), key=lambda item: -item[1][0])[:top]:
        print(f"{instructions:9.2f} {calls:8.3f}  {name}")


def main() -> None:
    """Print both tables for every workload that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS), help="all when none is given")
    parser.add_argument("--bars", type=int, default=2000)
    parser.add_argument("--capture", choices=["none", "digest", "full"], default="none")
    parser.add_argument("--top", type=int, default=40, help="so many functions, those with most instructions")
    given = parser.parse_args()
    for workload in given.workloads:
        found = one_more_bar(workload, given.bars, given.capture)
        total = sum(instructions for instructions, _ in found.values())
        print(f"{workload}, capture {given.capture}: {total:.1f} instructions a bar; instructions and calls")
        _print(by_package(found))
        _print(found, given.top)


if __name__ == "__main__":
    main()
