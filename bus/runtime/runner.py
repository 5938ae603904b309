"""Serves the components of one host: hands them records in order and gathers what they emit."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bus.errors import AdmfError, ComponentError, ProtocolError, StopNow
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Emit, Handler, Source
from bus.runtime.settings import RunContext
from schemas import EndOfStream, Message, StreamEnding
from schemas.codec import DecodeError, canonical
from schemas.registry import TYPE_IDS

OUR_PACKAGES = ("bus", "components", "deploy", "schemas")


@dataclass(frozen=True)
class Member:
    """A component with its place in the topology: its source id, which is also its rank."""

    source_id: int
    component: Component


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


def refuse_to_publish(component: Component, message: object) -> ProtocolError:
    """The error of a component that publishes what it did not declare."""
    allowed = ", ".join(t.__name__ for t in component.emits) or "nothing"
    return ProtocolError(f"{component.name} published {type(message).__name__}, but declares that it emits {allowed}")


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


def canonical_emit(component: Component, emit: Emit) -> Emit:
    """An emit that first makes the message what every reader of its bytes would see."""

    return lambda message: emit(_canonical_of(component, message))


def stream_of(source: Source) -> Iterator[list[Message]]:
    """A source's blocks; those of the user's own sources made canonical, as what components emit.

    Raises:
        ComponentError: the source raised, or a message does not fit its type.
    """
    try:
        for block in source.blocks():
            yield block if is_ours(source) else [_canonical_of(source, message) for message in block]
    except GeneratorExit:
        raise
    except BaseException as error:
        raise failure(source, error) from error


def _canonical_of(component: Component, message: Message) -> Message:
    try:
        return canonical(message)
    except DecodeError as error:
        raise ProtocolError(f"{component.name} published a message that does not fit its type: {error}") from error
    except KeyError:
        raise refuse_to_publish(component, message) from None


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


class Runner:
    """The components of one host in rank order. `outputs` holds what they emitted since it was last taken."""

    def __init__(self, members: Sequence[Member], context: RunContext) -> None:
        self.members = sorted(members, key=lambda member: member.source_id)
        self.clock = Clock()
        self.outputs: list[Output] = []
        self.takes: frozenset[int] = frozenset()
        """Ids of the types that any component here takes; known once they are initialized."""
        self._cause = 0
        self._context = context
        self._routes: dict[int, list[tuple[Component, Handler]]] = {}

    def initialize(self) -> None:
        """Initialize and start every component.

        Raises:
            ComponentError: with the first one that fails.
        """
        for member in self.members:
            component = member.component
            begin(component, self._context, self._emitter(member), self.clock)
            for message_type, handler in component.handlers().items():
                self._routes.setdefault(TYPE_IDS[message_type], []).append((component, handler))
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

    def take_outputs(self) -> list[Output]:
        """What was emitted since the last call."""
        outputs, self.outputs = self.outputs, []
        self._cause = 0
        return outputs

    def stop(self) -> None:
        """Stop every component, the last first; all of them, whatever one raises."""
        errors: list[ComponentError] = []
        for member in reversed(self.members):
            try:
                member.component.stop()
            except BaseException as error:
                errors.append(failure(member.component, error))
        if errors:
            raise errors[0]

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
