"""Serves the components of one host: hands them records in order and gathers what they emit."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bus.errors import AdmfError, ComponentError, ProtocolError, StopNow
from bus.runtime.canonical import canonical_block, canonical_emit, refuse_to_publish
from bus.runtime.clock import Clock
from bus.runtime.component import STOP_ORDER, Component, Emit, Handler, Source
from bus.runtime.means import Means
from bus.runtime.service import Service, divided, guarded, is_async, key_field
from bus.runtime.settings import RunContext
from schemas import EndOfStream, Message, StreamEnding
from schemas.registry import TYPE_IDS

if TYPE_CHECKING:
    from bus.runtime.lanes import Lanes
    from bus.runtime.loops import HandlerLoop

OUR_PACKAGES = ("bus", "components", "deploy", "schemas")


@dataclass(frozen=True)
class Member:
    """A component with its place in the topology: its source id, which is also its rank, and how it is served."""

    source_id: int
    component: Component
    service: Service = field(default_factory=Service)


class Output(NamedTuple):
    """What a component emitted while it handled the record `cause`.

    One that came over a wire has its `payload`, which is kept as it is; one from beside us has its `message`.
    """

    cause: int
    source: int
    type_id: int
    message: Message | None
    payload: bytes | None = None


def emitted_types(component: Component) -> dict[type[Message], int]:
    """The types that the component may publish, with their ids."""
    types = component.emits
    if isinstance(component, Source):
        types = (*types, EndOfStream, StreamEnding)
    return {message_type: TYPE_IDS[message_type] for message_type in types}


def is_ours(component: Component) -> bool:
    """Whether the component comes with this project: its messages are canonical by test, not by check."""
    return type(component).__module__.partition(".")[0] in OUR_PACKAGES


def nothing_to_answer(component: Component) -> ProtocolError:
    """The error of a component that emits while it handles nothing: what place in the order should that have?"""
    return ProtocolError(f"{component.name} emitted while it handled no message; only handlers emit")


def failure(component: Component, error: BaseException) -> ComponentError:
    """The error of a component that raised.

    One of our own errors is meant for the user: it keeps its exit code, and a traceback would only bury its text.
    Whatever else it raised is its failure, also SystemExit and KeyboardInterrupt; only StopNow is ours, and goes on.
    """
    if isinstance(error, StopNow):
        raise error
    if isinstance(error, ComponentError):
        return error
    if isinstance(error, AdmfError):
        known = ComponentError(component.name, str(error))
        known.exit_code = error.exit_code
        return known
    return ComponentError(component.name, describe(error), printable("".join(traceback.format_exception(error))))


def describe(error: BaseException) -> str:
    """The error in one line, with its type; whatever its text is, or if it has none that can be read."""
    try:
        text = str(error)
    except Exception:
        text = "its text cannot be read"
    return printable(f"{type(error).__name__}: {text}")


def printable(text: str) -> str:
    """The text as it can be encoded: lone surrogates are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def stream_of(source: Source) -> Iterator[list[Message]]:
    """A source's blocks; those of the user's own sources made canonical, as what components emit.

    Raises:
        ComponentError: the source raised, or a message does not fit its type.
    """
    try:
        for block in source.blocks():
            yield block if is_ours(source) else canonical_block(source, block)
    except GeneratorExit:
        raise
    except BaseException as error:
        raise failure(source, error) from error


def begin(component: Component, context: RunContext, emit: Emit, clock: Clock) -> None:
    """Initialize and start a component.

    Raises:
        ComponentError: it failed.
    """
    try:
        component.initialize(context, emit if is_ours(component) else canonical_emit(component, emit), clock)
        component.start()
    except BaseException as error:
        raise failure(component, error) from error


def stop_all(members: Sequence[Member]) -> None:
    """Stop every component in `STOP_ORDER`, of one type the last first; all of them, whatever one raises.

    Raises:
        ComponentError: with the first one that raised.
    """
    errors: list[ComponentError] = []
    for member in sorted(members, key=_stop_rank):
        try:
            member.component.stop()
        except BaseException as error:
            errors.append(failure(member.component, error))
    if errors:
        raise errors[0]


def _stop_rank(member: Member) -> tuple[int, int]:
    return STOP_ORDER.index(member.component.component_type), -member.source_id


