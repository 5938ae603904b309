"""How a run lives with Python's garbage collector, which looks for objects that only refer to each other.

What we make ourselves goes when the last reference to it does, and needs no collector. But thousands of orders are kept
for a while in lists and sets, and growing numbers of these make the collector look at them again and again. So it looks
less often while a run goes on. It is never switched off: components of a user's own may well make cycles.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator
from typing import Final

COLLECT_EVERY: Final = 10_000
"""The collector looks at young objects when there are so many containers more than at its last look; usually 700.

That is also how many of them may be garbage at a time, with whatever they hold. Beyond it little is gained: at 50,000
an order costs half a percent less.
"""


class _Collector:
    """The process's collector, which runs beside each other share: the first one sets it, the last one restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._usual = gc.get_threshold()
        self._ours = self._usual
        self._looks = 0
        self._left_old_objects = False

    def begin(self) -> None:
        with self._lock:
            self._runs += 1
            if self._runs > 1:
                return
            if self._left_old_objects:
                gc.collect()
            self._looks = _looks_at_middle()
            self._usual = self._ours = gc.get_threshold()
            if 0 < self._usual[0] < COLLECT_EVERY:
                self._ours = (COLLECT_EVERY, *self._usual[1:])
                gc.set_threshold(*self._ours)

    def end(self) -> None:
        with self._lock:
            self._runs -= 1
            if self._runs:
                return
            self._left_old_objects = _looks_at_middle() > self._looks
            if gc.get_threshold() == self._ours:
                gc.set_threshold(*self._usual)


def _looks_at_middle() -> int:
    """How often the collector has looked at the middle generation, whose survivors are old from then on."""
    return int(gc.get_stats()[1]["collections"])


_collector = _Collector()


@contextlib.contextmanager
def collected_rarely() -> Iterator[None]:
    """Let the collector look less often until the end, then as often as before.

    A caller who has switched it off, or slowed it down, or sets it meanwhile, has his way. Old objects are looked at
    last; so those of a long run before this one, which are garbage by now, are collected first.
    """
    _collector.begin()
    try:
        yield
    finally:
        _collector.end()


def never_collect_what_is_there() -> None:
    """For a process of our own: what it has by now, imports above all, stays to its end and is not looked at again.

    Not for a process of somebody else, such as a notebook: what is garbage in it by now would stay as well. To undo
    it after a run would not do either: all would be old then, and be looked at last.
    """
    gc.freeze()
