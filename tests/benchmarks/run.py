"""Every benchmark with its aim: `make bench`, or `python -m tests.benchmarks.run [MODULE...] [--full] [--runs N]`.

Prints one JSON object a line: the machine, then name, value, unit, and where there is an aim: aim and met. A value is
the median of several runs, `low` and `high` their extremes; at full size some ratios are measured until their median is
known to 2 per cent, or 31 times. On a noisy machine only ratios within one call mean
anything; those of CPU time mean most.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import pkgutil
from collections.abc import Callable, Iterator

import tests.benchmarks
from tests.benchmarks.result import Options, Result, machine, write_down

Measure = Callable[[Options], Iterator[Result]]


def benchmarks() -> dict[str, Measure]:
    """The `measure` of every module in this folder that has one."""
    found = {}
    for module in pkgutil.iter_modules(tests.benchmarks.__path__):
        function = getattr(importlib.import_module(f"tests.benchmarks.{module.name}"), "measure", None)
        if function is not None:
            found[module.name] = function
    return found


def main() -> None:
    """Run the benchmarks that were asked for."""
    known = benchmarks()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(known)}; all when none is given")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="at the sizes of the aims; takes long")
    parser.add_argument("--record", action="store_true", help="add the results to history.jsonl")
    given = parser.parse_args()
    unknown = set(given.modules) - known.keys()
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    options = Options(given.runs, given.full)
    results = itertools.chain.from_iterable(known[name](options) for name in given.modules or known)
    write_down(machine(), results, given.record)


if __name__ == "__main__":
    main()
