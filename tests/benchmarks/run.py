"""Benchmarks of the whole system: `make bench`, or `python -m tests.benchmarks.run [NAME...] [--runs N]`.

Prints one JSON object a line: name, value, unit, spread of the runs, and the machine. Every figure is the median of
several runs, each in a process of its own; on a noisy machine only ratios within one call mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
TOPOLOGY = ROOT / "tests" / "benchmarks" / "topology.yaml"
ADMF = [sys.executable, "-c", "from deploy.cli.main import main; main()"]
EVERY_BAR = ("components.strategy.class=tests.benchmarks.parts.EveryBar",)


def launch(folder: str, bars: int, *settings: str, placement: str = "local", config: Path = TOPOLOGY) -> dict[str, Any]:
    """One run in a process of its own; its document, with peak resident memory in MB of its largest process."""
    arguments = [str(config), "--json", "--placement", placement, "--set", f"bus.run_dir={folder}"]
    if config == TOPOLOGY:
        arguments += ["--set", f"components.data_handler.count={bars}"]
    for setting in settings:
        arguments += ["--set", setting]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*ADMF, "launch", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    document: dict[str, Any] = json.loads(done.stdout)
    document["run_s"] = document["elapsed_s"] - document["ready_s"]
    return document


def per_second(key: str, bars: int, *settings: str, placement: str = "local") -> Callable[[str], float]:
    """Bars or orders a second of the run itself, without start-up."""

    def measure(folder: str) -> float:
        document = launch(folder, bars, *settings, placement=placement)
        return float(document[key] / document["run_s"])

    return measure


def wall(*arguments: str) -> Callable[[str], float]:
    """Seconds for a command from start to end."""

    def measure(folder: str) -> float:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [*ADMF, *arguments, *(["--set", f"bus.run_dir={folder}"] if arguments[0] == "launch" else [])]
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - started

    return measure


def ready(folder: str) -> float:
    """Seconds until a topology of eight processes is ready."""
    return float(launch(folder, 10, placement="processes")["ready_s"])


def memory(folder: str) -> float:
    """Peak resident memory, MB, of a million bars streamed through one process."""
    launch(folder, 1_000_000)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


BACKTEST = str(ROOT / "configs" / "backtest.yaml")
BENCHMARKS: dict[str, tuple[Callable[[str], float], str]] = {
    "local, empty strategy": (per_second("bars", 500_000), "bars/s"),
    "local, empty strategy, captured": (per_second("bars", 500_000, "bus.capture=full"), "bars/s"),
    "local, one order a bar": (per_second("orders", 50_000, *EVERY_BAR), "orders/s"),
    "local, one order a bar, captured": (per_second("orders", 50_000, *EVERY_BAR, "bus.capture=full"), "orders/s"),
    "threads, empty strategy": (per_second("bars", 20_000, placement="threads"), "bars/s"),
    "processes, empty strategy": (per_second("bars", 10_000, placement="processes"), "bars/s"),
    "processes, one order a bar": (per_second("orders", 3_000, *EVERY_BAR, placement="processes"), "orders/s"),
    "admf --help": (wall("--help"), "s"),
    "admf launch, shipped data": (wall("launch", BACKTEST), "s"),
    "processes ready": (ready, "s"),
    "peak memory, a million bars": (memory, "MB"),
}


def measure(names: list[str], runs: int) -> Iterator[dict[str, Any]]:
    """One result a benchmark."""
    for name, (function, unit) in BENCHMARKS.items():
        if names and not any(wanted in name for wanted in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            values = sorted(function(folder) for _ in range(runs))
        median = statistics.median(values)
        yield {
            "name": name,
            "value": round(median, 3 if median < 100 else 0),
            "unit": unit,
            "low": round(values[0], 3),
            "high": round(values[-1], 3),
            "runs": runs,
        }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "name": "machine",
        "cpus": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def main() -> None:
    """Run the benchmarks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; all when none is given")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    print(json.dumps(machine()))
    for result in measure(arguments.names, arguments.runs):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
