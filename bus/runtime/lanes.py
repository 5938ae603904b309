"""Serves a component's messages elsewhere than by plain calls: on a pool by key, on an event loop, or each in its way.

The messages of a wave are first put in line. Consecutive ones of one thread model form a stretch; stretches are served
one after another, so that whatever the models, the component is observed as if it were served one message at a time:

| thread model | within a stretch |
|---|---|
| SINGLE_THREADED | one after another in the host's thread |
| MULTI_THREADED | a lane for each key on the pool; a type without a key is alone; a class without keys has one lane |
| ASYNC_SINGLE, ASYNC_MULTI | one after another, each awaited, on the host's loop or a loop of its own |
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from bus.runtime.canonical import refuse_to_publish
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Emit, Handler
from bus.runtime.means import Means, result_of, submit
from bus.runtime.modes import ThreadModel
from bus.runtime.runner import LazyLoop, Output, failure, nothing_to_answer
from bus.runtime.service import Service, guarded, is_async, key_field, key_function
from schemas import Message

if TYPE_CHECKING:
    from bus.runtime.loops import HandlerLoop, Wait

_ALONE = object()
"""The key of a message that is served while no other is."""


class _Handling:
    """A record that is being handled, wherever: in the thread, or the asyncio task, that handles it."""

    __slots__ = ("cause", "outputs", "ts")

    def __init__(self, cause: int, ts: int, outputs: list[Output]) -> None:
        self.cause = cause
        self.ts = ts
        self.outputs = outputs


_handling: ContextVar[_Handling | None] = ContextVar("admf_handling", default=None)


class LaneClock(Clock):
    """Shows each thread and task the time of the record that it is handling."""

    __slots__ = ()

    def __init__(self) -> None:
        """Nothing is being handled yet."""

    @property
    def now_ns(self) -> int:  # type: ignore[override]
        handling = _handling.get()
        return handling.ts if handling is not None else 0


class _Item(NamedTuple):
    cause: int
    ts: int
    handler: Handler
    message: Message


@dataclass(slots=True)
class _Stretch:
    model: ThreadModel
    alone: bool
    lanes: dict[Hashable, list[_Item]] = field(default_factory=dict)


class Lanes:
    """One component, put in line and served in its thread models.

    `now` gives the seq and the time of the record that its host has just been handed.
    """

    def __init__(
        self, component: Component, service: Service, means: Means, loop: LazyLoop, now: Callable[[], tuple[int, int]]
    ) -> None:
        self.component = component
        self.clock = LaneClock()
        self._service = service
        self._means = means
        self._host_loop = loop
        self._own_loop: HandlerLoop | None = None
        self._now = now
        self._stretches: list[_Stretch] = []
        self._begun: list[Wait] = []

    def emitter(self, source_id: int, type_ids: dict[type[Message], int]) -> Emit:
        """The component's way out: what it says belongs to the record that the calling thread or task handles."""
        component = self.component

        def emit(message: Message) -> None:
            type_id = type_ids.get(type(message))
            if type_id is None:
                raise refuse_to_publish(component, message)
            handling = _handling.get()
            if handling is None or not handling.cause:
                raise nothing_to_answer(component)
            handling.outputs.append(Output(handling.cause, source_id, type_id, message))

        return emit

    def routes(self) -> dict[type[Message], Handler]:
        """For each type that the component takes, what puts a message of it in line."""
        return {t: self._route(t, handler) for t, handler in self.component.handlers().items()}

    def begin(self) -> None:
        """Start on the first stretch, where that needs somebody else than the calling thread."""
        if self._stretches and not self._begun:
            self._begun = self._start(self._stretches.pop(0))

    def finish(self) -> list[Output]:
        """Serve all that is in line; what the component emitted, its outputs for one record in their order.

        Raises:
            ComponentError: it raised, or did not answer in time.
        """
        outputs: list[Output] = []
        while self._stretches or self._begun:
            self.begin()
            begun, self._begun = self._begun, []
            for wait in begun:
                outputs += wait()
        return outputs

    def close(self) -> None:
        """End the loop of its own, if it has one."""
        if self._own_loop is not None:
            self._own_loop.close()

    def _route(self, message_type: type[Message], handler: Handler) -> Handler:
        component, model = self.component, self._service.model_of(handler)
        by_key = component.partition_by and model is ThreadModel.MULTI_THREADED
        field_name = key_field(component, message_type) if by_key else None
        key_of = key_function(field_name, _ALONE if by_key else None)
        served = handler if is_async(handler) else guarded(component, handler, field_name)
        stretches, now = self._stretches, self._now

        def put(message: Message) -> None:
            key = key_of(message)
            alone = key is _ALONE
            stretch = stretches[-1] if stretches else None
            if stretch is None or stretch.model is not model or alone or stretch.alone:
                stretch = _Stretch(model, alone)
                stretches.append(stretch)
            stretch.lanes.setdefault(key, []).append(_Item(*now(), served, message))

        return put

    def _start(self, stretch: _Stretch) -> list[Wait]:
        means, component = self._means, self.component
        if stretch.model is ThreadModel.MULTI_THREADED:
            pool = means.executor(component.component_type)
            futures = [submit(pool, component.name, self._serve, items) for items in stretch.lanes.values()]
            return [partial(result_of, future, component.name, means.timeout_s, means.check) for future in futures]
        (items,) = stretch.lanes.values()
        if stretch.model is ThreadModel.SINGLE_THREADED:
            return [partial(self._serve, items)]
        loop = self._loop(stretch.model)
        return [loop.start(component.name, self._serve_async(loop, items))]

    def _loop(self, model: ThreadModel) -> HandlerLoop:
        if model is ThreadModel.ASYNC_SINGLE:
            return self._host_loop.get()
        if self._own_loop is None:
            from bus.runtime.loops import LoopThread

            self._own_loop = LoopThread(self.component.name, self._means, self._service.affinity)
        return self._own_loop

    def _serve(self, items: Sequence[_Item]) -> list[Output]:
        handling = _Handling(0, 0, [])
        token = _handling.set(handling)
        try:
            for handling.cause, handling.ts, handler, message in items:
                handler(message)
        except BaseException as error:
            raise failure(self.component, error) from error
        finally:
            _handling.reset(token)
        return handling.outputs

    async def _serve_async(self, loop: HandlerLoop, items: Sequence[_Item]) -> list[Output]:
        outputs: list[Output] = []
        name, lock = self.component.name, self.component.lock.write()
        try:
            for cause, ts, handler, message in items:
                # An object for each record: a task that a handler leaves behind keeps that of its own.
                handling = _Handling(cause, ts, outputs)
                _handling.set(handling)
                awaitable: Any = handler(message) if is_async(handler) else _call(handler, message)
                await loop.steps(name, handler.__name__, awaitable, lock)
                handling.cause = 0
        except GeneratorExit:
            raise
        except BaseException as error:
            raise failure(self.component, error) from error
        return outputs


async def _call(handler: Handler, message: Message) -> None:
    handler(message)
