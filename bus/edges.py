"""The host's side of edges in live runs: sources stream in threads of their own, edges publish what they learn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bus.errors import ComponentError
from bus.inbox import Turns
from bus.runtime.canonical import canonical_emit, refuse_to_publish
from bus.runtime.component import Emit, Source
from bus.runtime.means import Means
from bus.runtime.runner import Member, Output, Runner, emitted_types, failure, is_ours, stream_of
from bus.runtime.settings import RunContext
from schemas import Bar, EndOfStream, Message, Quote, StartStream, StopStream, Trade
from schemas.registry import TYPE_IDS

Outlet = Callable[[list[Output]], None]
"""Takes what an edge has learned from outside, from any thread, and returns at once."""
Fail = Callable[[ComponentError], None]

_STREAM_TYPES: Final = (StartStream, StopStream)
STREAM_TYPE_IDS: Final = frozenset(TYPE_IDS[message_type] for message_type in _STREAM_TYPES)
"""What hosts of sources take beside what their components do."""
_MARKET_DATA: Final = (Bar, Quote, Trade)
_JOIN_S: Final = 1.0


def _unconnected(_: object) -> None:
    raise RuntimeError("the runner of an edge was started before it was connected to a bus")


class EdgeRunner(Runner):
    """A runner of live runs. It starts and stops the streams of its sources when the records say so."""

    def __init__(self, members: Sequence[Member], context: RunContext, means: Means | None = None) -> None:
        super().__init__(members, context, means)
        self._turns: Turns | None = None
        self._outlet: Outlet = _unconnected
        self._fail: Fail = _unconnected
        self._players: dict[str, Player] = {}

    def connect(self, outlet: Outlet, fail: Fail, turns: Turns | None = None) -> None:
        """Give the edges their way to the bus, for what they publish and for what ends them.

        `turns` is for recordings that are played as fast as the run follows; without it they go as fast as they can.
        """
        self._outlet, self._fail, self._turns = outlet, fail, turns

    def initialize(self) -> None:
        """As of every runner; edges can publish from now on.

        Raises:
            ComponentError: with the first component that fails.
        """
        for member in self.members:
            if member.component.is_edge:
                member.component.publish = self._publisher(member)
        super().initialize()
        if any(isinstance(member.component, Source) for member in self.members):
            self.takes |= STREAM_TYPE_IDS

    def handle(self, seq: int, ts: int, type_id: int, message: Message) -> None:
        """Start or stop a stream of ours; hand every record to the components that take it."""
        if type_id in STREAM_TYPE_IDS:  # not the message's type: to ask a Struct for that takes half a microsecond
            assert isinstance(message, _STREAM_TYPES)
            self._direct(message)
        super().handle(seq, ts, type_id, message)

    def wind_up(self) -> None:
        """End the streams, and what goes on beside the handlers."""
        for player in self._players.values():
            player.end()
        for player in self._players.values():
            player.join(_JOIN_S)
        super().wind_up()

    def _direct(self, message: StartStream | StopStream) -> None:
        player = self._players.get(message.source)
        if isinstance(message, StopStream):
            if player is not None:
                player.end()
            return
        for member in self.members:
            if player is None and isinstance(member.component, Source) and member.component.name == message.source:
                player = self._players[message.source] = Player(member, self._turns, self._outlet, self._fail)
                player.start()

    def _publisher(self, member: Member) -> Emit:
        component, type_ids = member.component, emitted_types(member.component)

        def publish(message: Message) -> None:
            type_id = type_ids.get(type(message))
            if type_id is None:
                raise refuse_to_publish(component, message)
            self._outlet([Output(0, member.source_id, type_id, message)])

        return publish if is_ours(component) else canonical_emit(component, publish)


class Player(threading.Thread):
    """Streams one source until it has ended or is told to end, then says so."""

    def __init__(self, member: Member, turns: Turns | None, outlet: Outlet, fail: Fail) -> None:
        super().__init__(name=f"stream of {member.component.name}", daemon=True)
        assert isinstance(member.component, Source)
        self._source = member.component
        self._source_id = member.source_id
        self._turns = turns if member.component.follows_run else None
        self._outlet = outlet
        self._fail = fail
        self._ending = threading.Event()
        self._sent = 0
        if self._turns is not None:
            self._turns.join()

    def end(self) -> None:
        """Let the stream end soon."""
        self._ending.set()
        self._source.end()

    def run(self) -> None:
        """Stream. What the source raises ends the run, as a failure of the component."""
        try:
            self._stream()
            self._offer(EndOfStream(self._source.name, self._sent))
        except ComponentError as error:
            self._fail(error)
        except BaseException as error:  # also a call of `exit`, which would end this thread without a word
            self._fail(_as_component_error(self._source, error))
        finally:
            if self._turns is not None:
                self._turns.leave()

    def _stream(self) -> None:
        for part in self._parts():
            if self._turns is not None:
                self._turns.wait(getattr(part[0], "ts", 0), self._source_id, self._ending.is_set)
            if self._ending.is_set():
                return
            self._offer(*part)

    def _parts(self) -> Iterator[list[Message]]:
        for block in stream_of(self._source):
            if self._turns is None:
                yield block
            else:
                yield from ([message] for message in block)

    def _offer(self, *messages: Message) -> None:
        type_ids = emitted_types(self._source)
        outputs = []
        for message in messages:
            type_id = type_ids.get(type(message))
            if type_id is None:
                raise refuse_to_publish(self._source, message)
            outputs.append(Output(0, self._source_id, type_id, message))
        self._sent += sum(isinstance(message, _MARKET_DATA) for message in messages)
        self._outlet(outputs)


def _as_component_error(source: Source, error: BaseException) -> ComponentError:
    try:
        return failure(source, error)
    except BaseException as other:  # StopNow is for the main thread; here it can only be the source's own
        return ComponentError(source.name, repr(other))