class LazyLoop:
    """The one event loop of a host, made when the first `async def` is served."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._loop: HandlerLoop | None = None

    def get(self) -> HandlerLoop:
        """The loop."""
        if self._loop is None:
            from bus.runtime.loops import HandlerLoop

            self._loop = HandlerLoop("the host", self._means)
        return self._loop

    def close(self) -> None:
        """Close it, if it was made."""
        if self._loop is not None:
            self._loop.close()


def direct_handlers(component: Component, loop: LazyLoop) -> dict[type[Message], Handler]:
    """Message type to what serves it by one call in the calling thread: under its lock, an `async def` to its end."""
    return {
        message_type: _driven(component, handler, loop) if is_async(handler) else guarded(component, handler)
        for message_type, handler in component.handlers().items()
    }


def _driven(component: Component, handler: Handler, loop: LazyLoop) -> Handler:
    name, handler_name, lock = component.name, handler.__name__, component.lock.write()

    def drive(message: Message) -> None:
        loop.get().run(name, handler_name, handler(message), lock)

    drive.__self__ = component  # type: ignore[attr-defined]
    return drive


class Runner:
    """The components of one host in rank order. `outputs` holds what they emitted since it was last taken.

    A component whose thread model asks for more than calls in this thread is put in line by `handle`, and served when
    the outputs are taken.
    """

    def __init__(self, members: Sequence[Member], context: RunContext, means: Means | None = None) -> None:
        self.members = sorted(members, key=lambda member: member.source_id)
        self.clock = Clock()
        self.outputs: list[Output] = []
        self.takes: frozenset[int] = frozenset()
        """Ids of the types that any component here takes; known once they are initialized."""
        self._cause = 0
        self._context = context
        self._means = means or Means()
        self._routes: dict[int, list[tuple[Component, Handler]]] = {}
        self._lanes: dict[int, Lanes] = {}
        """By source id, the components that are put in line."""
        self._loop = LazyLoop(self._means)
        self._told_to_all: dict[int, Message] = {}
        """By seq, the messages of this wave that went to every replica."""

    @property
    def names(self) -> str:
        """The names of the components, for errors."""
        return ", ".join(member.component.name for member in self.members)

    def initialize(self) -> None:
        """Initialize and start every component.

        Raises:
            ComponentError: with the first one that fails.
        """
        for member in self.members:
            component = member.component
            for message_type, handler in self._begin(member).items():
                route = self._divided(member, message_type, handler) if member.service.replicas > 1 else handler
                self._routes.setdefault(TYPE_IDS[message_type], []).append((component, route))
        self.takes = frozenset(self._routes)

    def quiet(self) -> frozenset[int]:
        """Ids of the types to which no component here will answer until further notice."""
        return frozenset(
            type_id
            for type_id, route in self._routes.items()
            if all(not component.emits or _is_quiet(component, type_id) for component, _ in route)
        )

    def handle(self, seq: int, ts: int, type_id: int, message: Message) -> None:
        """Hand one record to every component that takes its type.

        Raises:
            ComponentError: a component raised.
        """
        self.clock.now_ns = ts
        self._cause = seq
        for component, handler in self._routes.get(type_id, ()):
            try:
                handler(message)
            except BaseException as error:
                raise failure(component, error) from error

    def begin_lanes(self) -> None:
        """Let others begin with what is in line; the rest, and all waiting, is for `take_outputs`."""
        for lanes in self._lanes.values():
            lanes.begin()

    def take_outputs(self) -> list[Output]:
        """Serve what is in line; what was emitted since the last call.

        Raises:
            ComponentError: a component raised, or did not answer in time.
        """
        if self._lanes:
            self.begin_lanes()
            for lanes in self._lanes.values():
                self.outputs += lanes.finish()
        outputs, self.outputs = self.outputs, []
        self._cause = 0
        if self._told_to_all:
            self._refuse_answers_of_all(outputs)
        return outputs

    def wind_up(self) -> None:
        """End what goes on beside the handlers: event loops."""
        for lanes in self._lanes.values():
            lanes.close()
        self._loop.close()

    def stop(self) -> None:
        """Wind up, then stop every component in `STOP_ORDER`; all of them, whatever one raises."""
        self.wind_up()
        stop_all(self.members)

    def _begin(self, member: Member) -> dict[type[Message], Handler]:
        """Initialize and start a component, its way out and its clock being those of its thread model; its routes."""
        component = member.component
        if member.service.is_plain(component):
            begin(component, self._context, self._emitter(member), self.clock)
            return {t: guarded(component, handler) for t, handler in component.handlers().items()}
        from bus.runtime.lanes import Lanes

        lanes = Lanes(component, member.service, self._means, self._loop, lambda: (self._cause, self.clock.now_ns))
        emit = lanes.emitter(member.source_id, emitted_types(component))
        begin(component, self._context, emit, lanes.clock)
        self._lanes[member.source_id] = lanes
        return lanes.routes()

    def _divided(self, member: Member, message_type: type[Message], route: Handler) -> Handler:
        """The route of a replica: messages of its own keys, and those of types that have none."""
        field_name = key_field(member.component, message_type)
        if field_name is not None:
            return divided(member.service, field_name, route)

        def told_to_all(message: Message) -> None:
            self._told_to_all[self._cause] = message
            route(message)

        return told_to_all

    def _refuse_answers_of_all(self, outputs: Sequence[Output]) -> None:
        told, self._told_to_all = self._told_to_all, {}
        by_id = {member.source_id: member.component for member in self.members}
        for output in outputs:
            if output.cause in told:
                raise failure(by_id[output.source], _said_by_all(by_id[output.source], told[output.cause]))

    def _emitter(self, member: Member) -> Emit:
        type_ids = emitted_types(member.component)
        source_id = member.source_id

        def emit(message: Message) -> None:
            type_id = type_ids.get(type(message))
            if type_id is None:
                raise refuse_to_publish(member.component, message)
            if not self._cause:
                raise nothing_to_answer(member.component)
            self.outputs.append(Output(self._cause, source_id, type_id, message))

        return emit


def _is_quiet(component: Component, type_id: int) -> bool:
    return any(TYPE_IDS[message_type] == type_id for message_type in component.quiet)


def _said_by_all(component: Component, message: Message) -> ProtocolError:
    name = type(message).__name__
    return ProtocolError(
        f"it answered a {name}, which goes to every replica because {type(component).__name__}.partition_by names no "
        "key for it: each replica would say the same. Emit in answer to keyed types only, or take another thread_model"
    )
