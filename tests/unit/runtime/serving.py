"""Runs one component, or a few, in a thread model, without a bus."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bus.runtime.component import Component
from bus.runtime.means import Means
from bus.runtime.modes import ThreadModel
from bus.runtime.runner import Member, Output, Runner
from bus.runtime.service import Service
from bus.runtime.settings import RunContext
from schemas import Message
from schemas.registry import TYPE_IDS


@contextlib.contextmanager
def serving(*components: Component, model: str, workers: int = 4, **means: Any) -> Iterator[Runner]:
    """A runner whose components have this thread model, and what they need for it."""
    service = Service(ThreadModel(model))
    with ThreadPoolExecutor(workers) as pool:
        members = [Member(n, component, service) for n, component in enumerate(components, 1)]
        runner = Runner(members, RunContext(), Means(pool=lambda _: pool, **{"timeout_s": 10.0, **means}))
        try:
            runner.initialize()
            yield runner
        finally:
            runner.stop()


def wave(runner: Runner, messages: Sequence[Message], first_seq: int = 1) -> list[Output]:
    """Hand over messages in one wave, at their own times, and take the outputs in the order of the bus."""
    for seq, message in enumerate(messages, first_seq):
        runner.handle(seq, getattr(message, "ts", 0), TYPE_IDS[type(message)], message)
    return sorted(runner.take_outputs(), key=lambda output: (output.cause, output.source))
