"""The hub in the deterministic discipline: a link to all processes of a run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bus import protocol as p
from bus.errors import ComponentError, ProtocolError
from bus.hub import POLL_MS, Hub
from bus.runtime.runner import Output
from bus.wave import Sequenced
from schemas import Message

SYNC_EVERY = 2048
"""Waves between two synchronisations; bounds what the hub keeps and how far a sink may lag."""


@dataclass
class WaveHub:
    """A `bus.wave.Link` over a hub."""

    hub: Hub
    _pending: int = 0
    _outputs: list[Output] = field(default_factory=list)
    _blocks: dict[int, deque[tuple[bool, list[Message]]]] = field(default_factory=dict)
    _totals: dict[int, int] = field(default_factory=dict)
    _synced: int = 0

    def __post_init__(self) -> None:
        self.hub.on_frame = self._on_frame

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        """Publish the wave, each lane its records in one frame."""
        self.hub.watch()
        owing = 0
        for item in wave:
            owing |= self.hub.roster.owing(item.type_id)
        if self.hub.fan_out.publish(wave, owing):
            self._pending = owing

    def collect(self) -> list[Output]:
        """Wait until every endpoint that owes an answer has given it.

        Raises:
            ComponentError: an endpoint failed, died, or stayed silent for the hub's `timeout_s`.
        """
        self._wait(lambda: not self._pending, self._who_owes, p.HEARTBEAT)
        if self.hub.fan_out.wave - self._synced >= SYNC_EVERY:
            self.finish()
        outputs, self._outputs = self._outputs, []
        return outputs

    def finish(self) -> None:
        """Wait until every endpoint has served all that was published, and forget what was kept for them."""
        fan_out = self.hub.fan_out
        self._pending = self.hub.roster.everybody
        fan_out.say(p.SYNC)
        self._wait(lambda: not self._pending, self._who_owes, p.SYNC)
        fan_out.forget(fan_out.wave)
        self._synced = fan_out.wave

    def blocks(self, source: int) -> Iterator[list[Message]] | None:
        """The stream of a source that lives in one of the processes, or None."""
        for index, endpoint in enumerate(self.hub.endpoints):
            if source in endpoint.sources:
                return self._read(index, source)
        return None

    def total(self, source: int) -> int:
        """How many messages that stream will have, 0 when that is not known (yet)."""
        return self._totals.get(source, 0)

    def _read(self, index: int, source: int) -> Iterator[list[Message]]:
        arrived = self._blocks.setdefault(source, deque())
        self.hub.send(index, p.pack_source_only(p.READ, source))
        last = False
        while not last:
            self._wait(lambda: bool(arrived), lambda: self.hub.endpoints[index].name, p.HEARTBEAT)
            last, block = arrived.popleft()
            if not last:
                # The next block is read ahead while this one is worked on.
                self.hub.send(index, p.pack_source_only(p.READ, source))
            yield block

    def _wait(self, done: Callable[[], bool], who: Callable[[], str], beat: bytes) -> None:
        hub = self.hub
        started = beaten = time.monotonic()
        poll_ms = min(POLL_MS, int(hub.heartbeat_s * 1000))
        while not done():
            if hub.serve(poll_ms):
                continue
            hub.look_alive()
            now = time.monotonic()
            if now - started > hub.timeout_s:
                raise ComponentError(who(), f"did not answer within {hub.timeout_s:g} s; is a handler blocked?")
            if now - beaten > hub.heartbeat_s:
                beaten = now
                hub.fan_out.say(beat)

    def _who_owes(self) -> str:
        return self.hub.roster.names(self._pending)

    def _on_frame(self, index: int, kind: bytes, data: bytes) -> bool:
        if kind == p.DONE:
            self._on_done(index, data)
        elif kind == p.SYNCED:
            if p.unpack_wave_only(data) == self.hub.fan_out.wave:
                self._pending &= ~(1 << index)
        elif kind == p.BLOCK:
            self._on_block(index, data)
        elif kind == p.FETCH:
            _, wanted = p.unpack_fields(data, 2)
            self.hub.send_again(index, wanted)
        else:
            return False
        return True

    def _on_done(self, index: int, data: bytes) -> None:
        endpoint, at = self.hub.endpoints[index], self.hub.fan_out.wave
        wave, quiet, outputs = p.unpack_done(data)
        if wave != at or not self._pending >> index & 1:
            raise ProtocolError(
                f"{endpoint.name} answered wave {wave}; the hub is at {at} and awaits {self._who_owes()}"
            )
        for output in outputs:
            if output.source not in endpoint.source_ids:
                raise ProtocolError(f"{endpoint.name} published as source {output.source}, which it is not")
        self.hub.roster.set_quiet(index, quiet)
        self._outputs += outputs
        self._pending &= ~(1 << index)

    def _on_block(self, index: int, data: bytes) -> None:
        endpoint = self.hub.endpoints[index]
        source, last, total, messages = p.unpack_block(data)
        if source not in endpoint.sources:
            raise ProtocolError(f"{endpoint.name} sent data as source {source}, which it is not")
        self._totals[source] = total
        self._blocks.setdefault(source, deque()).append((last, messages))
