"""Components for the wire benchmarks: each does next to nothing, so that the wire is what is measured."""

from __future__ import annotations

import time
from collections.abc import Iterable

from pydantic import Field

from bus.runtime.component import Component, Parameters, handles
from schemas import Bar, Fill, Message, Order, RunCompleted, RunStarted, SubmitOrder
from tests.benchmarks.parts import MinuteBars
from tests.support.builders import a_fill, an_order


class Risk(Component):
    """Sends the next order when the last one is filled, `count` times; then keeps `window` orders under way, as often.

    It completes the run with what its own clock says: the median round trip, and orders a second.
    """

    class Parameters(Parameters):
        count: int = Field(default=2000, ge=1)
        window: int = Field(default=100, ge=1)

    component_type = "risk_manager"
    emits = (Order, RunCompleted)

    def reset(self) -> None:
        self.order = an_order()
        self.trips: list[int] = []
        self.sent = self.filled = 0
        self.began = 0.0

    @handles(RunStarted)
    def on_run_started(self, _: RunStarted) -> None:
        self._send()

    @handles(Fill)
    def on_fill(self, _: Fill) -> None:
        count, window = self.parameters.count, self.parameters.window
        self.filled += 1
        if self.filled <= count:
            self.trips.append(time.perf_counter_ns() - self.at)
        if self.filled == count:
            self.began = time.perf_counter()
            for _ in range(window):
                self._send()
        elif self.sent < 2 * count:
            self._send()
        if self.filled == 2 * count:
            took = time.perf_counter() - self.began
            p50 = sorted(self.trips)[count // 2] / 1000
            self.emit(RunCompleted({"p50_us": p50, "orders_per_s": count / took}, {}))

    def _send(self) -> None:
        self.sent += 1
        self.at = time.perf_counter_ns()
        self.emit(self.order)


class Manager(Component):
    """Passes orders on."""

    component_type = "order_manager"
    emits = (SubmitOrder,)

    @handles(Order)
    def on_order(self, order: Order) -> None:
        self.emit(SubmitOrder(order, "broker"))


class Broker(Component):
    """Fills every order at once."""

    component_type = "broker"
    emits = (Fill,)

    def reset(self) -> None:
        self.fill = a_fill()

    @handles(SubmitOrder)
    def on_order(self, _: SubmitOrder) -> None:
        self.emit(self.fill)


class Flood(MinuteBars):
    """All its bars as fast as they go, `block` at a time."""

    class Parameters(MinuteBars.Parameters):
        block: int = Field(default=64, ge=1)

    follows_run = False

    def blocks(self) -> Iterable[list[Message]]:
        size = self.parameters.block
        for block in super().blocks():
            for first in range(0, len(block), size):
                yield block[first : first + size]


class Listener(Component):
    """Takes every bar and says nothing."""

    @handles(Bar)
    def on_bar(self, _: Bar) -> None:
        return
