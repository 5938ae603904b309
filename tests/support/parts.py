"""Small components for testing the bus: deterministic, and each good for one thing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from pydantic import Field

from bus.runtime.component import Component, Parameters, Source, handles
from schemas import (
    Bar,
    CancelTimer,
    Direction,
    Drained,
    EndOfStream,
    Fill,
    Message,
    Order,
    OrderStatus,
    RunCompleted,
    RunStarted,
    SetTimer,
    Signal,
    StartStream,
    SubmitOrder,
    TimerFired,
)
from tests.support.builders import DAY_NS, T0, a_bar, a_fill, an_order


class Bars(Source):
    """Sends `count` bars, a block at a time."""

    class Parameters(Parameters):
        count: int = Field(default=100, ge=0)
        block: int = Field(default=7, gt=0)
        symbol: str = "AAPL"
        shift_ns: int = 0
        fail_at: int = -1

    component_type = "data_handler"
    emits = (Bar,)

    def blocks(self) -> Iterable[list[Message]]:
        for first in range(0, self.parameters.count, self.parameters.block):
            if 0 <= self.parameters.fail_at < first + self.parameters.block:
                raise ValueError("the file ends here")
            yield [self._bar(n) for n in range(first, min(first + self.parameters.block, self.parameters.count))]

    @property
    def total(self) -> int:
        return self.parameters.count

    def _bar(self, n: int) -> Bar:
        return a_bar(n, ts=T0 + n * DAY_NS + self.parameters.shift_ns, symbol=self.parameters.symbol, c=100 + n % 13)


class EveryNth(Component):
    """A strategy that signals on every n-th bar; `burst` signals at once. Can be made to fail, hang or die."""

    class Parameters(Parameters):
        n: int = Field(default=3, gt=0)
        burst: int = 1
        raise_at: int = -1
        hang_at: int = -1

    component_type = "strategy"
    emits = (Signal,)

    def reset(self) -> None:
        self.seen = 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.seen += 1
        if self.seen == self.parameters.raise_at:
            raise RuntimeError("the strategy has no idea")
        while self.seen == self.parameters.hang_at:
            pass
        if self.seen % self.parameters.n == 0:
            for _ in range(self.parameters.burst):
                self.emit(Signal(bar.ts, bar.symbol, "BUY", 1.0, bar.close))


class PlainRisk(Component):
    """One order a signal."""

    component_type = "risk_manager"
    emits = (Order,)

    def reset(self) -> None:
        self.count = 0
        self.filled = 0.0

    @handles(Signal)
    def on_signal(self, signal: Signal) -> None:
        self.count += 1
        self.emit(an_order(f"{self.name}-{self.count}", ts=signal.ts, quantity=10.0 + self.filled % 7))

    @handles(Fill)
    def on_fill(self, fill: Fill) -> None:
        self.filled += fill.quantity


class PlainManager(Component):
    """Passes orders on and says what became of them."""

    component_type = "order_manager"
    emits = (SubmitOrder, OrderStatus)

    @handles(Order)
    def on_order(self, order: Order) -> None:
        self.emit(OrderStatus(order.order_id, order.symbol, None, "RECEIVED", 0.0, 0.0, self.clock.now_ns))
        self.emit(SubmitOrder(order, "broker"))

    @handles(Fill)
    def on_fill(self, fill: Fill) -> None:
        self.emit(OrderStatus(fill.order_id, fill.symbol, "RECEIVED", "FILLED", fill.quantity, fill.price, fill.ts))


class PlainBroker(Component):
    """Fills at the next bar's open; quiet on bars while nothing works."""

    component_type = "broker"
    emits = (Fill,)
    _IDLE: ClassVar = frozenset({Bar})

    def reset(self) -> None:
        self.working: list[Order] = []
        self.fills = 0
        self.quiet = self._IDLE

    @handles(SubmitOrder)
    def on_order(self, submit: SubmitOrder) -> None:
        self.working.append(submit.order)
        self.quiet = frozenset()

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        for order in self.working:
            self.fills += 1
            fields = {"order_id": order.order_id, "quantity": order.quantity, "price": bar.open, "ts": bar.ts}
            self.emit(a_fill(f"{self.name}-{self.fills}", symbol=order.symbol, bar_ts=bar.ts, **fields))
        self.working.clear()
        self.quiet = self._IDLE


class PlainCoordinator(Component):
    """Starts every source, counts, and completes at the first Drained."""

    component_type = "coordinator"
    emits = (StartStream, RunCompleted)

    def reset(self) -> None:
        self.counts = {"orders": 0, "fills": 0, "streams": 0}

    @handles(RunStarted)
    def on_run_started(self, _: RunStarted) -> None:
        for source in self.context.sources:
            self.emit(StartStream(source))

    @handles(OrderStatus)
    def on_status(self, status: OrderStatus) -> None:
        self.counts["fills" if status.state == "FILLED" else "orders"] += 1

    @handles(EndOfStream)
    def on_end(self, _: EndOfStream) -> None:
        self.counts["streams"] += 1

    @handles(Drained)
    def on_drained(self, _: Drained) -> None:
        self.emit(RunCompleted({}, dict(self.counts)))


class PlainPortfolio(Component):
    """Takes fills, says nothing."""

    component_type = "portfolio"

    def reset(self) -> None:
        self.heard = 0

    @handles(Fill)
    def on_fill(self, _: Fill) -> None:
        self.heard += 1


class Unreadable(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Odd(EveryNth):
    """A strategy that fails in unusual ways."""

    class Parameters(EveryNth.Parameters):
        how: str = ""

    def start(self) -> None:
        if self.parameters.how == "exit in start":
            raise SystemExit(0)

    def stop(self) -> None:
        if self.parameters.how == "raise in stop":
            raise RuntimeError("it will not stop")

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        match self.parameters.how:
            case "exit":
                raise SystemExit(0)
            case "interrupt":
                raise KeyboardInterrupt
            case "unreadable":
                raise Unreadable
            case "surrogate":
                raise RuntimeError("bad \ud800 text")
            case "print":
                print("a component that prints")


class Sink(Component):
    """Takes bars and fills, says nothing."""

    component_type = "component"

    def reset(self) -> None:
        self.heard = 0

    @handles(Bar, Fill)
    def on_any(self, _: Message) -> None:
        self.heard += 1


class Alarms(Component):
    """A strategy that sets, moves and cancels timers as bars come, and signals when one fires."""

    class Parameters(Parameters):
        every: int = Field(default=3, gt=0)
        delays_ns: tuple[int, ...] = (DAY_NS // 2, DAY_NS, 0, 5 * DAY_NS // 2, -DAY_NS)

    component_type = "strategy"
    emits = (Signal, SetTimer, CancelTimer)

    def reset(self) -> None:
        self.seen = 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.seen += 1
        delays = self.parameters.delays_ns
        self.emit(SetTimer(f"t{self.seen % 4}", bar.ts + delays[self.seen % len(delays)]))
        if self.seen % self.parameters.every == 0:
            self.emit(CancelTimer(f"t{(self.seen + 1) % 4}"))

    @handles(TimerFired)
    def on_timer(self, fired: TimerFired) -> None:
        if fired.component == self.name:
            reason = f"{fired.timer_id} at {self.clock.now_ns}"
            self.emit(Signal(fired.ts, "AAPL", Direction.BUY, 1.0, 100.0, reason=reason))
            if fired.timer_id == "t0":
                self.emit(SetTimer("again", fired.ts + 1))
