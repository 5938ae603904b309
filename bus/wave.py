"""The wave bus: components in threads and processes, in exactly the order of the local bus.

Records that are published together form a wave. Every host hands its components the wave's records in order and
answers with what they emitted; the bus waits for all hosts that may emit, orders the outputs by (cause, rank),
keeping each component's own order, and makes them the next wave. A wave without outputs ends the matter, and
the next external record may enter.

Why this equals one FIFO queue: the queue holds, at any time, the unhandled rest of one wave followed by the
outputs of the part already handled. So the outputs join the queue in the order of their causes, then of the
components' ranks, then of emission, and every component sees the same records in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from bus.errors import ProtocolError
from bus.log import Log
from bus.record import encode_record
from bus.runtime.component import Handler
from bus.runtime.runner import Output
from bus.sequencer import HUB, Sequencer
from bus.timers import TIMER_REQUESTS, TimerQueue
from bus.topics import Wiring
from schemas import ComponentFailed, Halt, Message
from schemas.codec import decode, encode
from schemas.registry import TYPE_IDS

_TIMER_REQUEST_IDS = frozenset(TYPE_IDS[message_type] for message_type in TIMER_REQUESTS)


class Sequenced(msgspec.Struct, gc=False):
    """A record of the present wave, for hosts beside us as a message, for those over a wire as bytes."""

    seq: int
    ts: int
    type_id: int
    source: int
    record: bytes
    _message: Message | None
    _payload: bytes

    @property
    def message(self) -> Message:
        """The message, decoded once if it came as bytes."""
        if self._message is None:
            self._message = decode(self.type_id, self._payload)
        return self._message


class Link(Protocol):
    """The way to one or more hosts."""

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        """Hand the wave over."""

    def collect(self) -> list[Output]:
        """Wait for all hosts that owe an answer, and return what they emitted."""

    def finish(self) -> None:
        """Wait until everything delivered has been served."""

    def blocks(self, source: int) -> Iterator[list[Message]] | None:
        """The stream of a source that lives on this link, or None."""

    def total(self, source: int) -> int:
        """How many messages that stream will have, 0 when that is not known or it does not live here."""


class WaveBus:
    """Sequences, captures, and delivers in waves over links."""

    def __init__(self, wiring: Wiring, links: Sequence[Link], log: Log | None) -> None:
        self.counts: dict[int, int] = Counter()
        self.now_ns = 0
        self.timers = TimerQueue()
        self._taps: dict[int, Handler] = {}
        self._wiring = wiring
        self._links = links
        self._log = log
        self._sequencer = Sequencer(wiring.rules)

    def tap(self, message_type: type[Message], handler: Handler) -> None:
        """Call `handler` with every message of a type, once it has its place in the log."""
        self._taps[TYPE_IDS[message_type]] = handler

    def declare(self, messages: Iterable[Message]) -> None:
        """Sequence messages of the hub that no component takes."""
        for message in messages:
            self._sequence(Output(0, HUB, TYPE_IDS[type(message)], message))

    def publish(self, source: int, ts: int, message: Message) -> None:
        """Sequence a message from outside and settle all that follows from it.

        Raises:
            ProtocolError: the message is older than the one before it.
            ComponentError: a component failed.
        """
        if ts < self.now_ns:
            name = self._wiring.members[source - 1].component.name if source else "hub"
            raise ProtocolError(f"{name} went back in time: {ts} after {self.now_ns} (ns UTC)")
        self.now_ns = ts
        outputs = [Output(0, source, TYPE_IDS[type(message)], message)]
        while outputs:
            wave = [self._sequence(output) for output in outputs]
            if self._log is not None:
                self._log.flush()
            for link in self._links:
                link.deliver(wave)
            outputs = sorted((o for link in self._links for o in link.collect()), key=_cause_then_rank)

    def feed(self, source: int, block: list[Message]) -> None:
        """Publish each market data message of a block at its own `ts`."""
        for message in block:
            self.publish(source, message.ts, message)  # type: ignore[attr-defined]

    def stream(self, source: int) -> Iterator[list[Message]]:
        """A source's stream, in blocks, from whichever link it lives on."""
        for link in self._links:
            blocks = link.blocks(source)
            if blocks is not None:
                return blocks
        raise ProtocolError(f"no host of this run serves source {source}")

    def total(self, source: int) -> int:
        """How many messages a source's stream will have, 0 when that is not known."""
        return max(link.total(source) for link in self._links)

    def finish(self) -> None:
        """Wait until every host has served everything, also those who owe no answers.

        Raises:
            ComponentError: one of them failed after all.
        """
        for link in self._links:
            link.finish()

    def fail(self, message: ComponentFailed | Halt) -> None:
        """Record why the run ends before its end; no component hears it any more."""
        self._sequence(Output(0, HUB, TYPE_IDS[type(message)], message))

    def _sequence(self, output: Output) -> Sequenced:
        sequencer = self._sequencer
        _, source, type_id, message, payload = output
        if payload is None:
            assert message is not None
            payload = encode(message)
        seq = sequencer.offer(source, sequencer.epoch, sequencer.following(source), type_id)
        assert seq is not None
        self.counts[type_id] += 1
        record = self._append(seq, output.cause, source, type_id, payload)
        sequenced = Sequenced(seq, self.now_ns, type_id, source, record, message, payload)
        tap = self._taps.get(type_id)
        if tap is not None:
            tap(sequenced.message)
        if type_id in _TIMER_REQUEST_IDS:
            self._heed(source, sequenced.message)
        return sequenced

    def _heed(self, source: int, request: Message) -> None:
        assert isinstance(request, TIMER_REQUESTS)
        self.timers.heed(self._wiring.members[source - 1].component.name, request)

    def _append(self, seq: int, cause: int, source: int, type_id: int, payload: bytes) -> bytes:
        append = self._log.append if self._log is not None else encode_record
        return append(seq, self.now_ns, self._sequencer.last[source], cause, source, type_id, payload)


def _cause_then_rank(output: Output) -> tuple[int, int]:
    return output.cause, output.source
