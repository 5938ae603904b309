"""The hub in the live discipline: processes publish when they have something, and nobody is waited for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bus import protocol as p
from bus.errors import ProtocolError
from bus.hub import POLL_MS, Hub
from bus.live_link import Receive
from bus.log_range import LogRange
from bus.peer import ACCEPT_EVERY, Peer
from bus.runtime.runner import Output
from bus.wave import Sequenced

KEEP_BYTES = 64 * 1024 * 1024
"""As many bytes of frames are kept for slow endpoints; what is older they get from the log."""
_AT_A_TIME = 4096
"""Frames, and outputs, that are taken in one round, so that a flood does not keep the first of them waiting."""
_TRIM_EVERY = 256
_SYNC_MS = 20


@dataclass
class LiveHub:
    """A `bus.live_link.PolledLink` over a hub.

    `log` is the folder of the run's log, None when the run is not captured on disk: then all that a slow endpoint has
    not confirmed stays in memory. `accepted` is the last source_seq of each source that is in the log already.
    """

    hub: Hub
    log: Path | None = None
    keep_bytes: int = KEEP_BYTES
    accepted: dict[int, int] = field(default_factory=dict)
    caught_up: int = 0
    """How often a piece of the log was sent to somebody slow."""
    _outputs: list[Output] = field(default_factory=list)
    _is_telling: bool = False
    """Somebody has published so much that it is to be told what is in the log."""
    _beaten: float = 0.0

    def __post_init__(self) -> None:
        self.hub.on_frame = self._on_frame
        sources = [endpoint.source_ids for endpoint in self.hub.endpoints]
        self._peers = [Peer({source: self.accepted.get(source, 0) for source in ids}) for ids in sources]
        self._ranges = [LogRange(self.log, endpoint.takes) if self.log else None for endpoint in self.hub.endpoints]

    def start(self, receive: Receive) -> None:
        """Nothing to begin: what the processes publish is fetched by `poll`."""

    def poll(self, timeout_s: float) -> list[Output]:
        """All outputs that have arrived; waits at most `timeout_s` for the first, 0 looks only.

        Returns early, perhaps with nothing, when `wake` was called.

        Raises:
            ComponentError: a process failed or died.
            ProtocolError: a process broke the rules; names it.
        """
        hub = self.hub
        self._watch()
        if timeout_s <= 0:
            self._drain()
        deadline = time.monotonic() + timeout_s
        while not self._outputs and not hub.woken and (left := deadline - time.monotonic()) > 0:
            if not hub.serve(min(int(left * 1000) + 1, POLL_MS)):
                self._watch()
            elif not hub.waited:
                # A frame that came at once may have others behind it; one that was waited for goes on its way alone.
                self._drain()
        hub.woken = False
        outputs, self._outputs = self._outputs, []
        return outputs

    def wake(self) -> None:
        """Let `poll` return; from any thread."""
        self.hub.bell.ring()

    def deliver(self, batch: Sequence[Sequenced]) -> None:
        """Publish a batch, each lane its records in one frame."""
        fan_out = self.hub.fan_out
        if fan_out.publish(batch, 0) and fan_out.last.wave % _TRIM_EVERY == 0:
            self._trim()

    def acknowledge(self) -> None:
        """All outputs that `poll` has returned are in the log; who has many of them is told."""
        if self._is_telling and not self._outputs:
            self._is_telling = False
            self._accept(ACCEPT_EVERY)

    def lag(self) -> int:
        """How many of the records published the slowest process has not served, as far as it has said."""
        fan_out = self.hub.fan_out
        for peer in self._peers:
            peer.records = fan_out.records_until(peer.wave) or peer.records
        return fan_out.last.records - min((peer.records for peer in self._peers), default=fan_out.last.records)

    def finish(self, timeout_s: float) -> bool:
        """Wait until every process has served all that was published and its outputs have arrived.

        Raises:
            ComponentError: a process failed or died.
        """
        deadline = time.monotonic() + timeout_s
        for peer in self._peers:
            peer.reported = False
        heard = False
        while not all(self._is_served(peer) for peer in self._peers):
            if time.monotonic() > deadline:
                return False
            if not heard:
                # Everybody answers; asked again before all have, they would answer as many times as there are of them.
                self.hub.fan_out.say(p.SYNC)
            heard = self.hub.serve(_SYNC_MS)
            self._drain()
            self._watch()
        return True

    def _is_served(self, peer: Peer) -> bool:
        return peer.wave == self.hub.fan_out.wave and peer.reported

    def _watch(self) -> None:
        self.hub.watch()
        now = time.monotonic()
        if now - self._beaten > self.hub.heartbeat_s:
            self._beaten = now
            self.hub.fan_out.say(p.HEARTBEAT)
            if not self._outputs:
                self._accept(1)
            self._trim()

    def _drain(self) -> None:
        """Serve the frames that have come."""
        hub, outputs = self.hub, self._outputs
        frames = 0
        while frames < _AT_A_TIME and len(outputs) < _AT_A_TIME and hub.has_more:
            hub.serve(POLL_MS)
            frames += 1

    def _accept(self, at_least: int) -> None:
        for index, peer in enumerate(self._peers):
            if peer.untold >= at_least:
                peer.untold = 0
                self.hub.send(index, p.pack_fields(p.ACCEPTED, list(peer.accepted.items())))

    def _trim(self) -> None:
        """Forget what everybody has confirmed; and beyond the bound what is in the log on disk."""
        fan_out = self.hub.fan_out
        fan_out.forget(min((peer.wave for peer in self._peers), default=fan_out.wave))
        if self.log is not None:
            fan_out.shrink(self.keep_bytes)

    def _on_frame(self, index: int, kind: bytes, data: bytes) -> bool:
        if kind == p.PUBLISH:
            self._on_publish(index, *p.unpack_publish(data))
        elif kind == p.PROGRESS:
            self._ask(index, self._peers[index].report(*p.unpack_fields(data, 2)))
        elif kind == p.FETCH:
            seq, wanted = p.unpack_fields(data, 2)
            if self.hub.fan_out.has_forgotten(wanted):
                self._catch_up(index, seq)
            else:
                self.hub.send_again(index, wanted)
        else:
            return False
        return True

    def _on_publish(self, index: int, epoch: int, wave: int, items: list[tuple[int, Output]]) -> None:
        if epoch != self.hub.epoch:
            reason = f"it speaks for epoch {epoch}, the run is in epoch {self.hub.epoch}"
            self.hub.send(index, p.pack_fields(p.KICK, reason))
            return
        try:
            outputs, gaps = self._peers[index].offer(wave, items)
        except KeyError as error:
            name = self.hub.endpoints[index].name
            raise ProtocolError(f"{name} published as source {error.args[0]}, which it is not") from None
        self._outputs += outputs
        if self._peers[index].untold >= ACCEPT_EVERY:
            self._is_telling = True
        if gaps:
            self._ask(index, gaps)

    def _ask(self, index: int, sources: Iterable[int]) -> None:
        """Ask for what is missing of these sources."""
        for source in sources:
            expected = self._peers[index].ask(source)
            if expected is not None:
                self.hub.send(index, p.pack_fields(p.EXPECTED, source, expected))

    def _catch_up(self, index: int, seq: int) -> None:
        """Send records after `seq` from the log, up to where frames are kept or as much as goes at a time."""
        forgotten, log_range = self.hub.fan_out.forgotten, self._ranges[index]
        self.caught_up += 1
        if log_range is None:
            name = self.hub.endpoints[index].name
            raise ProtocolError(f"{name} asks for frames that it has confirmed, after seq {seq}")
        upto, records = log_range.read(seq, forgotten.seq)
        heads = forgotten.heads if upto == forgotten.seq else ()
        self.hub.send(index, p.pack_catch_up(upto, heads, records))
        self.hub.send(index, p.FETCHED)
