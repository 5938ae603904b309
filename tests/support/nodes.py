"""Components whose every word depends on all that they heard before, and in which order.

A run of them gives other records as soon as one component hears one message too few, twice, or at another place.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import Any

from pydantic import Field

from bus.runtime.component import Component, Handler, Parameters, handles
from schemas import (
    Bar,
    BrokerReport,
    CancelOrder,
    Direction,
    Message,
    OrderState,
    OrderStatus,
    ReportType,
    Signal,
)

CHAIN: tuple[type[Message], ...] = (Bar, Signal, CancelOrder, BrokerReport, OrderStatus)
"""A node emits only types that stand behind those it takes, so that every bar comes to an end."""

_MAKERS: dict[type[Message], Callable[[int, str], Message]] = {
    Signal: lambda ts, text: Signal(ts, "AAPL", Direction.BUY, 1.0, 100.0, reason=text),
    CancelOrder: lambda ts, text: CancelOrder("risk-1", ts, reason=text),
    BrokerReport: lambda ts, text: BrokerReport("risk-1", "broker", ReportType.REJECTED, ts, reason=text),
    OrderStatus: lambda ts, text: OrderStatus("1", "AAPL", None, OrderState.RECEIVED, 0.0, 0.0, ts, reason=text),
}


class Node(Component):
    """Takes and emits links of the chain, by their index; `burst` messages at most in answer to one.

    With `moody` it falls quiet on bars and comes back with another type, as its state says.
    """

    class Parameters(Parameters):
        takes: tuple[int, ...] = (0,)
        emits: tuple[int, ...] = ()
        burst: int = Field(default=1, ge=1)
        moody: bool = False

    def __init__(self, name: str, parameters: dict[str, Any] | None = None) -> None:
        super().__init__(name, parameters)
        self.emits = tuple(CHAIN[i] for i in self.parameters.emits)

    def handlers(self) -> dict[type[Message], Handler]:
        return {CHAIN[i]: self.on_message for i in self.parameters.takes}

    def reset(self) -> None:
        self.state = zlib.crc32(self.name.encode())
        self.quiet = frozenset()

    def on_message(self, message: Message) -> None:
        self.state = zlib.crc32(repr(message).encode(), self.state)
        if type(message) in self.quiet or not self.emits:
            return
        later = [t for t in self.emits if CHAIN.index(t) > CHAIN.index(type(message))]
        for n in range(self.state % (self.parameters.burst + 1) if later else 0):
            maker = _MAKERS[later[(self.state + n) % len(later)]]
            self.emit(maker(self.clock.now_ns, f"{self.name} {self.state:x} {n}"))
        if self.parameters.moody:
            self.quiet = frozenset({Bar} if self.state % 4 == 0 else ())


class RiskNode(Node):
    """A node in risk's place of the order."""

    component_type = "risk_manager"


class StrategyNode(Node):
    """A node in a strategy's place of the order."""

    component_type = "strategy"


class BrokerNode(Node):
    """A node in a broker's place of the order."""

    component_type = "broker"


class Gate(Component):
    """Answers bars until the n-th, then waits for `opened`: a blocked handler that a test can let go."""

    class Parameters(Parameters):
        closed_at: int = 3

    component_type = "strategy"
    emits = (Signal,)

    def __init__(self, name: str, parameters: dict[str, Any] | None = None) -> None:
        super().__init__(name, parameters)
        self.opened = threading.Event()

    def reset(self) -> None:
        self.seen = 0

    @handles(Bar)
    def on_bar(self, _: Bar) -> None:
        self.seen += 1
        if self.seen == self.parameters.closed_at:
            self.opened.wait(60)


NODES: dict[str, type[Node]] = {"component": Node, "risk": RiskNode, "strategy": StrategyNode, "broker": BrokerNode}
"""Nodes by a word for their place in the order."""
