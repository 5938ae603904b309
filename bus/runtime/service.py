"""How the messages of one component are served: its thread model, handler by handler, its keys and its lock."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bus.runtime.component import Component, Handler
from bus.runtime.locks import NoLock
from bus.runtime.modes import ThreadModel
from schemas import Message

PER_HANDLER = frozenset(
    {ThreadModel.SINGLE_THREADED, ThreadModel.MULTI_THREADED, ThreadModel.ASYNC_SINGLE, ThreadModel.ASYNC_MULTI}
)
"""The models that one handler may have."""
_ONE_THREAD = frozenset({ThreadModel.SINGLE_THREADED, ThreadModel.ASYNC_SINGLE})
LOOP_MODELS = frozenset({ThreadModel.ASYNC_SINGLE, ThreadModel.ASYNC_MULTI})
"""The models that can serve an `async def`."""


@dataclass(frozen=True)
class Service:
    """A component's thread model. `handlers` has the model of single handlers, by the name of the method (MIXED).

    `replica` is the number of this replica out of `replicas`, which share the component's keys among them.
    `affinity` binds the thread of a loop of its own.
    """

    model: ThreadModel = ThreadModel.SINGLE_THREADED
    handlers: Mapping[str, ThreadModel] = field(default_factory=dict)
    replica: int = 0
    replicas: int = 1
    affinity: tuple[int, ...] = ()

    def model_of(self, handler: Handler) -> ThreadModel:
        """The model of one handler: its own, else the component's, else what its kind of function needs."""
        model = self.handlers.get(getattr(handler, "__name__", ""), self.model)
        if model in PER_HANDLER:
            return model
        return ThreadModel.ASYNC_SINGLE if is_async(handler) else ThreadModel.SINGLE_THREADED

    def is_one_thread(self, component: Component) -> bool:
        """Whether the thread of its host is the only one that it needs."""
        return {self.model_of(handler) for handler in component.handlers().values()} <= _ONE_THREAD

    def is_plain(self, component: Component) -> bool:
        """Whether every message can be served by a call in the host's own thread."""
        return self.is_one_thread(component) and not async_handlers(component)


def is_async(handler: Handler) -> bool:
    """Whether it is an `async def`."""
    return inspect.iscoroutinefunction(handler)


def async_handlers(component: Component) -> list[str]:
    """The names of the component's `async def` handlers."""
    return sorted({handler.__name__ for handler in component.handlers().values() if is_async(handler)})


def key_field(component: Component, message_type: type[Message]) -> str | None:
    """The field by which messages of this type are kept apart, None when the class declares none for it."""
    return component.partition_by.get(message_type)


def guarded(component: Component, handler: Handler, field_name: str | None = None) -> Handler:
    """The handler under the component's lock, or as it is where there is none to hold.

    Under the lock of one key where the messages of a type have one, else under all of it.
    """
    lock = component.lock
    if isinstance(lock, NoLock):
        return handler
    if field_name is not None:
        return _belonging_to(
            component, lambda message: _under(lock.key(getattr(message, field_name)), handler, message)
        )
    whole = lock.write()
    return _belonging_to(component, lambda *handed: _under(whole, handler, *handed))


def _under(lock: Any, handler: Callable[..., None], *handed: Any) -> None:
    with lock:
        handler(*handed)


def _belonging_to(component: Component, handler: Handler) -> Handler:
    """Let a plain function say whose handler it is, as a bound method does."""
    handler.__self__ = component  # type: ignore[attr-defined]
    return handler


def divided(service: Service, field_name: str, route: Handler) -> Handler:
    """The route, taken only by messages whose key belongs to this replica.

    By CRC-32, because the hash of a string differs from process to process.
    """
    replica, replicas = service.replica, service.replicas

    def mine(message: Message) -> None:
        key = str(getattr(message, field_name))
        if zlib.crc32(key.encode()) % replicas == replica:
            route(message)

    return mine


def key_function(field_name: str | None, otherwise: Any) -> Callable[[Message], Any]:
    """What gives the key of a message."""
    if field_name is None:
        return lambda _: otherwise
    return lambda message: getattr(message, field_name)
