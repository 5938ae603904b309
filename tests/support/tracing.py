"""Tracing of what a test runs, and of nothing else."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def traced(on_frame: Callable[..., Any], on_call: Callable[..., Any] | None = None) -> Iterator[None]:
    """Trace this thread, and profile it too, until the end, with nobody's garbage collected meanwhile.

    The collector comes when there are enough objects in the whole process, and calls what others want called:
    finalizers, callbacks of weak references, those in `gc.callbacks`. None of it is what is traced, and no two runs
    have the same of it.
    """
    before, profiled, collects = sys.gettrace(), sys.getprofile(), gc.isenabled()
    gc.disable()
    try:
        if on_call is not None:
            sys.setprofile(on_call)
        sys.settrace(on_frame)
        yield
    finally:
        sys.settrace(before)
        if on_call is not None:
            sys.setprofile(profiled)
        if collects:
            gc.enable()
