"""Subscriptions of one owner, and a small bus for components that are put together by hand, without a topology.

A run never uses these: there the hub delivers, in the order of the log.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from bus.runtime.component import Handler
from schemas import EventType, Message

Event = EventType | type[Message]


class Subscribable(Protocol):
    """What a `SubscriptionManager` needs of an event bus."""

    def subscribe(self, event: Event, handler: Handler) -> None:
        """Call `handler` with every message of a type from now on."""

    def unsubscribe(self, event: Event, handler: Handler) -> None:
        """Stop that."""


class EventBus:
    """Delivers in the calling thread, in order of publishing, to the handlers of a type in order of subscribing.

    What a handler publishes is delivered after the message that it is handling. Not for use by several threads.
    """

    def __init__(self) -> None:
        self._handlers: dict[type[Message], tuple[Handler, ...]] = {}
        self._queue: deque[Message] = deque()
        self._delivering = False

    def subscribe(self, event: Event, handler: Handler) -> None:
        """Call `handler` with every message of a type from now on; a second subscription of the same does nothing."""
        message_type = _message_type(event)
        present = self._handlers.get(message_type, ())
        if handler not in present:
            self._handlers[message_type] = (*present, handler)

    def unsubscribe(self, event: Event, handler: Handler) -> None:
        """Stop that; what was not subscribed is no error."""
        message_type = _message_type(event)
        self._handlers[message_type] = tuple(h for h in self._handlers.get(message_type, ()) if h != handler)

    def publish(self, message: Message) -> None:
        """Deliver a message and all that its handlers publish. If a handler raises, what still waits is dropped."""
        self._queue.append(message)
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._queue:
                message = self._queue.popleft()
                for handler in self._handlers.get(type(message), ()):
                    handler(message)
        finally:
            self._delivering = False
            self._queue.clear()


class SubscriptionManager:
    """Remembers what its owner subscribed to, so that all of it can be undone at once."""

    def __init__(self, event_bus: Subscribable) -> None:
        self._bus = event_bus
        self._subscriptions: list[tuple[Event, Handler]] = []

    def subscribe(self, event: Event, handler: Handler) -> None:
        """Call `handler` with every message of a type, as `EventType.ORDER` or as `Order`, from now on."""
        self._bus.subscribe(event, handler)
        if (event, handler) not in self._subscriptions:
            self._subscriptions.append((event, handler))

    def unsubscribe(self, event: Event, handler: Handler) -> None:
        """Stop that.

        Raises:
            ValueError: it was not subscribed here.
        """
        if (event, handler) not in self._subscriptions:
            raise ValueError(f"{handler!r} is not subscribed to {event!r} here")
        self._subscriptions.remove((event, handler))
        self._bus.unsubscribe(event, handler)

    def unsubscribe_all(self) -> None:
        """Undo every subscription, the last one first."""
        while self._subscriptions:
            self._bus.unsubscribe(*self._subscriptions.pop())


def _message_type(event: object) -> type[Message]:
    if isinstance(event, EventType):
        return event.message_type
    if isinstance(event, type) and issubclass(event, Message):
        return event
    known = ", ".join(EventType.__members__)
    raise TypeError(f"{event!r} is neither a message type nor an EventType, of which there are {known}")
