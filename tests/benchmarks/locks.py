"""What locks cost, one by one and to a run: `python -m tests.benchmarks.run locks`.

One by one in nanoseconds of CPU time an operation, in one thread that nobody disturbs: the least of several rounds.
"""

from __future__ import annotations

import copy
import tempfile
import time
import timeit
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bus.runtime.collections import ThreadSafeDict
from bus.runtime.guidelines import LockStrategy
from bus.runtime.locks import make_lock
from deploy.plan import plan_of
from tests.benchmarks.result import Options, Result, alone, median_of, ratio_of
from tests.benchmarks.workloads import plan_for, run

_CALLS = 20_000
_ROUNDS = 9
_HOLD = {
    "none": ("with lock: pass",),
    "lock": ("with lock: pass",),
    "reentrant_lock": ("with lock: pass",),
    "reader_writer_lock": ("with lock.read(): pass", "with lock.write(): pass"),
    "fine_grained_lock": ("with lock.key('AAPL'): pass", "with lock.write(): pass"),
}
_STEPS = ("d['AAPL']", "d['AAPL'] = 1", "d.update_with('AAPL', abs, 0)", "d.get_or_set('AAPL', int)", "d.snapshot()")


def statements() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, statement and names it uses."""
    for strategy in LockStrategy:
        for hold in _HOLD[strategy]:
            yield f"{strategy}: {hold}", hold, {"lock": make_lock(strategy)}
    for step in _STEPS:
        for locks in (False, True):
            mapping = ThreadSafeDict({"AAPL": 1}, locks=locks)
            yield f"ThreadSafeDict, {'locks' if locks else 'none'}: {step}", step, {"d": mapping}


def per_bar(mode: str, thread_safe: bool | None, bars: int) -> float:
    """CPU microseconds a bar of an order on every bar, all components in one thread, locking or not."""
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_for("W2", bars, Path(folder))
        made = copy.deepcopy(plan.content)
        made["execution"] = {"mode": mode}
        for entry in made["components"].values():
            entry |= {"isolation": "shared"} | ({} if thread_safe is None else {"thread_safe": thread_safe})
        return run(plan_of(made, plan.path)).us_per_bar()


def measure(options: Options) -> Iterator[Result]:
    """What each lock costs, what each mode pays for its locks, against the same without."""
    timers = [
        (name, timeit.Timer(statement, timer=time.process_time, globals=names))
        for name, statement, names in statements()
    ]
    values: dict[str, list[float]] = {name: [] for name, _ in timers}
    for _ in range(_ROUNDS):
        # Round by round, so that a busy moment of the machine meets all alike.
        for name, timer in timers:
            values[name].append(timer.timeit(_CALLS) / _CALLS * 1e9)
    for name, found in values.items():
        yield Result(name, min(found), "ns", low=min(found), high=max(found), runs=_ROUNDS)
    bars = 20_000 if options.full else 3_000
    for mode in ("BACKTEST_SINGLE", "BACKTEST_PARALLEL"):
        as_told, without = [], []
        for _ in range(options.runs):
            as_told.append(alone(per_bar, mode, None, bars))
            without.append(alone(per_bar, mode, False, bars))
        yield ratio_of(f"locks in {mode}: an order a bar, as the guidelines say, to none", as_told, without)
        yield median_of(f"locks in {mode}: an order a bar", as_told, "us/bar")
