"""Waiting for a condition with a deadline, never for a length of time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], within_s: float, what: str = "the condition") -> T:
    """The condition's first true value; fails the test when there is none in time."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {within_s:g} s"
        pause.wait(0.005)
    return value
