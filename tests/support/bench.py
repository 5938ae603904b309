"""A bus of one list: components by rank, one FIFO, everything that was said kept in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TypeVar

from bus.runtime.clock import Clock
from bus.runtime.component import COMPONENT_TYPES, Component
from bus.runtime.settings import RunContext
from schemas import Message

M = TypeVar("M", bound=Message)


class Bench:
    """Wires components as the real bus does and keeps what they said.

    `said` holds every message published, from outside and by components, in the total order.
    """

    def __init__(self, *components: Component, context: RunContext | None = None) -> None:
        self.clock = Clock()
        self.said: list[Message] = []
        self._queue: deque[Message] = deque()
        self.components = sorted(components, key=lambda c: (COMPONENT_TYPES.index(c.component_type), c.name))
        for component in self.components:
            component.initialize(context or RunContext(), self._emitter(component), self.clock)
        for component in self.components:
            component.start()

    def publish(self, *messages: Message, ts: int | None = None) -> list[Message]:
        """Publish each message at `ts` (default: its own), let all consequences settle, return what was said."""
        before = len(self.said)
        for message in messages:
            self.clock.now_ns = ts if ts is not None else getattr(message, "ts", self.clock.now_ns)
            self._queue.append(message)
            while self._queue:
                self._deliver(self._queue.popleft())
        return self.said[before:]

    def of(self, message_type: type[M], within: Iterable[Message] | None = None) -> list[M]:
        """What was said of one type."""
        return [m for m in (self.said if within is None else within) if isinstance(m, message_type)]

    def _emitter(self, component: Component):
        def emit(message: Message) -> None:
            assert type(message) in component.emits, f"{component.name} may not publish {type(message).__name__}"
            self._queue.append(message)

        return emit

    def _deliver(self, message: Message) -> None:
        self.said.append(message)
        for component in self.components:
            handler = component.handlers().get(type(message))
            if handler:
                handler(message)
