"""The contract of a component: a deterministic state machine that is handed messages and emits messages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast

from bus.runtime.clock import Clock
from bus.runtime.locks import NoLock
from bus.runtime.settings import RunContext, StrictModel
from schemas.base import Message

Emit = Callable[[Message], None]
Handler = Callable[[Any], Any]
"""Takes a message; an `async def` gives what has to be awaited."""
_Method = TypeVar("_Method", bound=Callable[..., Any])


def handles(*message_types: type[Message]) -> Callable[[_Method], _Method]:
    """Mark a method as the handler of these message types; a component takes what it has handlers for."""

    def mark(method: _Method) -> _Method:
        method.__handles__ = message_types  # type: ignore[attr-defined]
        return method

    return mark


def query(method: _Method) -> _Method:
    """Mark a method that answers questions about a component's state, from whatever thread asks.

    It holds the component's lock, so that it sees the state between two messages, never in the middle of one. In a run
    whose guidelines say not to lock there is nothing to hold, and nobody else may ask while the run goes on.
    """

    @functools.wraps(method)
    def locked(self: Component, *args: Any, **more: Any) -> Any:
        with self.lock.read():
            return method(self, *args, **more)

    return cast(_Method, locked)


class Parameters(StrictModel):
    """Base of a component's parameters; the keys under `components.<name>` in the topology file."""


class Component:
    """One part of a topology.

    A component never touches a socket, a thread, the wall clock, a global random generator or the environment: what it
    emits follows from its parameters and from the messages that it was handed, in their order. The same object
    runs in the main thread, in a thread, or in a process of its own.

    A subclass says what it is:

    - `component_type`: its place in the topology ("strategy", "broker", ...), see `COMPONENT_TYPES`.
    - `Parameters`: a pydantic model; unknown keys are configuration errors.
    - `emits`: the message types that it may publish; publishing another is an error.
    - methods marked with `@handles(Bar)`: what it takes. They may be `async def`.
    - methods marked with `@query`: what other threads may ask it.

    and does its work in those methods by calling `self.emit(message)`. All state is made in `reset`.
    """

    component_type: ClassVar[str] = "component"
    Parameters: ClassVar[type[Parameters]] = Parameters
    emits: ClassVar[tuple[type[Message], ...]] = ()
    optional: ClassVar[frozenset[type[Message]]] = frozenset()
    """Types that it takes but can do without: a topology in which nobody publishes them is still right."""
    partition_by: ClassVar[Mapping[type[Message], str]] = {}
    """Message type to the field that is its key: messages with different keys neither read nor change the same state,
    and what is emitted in answer to one depends on nothing but messages of its key and of types that are not named
    here. Only then may they be served at once, or by different replicas. It is a promise that nobody can check."""
    undivided: ClassVar[str] = ""
    """Why it declares no `partition_by`, for those who ask for it: "it numbers its orders over all symbols"."""
    _handler_names: ClassVar[dict[type[Message], str]] = {}

    is_edge: ClassVar[bool] = False
    """Whether it touches the world outside: a source of data, or a broker with a venue behind it. What an edge
    publishes is never computed again; a replay takes it from the log."""

    parameters: Any
    emit: Emit
    publish: Emit
    """For edges of live runs, from any thread: what was learned from outside, an answer to nothing."""
    clock: Clock
    context: RunContext
    lock: Any = NoLock()
    """Guards the state where the run's guidelines say so, else takes nothing (see `bus.runtime.locks`). Held while a
    handler runs, and by queries."""

    quiet: frozenset[type[Message]] = frozenset()
    """Types that the component takes but will not answer until it says otherwise. A deterministic run over
    processes does not wait for it on those, nor looks at this again before it has handled another type: so it is while
    handling a type which is not quiet that a type stops being quiet."""

    on_block: ClassVar[Callable[..., None] | None] = None
    """A method `on_block(block, start, end)` takes many messages of one quiet type at once, those of a `Block` from
    `start` to before `end`, and leaves the component as its handler would that was called with each. A bus in one
    thread may then keep such messages back, though never until after a message of another type. The clock may be ahead
    of them: their own `ts` counts."""

    unanswered: ClassVar[Callable[..., int] | None] = None
    """A method `unanswered(block, start, most)` of a component that takes blocks says of a type that is not quiet how
    many of these messages, from that index on, it will not answer whatever else happens meanwhile: these are as if it
    were. It may look at the messages, and changes nothing; 0 is always right. More than `most` need not be looked at,
    but may be told by who knows. What it takes later are messages of this block."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = dict(cls._handler_names)
        for attribute, value in vars(cls).items():
            for message_type in getattr(value, "__handles__", ()):
                names[message_type] = attribute
        cls._handler_names = names

    def __init__(self, name: str, parameters: dict[str, Any] | None = None) -> None:
        self.name = name
        self.parameters = self.Parameters.model_validate(parameters or {})

    def faults(self, context: RunContext) -> Sequence[str]:
        """What would keep this component from starting, as far as it can be seen without starting it.

        One sentence each, beginning with the parameter that is at fault; reported before anything starts.
        """
        return ()

    def initialize(self, context: RunContext, emit: Emit, clock: Clock) -> None:
        """Give the component its context, its way out and its clock, and make its state.

        Raises:
            DataError, ConfigError: what the parameters name does not exist or is not usable.
        """
        self.context = context
        self.emit = emit
        self.clock = clock
        self.reset()

    def handlers(self) -> dict[type[Message], Handler]:
        """Message type to bound method. An instance may take less than its class, depending on its parameters."""
        return {message_type: getattr(self, name) for message_type, name in self._handler_names.items()}

    def reset(self) -> None:
        """Make all state anew, as before the first message. Two runs in one process equal two processes."""

    def start(self) -> None:
        """Called once, after `initialize` and before the first message. Nothing can be emitted yet."""

    def stop(self) -> None:
        """Called once, after the last message or a failure; release what `initialize` or `start` took.

        Nothing can be emitted any more.
        """


class Source(Component):
    """A component that brings data from outside, in order of time, when it is asked to.

    The bus reads it only after its `StartStream` was published, and publishes `EndOfStream` when it is exhausted.
    """

    is_edge = True
    follows_run = True
    """Whether, in a live run, each message waits until all that the one before brought about has settled: right for
    recordings, which know no hurry. A source that cannot wait says False."""

    def end(self) -> None:
        """End the stream soon; in live runs, from another thread. A stream that ends by itself need not heed it."""

    def blocks(self) -> Iterable[list[Message]]:
        """The stream in blocks of messages with non-decreasing `ts`; a new iteration starts at the beginning.

        What is not market data goes into the blocks as well: `emit` answers messages, and here there is none.
        """
        raise NotImplementedError

    @property
    def total(self) -> int:
        """How many messages the stream will have, 0 when that is not known. For progress only."""
        return 0


COMPONENT_TYPES: tuple[str, ...] = (
    "data_handler",
    "broker",
    "order_manager",
    "portfolio",
    "risk_manager",
    "strategy",
    "component",
    "coordinator",
)
"""Every component type, in rank order: of several components that take one record, the outputs of the first here
come first. Brokers match a bar before strategies see it, so a fill at the open is known before the next decision."""

STOP_ORDER: tuple[str, ...] = (
    "data_handler",
    "strategy",
    "risk_manager",
    "order_manager",
    "broker",
    "portfolio",
    "component",
    "coordinator",
)
"""Every component type in the order in which a run stops: who brings data first, who only listens last."""

EXECUTION_TYPES: frozenset[str] = frozenset({"broker", "order_manager", "portfolio", "coordinator"})
"""The execution side: it never takes a SIGNAL."""
