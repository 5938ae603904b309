"""What a thread model costs a message: `python -m tests.benchmarks.run thread_models`.

A component that does nothing, handed bars in waves of one and of a hundred; CPU time of the whole process, so that what
other threads do is part of it. Models are measured in turn, and against the plain call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

from bus.hosts import PoolLink, ThreadLink
from bus.local import LocalBus
from bus.runtime.component import Component, handles
from bus.runtime.means import Means
from bus.runtime.modes import ThreadModel
from bus.runtime.runner import Member, Runner
from bus.runtime.service import Service
from bus.runtime.settings import RunContext
from bus.topics import Wiring
from bus.wave import Sequenced
from schemas import Bar
from schemas.registry import TYPE_IDS
from tests.benchmarks.result import Options, Result, alone, median_of
from tests.support.builders import a_bar

WAVES: Final = (1, 100)
_BAR: Final = TYPE_IDS[Bar]


class Nothing(Component):
    """Takes bars of several symbols."""

    component_type = "strategy"
    partition_by = {Bar: "symbol"}  # noqa: RUF012

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        return None


class NothingLater(Nothing):
    """Likewise, as an `async def` that never has to wait."""

    @handles(Bar)
    async def on_bar(self, bar: Bar) -> None:
        return None


def cost(model: str, is_async: bool, wave: int, messages: int) -> float:
    """CPU microseconds a message of a runner in this model."""
    with ThreadPoolExecutor(2) as pool:
        runner = Runner([_member(model, is_async)], RunContext(), Means(pool=lambda _: pool))
        runner.initialize()
        bars = [a_bar(n, symbol=f"S{n % 4}") for n in range(wave)]

        def serve() -> None:
            for seq, bar in enumerate(bars, 1):
                runner.handle(seq, bar.ts, _BAR, bar)
            runner.take_outputs()

        spent = _timed(serve, messages // wave)
        runner.stop()
    return spent / wave


def cost_of_host(kind: str, wave: int, messages: int) -> float:
    """CPU microseconds a message of a plain component behind a link: in a thread of its own, or on a pool."""
    runner = Runner([_member("SINGLE_THREADED", False)], RunContext())
    runner.initialize()
    items = [Sequenced(n, 0, _BAR, 1, b"", a_bar(n), b"") for n in range(1, wave + 1)]
    with ExitStack() as stack:
        link: Any
        if kind == "pool":
            link = PoolLink(runner, stack.enter_context(ThreadPoolExecutor(1)), 60.0)
        else:
            link = ThreadLink(runner, 60.0, lambda: None)
            stack.callback(link.stop)
            link.start()

        def serve() -> None:
            link.deliver(items)
            link.collect()

        return _timed(serve, messages // wave) / wave


def cost_in_local_bus(is_async: bool, messages: int) -> float:
    """CPU microseconds a message that the local bus hands to one component."""
    bus = LocalBus(Wiring((_member("ASYNC_SINGLE" if is_async else "SINGLE_THREADED", is_async),)), RunContext(), None)
    bus.open()
    bar = a_bar()
    spent = _timed(lambda: bus.publish(0, bar.ts, bar), messages)
    bus.close()
    return spent


def measure(options: Options) -> Iterator[Result]:
    """Every model and host, in turn."""
    messages = 20_000 if options.full else 2_000
    figures: dict[str, tuple[Callable[..., float], tuple[Any, ...]]] = {}
    for wave in WAVES:
        for model in ("SINGLE_THREADED", "MULTI_THREADED", "ASYNC_SINGLE", "ASYNC_MULTI"):
            name = f"thread model {model}, waves of {wave}"
            figures[name] = (cost, (model, model.startswith("ASYNC"), wave, messages))
        for kind in ("thread", "pool"):
            figures[f"host in a {kind}, waves of {wave}"] = (cost_of_host, (kind, wave, messages))
    figures["local bus, plain handler"] = (cost_in_local_bus, (False, messages))
    figures["local bus, async def handler"] = (cost_in_local_bus, (True, messages))
    found: dict[str, list[float]] = {name: [] for name in figures}
    for _ in range(options.runs):
        for name, (function, arguments) in figures.items():
            found[name].append(alone(function, *arguments))
    for name, values in found.items():
        yield median_of(name, values, "us/message")


def _member(model: str, is_async: bool) -> Member:
    component = NothingLater("nothing") if is_async else Nothing("nothing")
    return Member(1, component, Service(ThreadModel(model)))


def _timed(function: Callable[[], object], times: int) -> float:
    for _ in range(max(times // 10, 3)):
        function()
    started = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - started) / times * 1e6
