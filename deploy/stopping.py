"""Stopping a run before its end, when somebody asks for it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from bus.errors import EXIT_INTERRUPTED, AdmfError, StopNow

GRACE_S = 2.0
"""How long a run may take to come to a point where nothing is under way; then it is broken off."""
LIVE_GRACE_S = 30.0
"""The same for a live run, which ends its streams, lets everything settle and makes its result first."""


class Interrupted(AdmfError):
    """Somebody asked the run to stop before its end."""

    exit_code = EXIT_INTERRUPTED


@dataclass
class StopRequest:
    """Turns SIGINT, SIGTERM and SIGHUP into a stop at the next point where nothing is under way.

    A second signal, or `grace_s` without such a point (a handler that blocks, components that answer each other for
    ever), break the run off where it is. While a run is being closed, signals change nothing: it is about to end.
    """

    name: str = ""
    closing: bool = False
    grace_s: float | None = GRACE_S
    _is_listening: bool = False
    _due: Callable[[], BaseException | None] | None = None
    """What is to be raised in the main thread, if it still is."""

    def ask(self, name: str) -> None:
        """Ask for a stop, from any thread; `name` says who."""
        self.name = self.name or name

    def check(self) -> None:
        """Raise Interrupted when a stop was asked for."""
        if self.name and not self.closing:
            raise Interrupted(f"interrupted by {self.name}")

    def break_in(self, thread: int, due: Callable[[], BaseException | None]) -> None:
        """Raise what `due` gives in the main thread, whatever it does there, a blocking call too; only inside
        `listening`, and not in other threads, which nobody can interrupt.
        """
        if self._is_listening and thread == threading.main_thread().ident:
            self._due = due
            signal.pthread_kill(thread, signal.SIGALRM)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the signals inside the block. Only the main thread can; elsewhere this does nothing."""
        previous: dict[signal.Signals, Any] = {}
        with contextlib.suppress(ValueError):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                previous[number] = signal.signal(number, self._on_signal)
            previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_alarm)
            self._is_listening = True
        try:
            yield
        finally:
            if previous:
                signal.setitimer(signal.ITIMER_REAL, 0)
            self._is_listening = False
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.closing:
            return
        if self.name:
            raise StopNow(f"interrupted by {self.name}, twice")
        self.name = signal.Signals(number).name
        if self.grace_s is not None:
            signal.setitimer(signal.ITIMER_REAL, self.grace_s)

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        due, self._due = self._due, None
        if due is not None and (error := due()) is not None:
            raise error
        if self.name and not self.closing:
            raise StopNow(f"interrupted by {self.name}, and broken off after {self.grace_s:g} s")
