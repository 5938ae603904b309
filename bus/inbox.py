"""What comes to the live bus from threads of this process: outputs, failures, recordings that wait for their turn."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Final

from bus.runtime.runner import Output

_AT_A_TIME: Final = 4096
"""Outputs after which a round begins though more have come, so that a flood does not keep the first of them waiting."""


class Inbox:
    """Takes from any thread and never makes anybody wait; the bus's thread empties it."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        """Called after something was put in, when the bus waits elsewhere than in `take`."""
        self.turns = Turns(self)
        self._items: queue.SimpleQueue[list[Output] | BaseException] = queue.SimpleQueue()

    def put(self, outputs: list[Output]) -> None:
        """Bring outputs, each source's in the order of their emission. An empty list only ends the bus's wait."""
        self._items.put(outputs)
        self.wake()

    def fail(self, error: BaseException) -> None:
        """Bring what ended a host: the bus raises it."""
        self._items.put(error)
        self.wake()

    @property
    def is_empty(self) -> bool:
        """Whether nothing has come since it was last emptied."""
        return self._items.empty()

    def take(self, timeout_s: float) -> list[Output]:
        """What has come; waits at most `timeout_s` for the first.

        Raises:
            BaseException: what a host failed with, after what had come before it was taken.
        """
        outputs: list[Output] = []
        try:
            item = self._items.get(timeout=timeout_s) if timeout_s > 0 else self._items.get_nowait()
            while True:
                if isinstance(item, BaseException):
                    if outputs:
                        self._items.put(item)
                        return outputs
                    raise item
                outputs += item
                if len(outputs) >= _AT_A_TIME:
                    return outputs
                item = self._items.get_nowait()
        except queue.Empty:
            return outputs


class Turns:
    """Recordings that are played as fast as the run follows: each message waits until the one before has settled.

    The earliest of those that wait goes next, whichever recording it is from.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._lock = threading.Lock()
        self._players = 0
        self._waiting: list[tuple[int, int, threading.Event]] = []

    def join(self) -> None:
        """One more recording will ask for its turns; called before it is played."""
        with self._lock:
            self._players += 1

    def leave(self) -> None:
        """A recording has ended."""
        with self._lock:
            self._players -= 1
        self._inbox.put([])

    def wait(self, ts: int, source: int, is_over: Callable[[], bool], poll_s: float = 0.1) -> None:
        """Return when a message of `ts` (ns UTC) may come, or when `is_over` says that none shall come any more."""
        granted = threading.Event()
        entry = (ts, source, granted)
        with self._lock:
            self._waiting.append(entry)
        self._inbox.put([])
        while not granted.wait(poll_s):
            if is_over():
                with self._lock:
                    if entry in self._waiting:
                        self._waiting.remove(entry)
                return

    @property
    def is_asked(self) -> bool:
        """Whether every recording waits for its turn, and there is one."""
        with self._lock:
            return 0 < self._players == len(self._waiting)

    @property
    def next_ts(self) -> int:
        """The time (ns UTC) of the message that is next."""
        with self._lock:
            return min(self._waiting)[0] if self._waiting else 0

    def grant(self) -> None:
        """All that came before has settled: let the next message come."""
        with self._lock:
            if self._waiting:
                entry = min(self._waiting, key=lambda waiting: waiting[:2])
                self._waiting.remove(entry)
                entry[2].set()
