"""What locks cost: `python -m tests.benchmarks.locks`, nanoseconds an operation in one thread that nobody disturbs.

Prints one JSON object a line. The value is the least of several rounds: what is above it is the machine's other work.
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Iterator
from typing import Any

from bus.runtime.collections import ThreadSafeDict
from bus.runtime.guidelines import LockStrategy
from bus.runtime.locks import make_lock

_CALLS = 100_000
_ROUNDS = 9
_HOLD = {
    "none": ("with lock: pass",),
    "lock": ("with lock: pass",),
    "reentrant_lock": ("with lock: pass",),
    "reader_writer_lock": ("with lock.read(): pass", "with lock.write(): pass"),
    "fine_grained_lock": ("with lock.key('AAPL'): pass",),
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


def main() -> None:
    """Measure all of them, round by round, so that a busy moment of the machine meets all alike."""
    timers = [(name, timeit.Timer(statement, globals=names)) for name, statement, names in statements()]
    values: dict[str, list[float]] = {name: [] for name, _ in timers}
    for _ in range(_ROUNDS):
        for name, timer in timers:
            values[name].append(timer.timeit(_CALLS) / _CALLS * 1e9)
    for name, found in values.items():
        print(json.dumps({"name": name, "value": round(min(found)), "unit": "ns", "high": round(max(found))}))


if __name__ == "__main__":
    main()
