"""Two threads, one stopped at a chosen line while the other goes through: surely finds what hammering finds by luck."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.support.tracing import traced

ROOT = Path(__file__).resolve().parent.parent.parent
_OURS = tuple(str(ROOT / folder) + "/" for folder in ("components", "tests"))
_COLLECTIONS = str(ROOT / "bus" / "runtime" / "collections.py")


def interleaved(first: Callable[[], Any], second: Callable[[], Any], stop_at: int, wait_s: float) -> tuple[bool, Any]:
    """Run `first` up to its line number `stop_at`, then `second`, for at most `wait_s`, then the rest of `first`.

    Lines are counted as they are executed in components, collections and tests. Gives whether `first` has so many, and
    what `second` gave. `second` waits for a lock that `first` holds until that goes on.
    """
    stopped, go_on, answers = threading.Event(), threading.Event(), []
    lines = 0

    def on_event(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        name = frame.f_code.co_filename
        if not name.startswith(_OURS) and name != _COLLECTIONS:
            return None
        if event == "line":
            lines += 1
            if lines == stop_at:
                stopped.set()
                assert go_on.wait(30)
        return on_event

    def work() -> None:
        try:
            with traced(on_event):
                first()
        finally:
            stopped.set()

    one = threading.Thread(target=work, daemon=True)
    two = threading.Thread(target=lambda: answers.append(second()), daemon=True)
    one.start()
    assert stopped.wait(30)
    reached = one.is_alive() and lines >= stop_at
    two.start()
    two.join(wait_s)
    go_on.set()
    for thread in (one, two):
        thread.join(30)
        assert not thread.is_alive(), "the threads wait for each other"
    return reached, answers[0] if answers else None
