"""Reading, checking and re-executing captured logs: `python -m tests.benchmarks.run replay`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bus.log_reader import LogReader
from deploy.replay.capture import open_capture
from deploy.replay.planning import plan_replay
from deploy.replay.reexecution import reexecute
from schemas.codec import decode
from tests.benchmarks.result import Options, Result, alone, median_of
from tests.benchmarks.workloads import plan_for, run

AIM_PER_S: Final = 300_000
"""Records of a captured log that are read, decoded and verified in a second of CPU time in one process."""
WORKLOADS: Final = {"W4": "a quiet strategy", "W2": "an order a bar"}


def rates(workload: str, bars: int) -> dict[str, float]:
    """Records a second of CPU time, for a log of this workload: verified, also decoded, re-executed and compared."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(run(plan_for(workload, bars, Path(folder), "full")).result.run_dir)
        capture = open_capture(path)
        plan = plan_replay(capture)
        return {
            "verified": _per_second(lambda: _verify(path)),
            "read, decoded and verified": _per_second(lambda: _decode(path)),
            "re-executed and compared": _per_second(lambda: reexecute(capture, plan, lambda: None).records),
            "megabytes verified": _megabytes(path) / _verify(path) * _per_second(lambda: _verify(path)),
        }


def measure(options: Options) -> Iterator[Result]:
    """Rates of reading, with the aim, and of replays."""
    bars = 300_000 if options.full else 50_000
    for workload, what in WORKLOADS.items():
        found: list[dict[str, float]] = [alone(rates, workload, bars) for _ in range(options.runs)]
        for name in found[0]:
            aim = AIM_PER_S if name.startswith("read") else None
            unit = "MB/s" if name.startswith("megabytes") else "records/s"
            values = [rate[name] for rate in found]
            yield median_of(f"replay, {what}: {name}", values, unit, aim=aim, bound="at least")


def _per_second(count: Callable[[], int]) -> float:
    started = time.process_time()
    done = count()
    return float(done / (time.process_time() - started))


def _verify(path: Path) -> int:
    reader = LogReader(path)
    reader.verify()
    return reader.records


def _decode(path: Path) -> int:
    reader = LogReader(path)
    for batch in reader.batches():
        for record in batch:
            decode(record.type_id, record.payload)
    return reader.records


def _megabytes(path: Path) -> float:
    return sum(segment.stat().st_size for segment in (path / "log").iterdir()) / 1e6
