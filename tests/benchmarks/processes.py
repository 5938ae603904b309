"""Start-up, and the same workloads in threads and processes. Start-up is wall time: that is what a user waits."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tests.benchmarks.result import ROOT, Options, Result, median_of
from tests.benchmarks.workloads import PARTS, WORKLOADS, content

HELP_AIM_S: Final = 0.3
BACKTEST_AIM_S: Final = 1.0
READY_AIM_S: Final = 2.5

_ADMF: Final = [sys.executable, "-c", "from deploy.cli.main import main; main()"]
_BACKTEST: Final = ROOT / "configs" / "backtest.yaml"


@functools.cache
def _environment() -> dict[str, str]:
    """Ours, with bytecode kept as it is for a user, whatever is set here; the first run makes it."""
    folder = tempfile.mkdtemp(prefix="admf-bytecode-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
    return {**os.environ, "PYTHONPATH": str(ROOT), **kept}


def admf(*arguments: str) -> str:
    """Standard output of `admf ARGUMENTS`, in a process of its own."""
    return subprocess.run(
        [*_ADMF, *arguments], cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def launched(workload: str, bars: int, placement: str) -> dict[str, Any]:
    """The document of a run, with the components of a workload placed so."""
    with tempfile.TemporaryDirectory() as folder:
        source = {"class": f"{PARTS}.MinuteBars", "count": bars}
        topology = Path(folder) / "benchmark.yaml"
        topology.write_text(yaml.safe_dump(content(Path(folder), {"data_handler": source, **WORKLOADS[workload]})))
        document: dict[str, Any] = json.loads(admf("launch", str(topology), "--json", "--placement", placement))
    document["run_s"] = document["elapsed_s"] - document["ready_s"]
    return document


def measure(options: Options) -> Iterator[Result]:
    """Start-up against its aims, then rates."""
    _backtest()
    _ready()
    yield _median("admf --help", lambda: _wall("--help"), "s", options.runs, HELP_AIM_S)
    yield _median("admf launch, shipped data", _backtest, "s", options.runs, BACKTEST_AIM_S)
    yield _median("seven processes and the hub ready", _ready, "s", options.runs, READY_AIM_S)
    many = 5 if options.full else 1
    for placement, workload, bars in (
        ("threads", "W4", 4_000),
        ("threads", "W2", 400),
        ("processes", "W4", 2_000),
        ("processes", "W2", 400),
    ):
        name = f"{workload}, {placement}, {bars * many} bars"
        yield _median(name, lambda p=placement, w=workload, n=bars * many: _rate(w, n, p), "bars/s", options.runs)


def _median(name: str, function: Callable[[], float], unit: str, runs: int, aim: float | None = None) -> Result:
    return median_of(name, [function() for _ in range(runs)], unit, aim=aim)


def _wall(*arguments: str) -> float:
    started = time.perf_counter()
    admf(*arguments)
    return time.perf_counter() - started


def _backtest() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return _wall("launch", str(_BACKTEST), "--set", f"bus.run_dir={folder}")


def _ready() -> float:
    return float(launched("W4", 10, "processes")["ready_s"])


def _rate(workload: str, bars: int, placement: str) -> float:
    return float(bars / launched(workload, bars, placement)["run_s"])
