"""Components for the thread models: with keys, with `async def` handlers, and such as fail in ways of their own."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from bus.runtime.component import Component, Parameters, handles, query
from components.strategy import MovingAverageCrossover
from schemas import Bar, Fill, RunStarted, Signal
from tests.support.parts import Bars, EveryNth, PlainCoordinator, PlainRisk, Sink


class Pause:
    """Awaited, lets all else on the loop go on once."""

    def __await__(self) -> Iterator[None]:
        yield


class ManyBars(Bars):
    """Bars of several symbols in turn."""

    class Parameters(Bars.Parameters):
        symbols: tuple[str, ...] = ("AAPL", "IBM", "MSFT", "ORCL")

    def _bar(self, n: int) -> Bar:
        bar, symbols = super()._bar(n), self.parameters.symbols
        return Bar(bar.ts, symbols[n % len(symbols)], bar.open, bar.high, bar.low, bar.close, bar.volume)


class ByKey(Component):
    """Signals by what it has seen of a symbol, and of the fills of all: which are barriers."""

    component_type = "strategy"
    emits = (Signal,)
    partition_by: ClassVar = {Bar: "symbol"}

    def reset(self) -> None:
        self.seen: dict[str, int] = {}
        self.fills = 0
        self.threads: set[str] = set()

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.threads.add(threading.current_thread().name)
        state = self.seen[bar.symbol] = zlib.crc32(repr(bar).encode(), self.seen.get(bar.symbol, 0))
        if state % 3 == 0:
            self.emit(Signal(bar.ts, bar.symbol, "BUY", 1.0, bar.close, reason=f"{state:x} after {self.fills}"))

    @handles(Fill)
    def on_fill(self, _: Fill) -> None:
        self.fills += 1

    @query
    def symbols(self) -> list[str]:
        """What it has seen."""
        return sorted(self.seen)


class Answers(ByKey):
    """Wrongly answers a type for which it names no key."""

    @handles(RunStarted)
    def on_run_started(self, _: RunStarted) -> None:
        self.emit(Signal(0, "AAPL", "BUY", 1.0, 1.0))


class Later(ByKey):
    """As `ByKey`, without keys and with handlers that wait before and after they speak."""

    partition_by: ClassVar = {}

    class Parameters(Parameters):
        pauses: int = Field(default=1, ge=0)

    @handles(Bar)
    async def on_bar(self, bar: Bar) -> None:
        for _ in range(self.parameters.pauses):
            await Pause()
        super().on_bar(bar)
        await Pause()


class Troubled(EveryNth):
    """An async strategy with a trouble of its own, at the bar `at`."""

    class Parameters(EveryNth.Parameters):
        how: str = ""
        at: int = 5
        seconds: float = 30.0

    def stop(self) -> None:
        self.stopped_in = threading.current_thread().name

    @handles(Bar)
    async def on_bar(self, bar: Bar) -> None:
        super().on_bar(bar)
        if self.seen == self.parameters.at:
            await self._get_into(self.parameters.how, bar)

    async def _get_into(self, trouble: str, bar: Bar) -> None:
        match trouble:
            case "blocks":
                threading.Event().wait(self.parameters.seconds)
            case "waits":
                await asyncio.Event().wait()
            case "will not be cancelled":
                await _stubborn()
            case "stops the loop":
                asyncio.get_running_loop().stop()
                await Pause()
                await Pause()
            case "cancels itself":
                asyncio.current_task().cancel()
                await Pause()
            case "raises":
                await Pause()
                raise RuntimeError("the strategy has no idea")
            case "exits":
                raise SystemExit(0)
            case "leaves a task behind":
                self.task = asyncio.get_running_loop().create_task(asyncio.Event().wait())
            case "speaks too late":
                asyncio.get_running_loop().create_task(self._speak_later(bar))

    async def _speak_later(self, bar: Bar) -> None:
        while self.seen == self.parameters.at:
            await Pause()
        self.emit(Signal(bar.ts, bar.symbol, "BUY", 1.0, bar.close))


async def _stubborn() -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


class Crossover(MovingAverageCrossover):
    """The strategy of ours, as somebody would write it who has to wait for something at every bar."""

    @handles(Bar)
    async def on_bar(self, bar: Bar) -> None:
        await Pause()
        super().on_bar(bar)
        await Pause()


class WrongKey(ByKey):
    """Names a field that there is not."""

    partition_by: ClassVar = {Bar: "symbl"}


class Leaves:
    """Writes its name into a file when it is stopped."""

    class Parameters(Parameters):
        notes: Path = Path()

    def stop(self) -> None:
        with self.parameters.notes.open("a") as notes:
            notes.write(f"{self.name}\n")


class LeavingBars(Leaves, ManyBars):
    class Parameters(Leaves.Parameters, ManyBars.Parameters):
        pass


class LeavingStrategy(Leaves, EveryNth):
    class Parameters(Leaves.Parameters, EveryNth.Parameters):
        pass


class LeavingAsyncStrategy(LeavingStrategy):
    @handles(Bar)
    async def on_bar(self, bar: Bar) -> None:
        await Pause()
        super().on_bar(bar)


class LeavingRisk(Leaves, PlainRisk):
    pass


class LeavingSink(Leaves, Sink):
    pass


class LeavingCoordinator(Leaves, PlainCoordinator):
    pass


class Placed(EveryNth):
    """Notes in which thread and on which CPUs it is served."""

    def reset(self) -> None:
        super().reset()
        self.places: set[tuple[object, ...]] = set()

    @handles(Bar)
    async def on_bar(self, bar: Bar) -> None:
        self.places.add((threading.current_thread().name, *os.sched_getaffinity(threading.get_native_id())))


class Doomed(EveryNth):
    """Has the thread that serves it ended from outside, some time after its fifth bar."""

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        super().on_bar(bar)
        if self.seen == 5:
            threading.Thread(target=end_thread, args=(threading.get_ident(),), daemon=True).start()


def end_thread(ident: int) -> None:
    """Let a thread end at its next step, wherever that is."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(SystemExit))
