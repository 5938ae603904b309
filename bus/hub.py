"""The hub's side of the ZeroMQ transport: ROUTER in, XPUB out.

The hub never relies on ZeroMQ for more than speed. It knows its endpoints by token, not by what they say of
themselves; it keeps what it published until everybody has confirmed it, and sends it again on request; and it names
the endpoint that does not answer.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from bus import protocol as p
from bus.errors import ComponentError, ConfigError, ProtocolError
from bus.live_stream import LiveStream
from bus.roster import EndpointSpec, Roster
from bus.runtime.runner import Output
from bus.wave import Sequenced
from schemas import Message

SYNC_EVERY = 2048
"""Waves between two synchronisations; bounds what the hub keeps and how far a sink may lag."""
_POLL_MS = 100
_PING_MS = 20
_WATCH_S = 0.2


@dataclass
class Hub:
    """A `bus.wave.Link` to all processes of a run.

    `alive` is called while the hub waits; it raises when a process has died. `timeout_s` is how long an endpoint may
    stay silent when it owes an answer; every `heartbeat_s` of waiting the hub says how far it is, by which an endpoint
    knows what it has lost.
    """

    endpoints: list[EndpointSpec]
    address: str
    alive: Callable[[], None]
    timeout_s: float = 60.0
    lose: Callable[[bytes], bool] | None = None
    """For tests: says of a frame of the live stream that it gets lost."""
    heartbeat_s: float = 1.0

    _pending: int = 0
    _outputs: list[Output] = field(default_factory=list)
    _blocks: dict[int, deque[tuple[bool, list[Message]]]] = field(default_factory=dict)
    _totals: dict[int, int] = field(default_factory=dict)
    _synced: int = 0
    _watched: float = 0.0

    def __post_init__(self) -> None:
        self._roster = Roster(self.endpoints)
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._xpub = self._context.socket(zmq.XPUB)
        self.live = LiveStream(self._xpub, [endpoint.takes for endpoint in self.endpoints], self.lose)

    def bind(self) -> tuple[str, str]:
        """Bind both sockets and return their addresses (ROUTER, XPUB).

        The address is `ipc://<folder>`, a folder that only this user may enter, or `tcp://127.0.0.1`.
        """
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        for socket in (self._router, self._xpub):
            # No limits: the wave barrier bounds what is on its way, and a limit would drop without a word.
            socket.setsockopt(zmq.SNDHWM, 0)
            socket.setsockopt(zmq.RCVHWM, 0)
            socket.setsockopt(zmq.LINGER, 0)
        scheme, _, place = self.address.partition("://")
        if scheme == "ipc":
            _require_private(Path(place))
            self._router.bind(f"ipc://{place}/in")
            self._xpub.bind(f"ipc://{place}/out")
        else:
            self._router.bind(f"{self.address}:*")
            self._xpub.bind(f"{self.address}:*")
        return _bound(self._router), _bound(self._xpub)

    def handshake(self, timeout_s: float) -> None:
        """Wait until every endpoint has said who it is and has received a ping on the live stream.

        The ping goes the way of the data (XPUB to SUB), so an answer proves that this way is open. ZeroMQ gives no
        other proof: a subscription takes effect some time after `connect`, and what is published before is lost.

        Raises:
            ProtocolError: some endpoint is not ready in time; names it.
            ComponentError: one failed or died on the way.
        """
        deadline = time.monotonic() + timeout_s
        nonce = 0
        while missing := self._roster.not_ready:
            self.alive()
            if time.monotonic() > deadline:
                raise ProtocolError(f"not ready within {timeout_s:g} s: {', '.join(missing)}")
            nonce += 1
            self.live.ping(nonce)
            while self._poll(_PING_MS):
                if not self._roster.not_ready:
                    return

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        """Publish the wave, each lane its records in one frame."""
        self._watch()
        owing = 0
        for item in wave:
            owing |= self._roster.owing(item.type_id)
        if self.live.publish(wave, owing):
            self._pending = owing

    def collect(self) -> list[Output]:
        """Wait until every endpoint that owes an answer has given it.

        Raises:
            ComponentError: an endpoint failed, died, or stayed silent for `timeout_s`.
        """
        self._wait(lambda: not self._pending, self._who_owes, p.HEARTBEAT)
        if self.live.wave - self._synced >= SYNC_EVERY:
            self.finish()
        outputs, self._outputs = self._outputs, []
        return outputs

    def finish(self) -> None:
        """Wait until every endpoint has served all that was published, and forget what was kept for them."""
        self._pending = self._roster.everybody
        self.live.say(p.SYNC)
        self._wait(lambda: not self._pending, self._who_owes, p.SYNC)
        self.live.kept.clear()
        self._synced = self.live.wave

    def blocks(self, source: int) -> Iterator[list[Message]] | None:
        """The stream of a source that lives in one of the processes, or None."""
        for endpoint in self.endpoints:
            if source in endpoint.sources:
                return self._read(endpoint, source)
        return None

    def total(self, source: int) -> int:
        """How many messages that stream will have, 0 when that is not known (yet)."""
        return self._totals.get(source, 0)

    def stop(self) -> None:
        """Ask every endpoint to stop."""
        for endpoint in self.endpoints:
            if endpoint.routing_id:
                self._send(endpoint.routing_id, p.STOP)

    def close(self) -> None:
        """Close the sockets; an ipc address leaves no file behind."""
        for socket in (self._router, self._xpub):
            socket.close(0)
        self._context.term()
        scheme, _, place = self.address.partition("://")
        if scheme == "ipc":
            for name in ("in", "out"):
                Path(place, name).unlink(missing_ok=True)

    def _watch(self) -> None:
        """Notice a death even while all others answer quickly and nobody waits for the dead one."""
        now = time.monotonic()
        if now - self._watched > _WATCH_S:
            self._watched = now
            self.alive()

    def _read(self, endpoint: EndpointSpec, source: int) -> Iterator[list[Message]]:
        arrived = self._blocks.setdefault(source, deque())
        self._send(endpoint.routing_id, p.pack_source_only(p.READ, source))
        last = False
        while not last:
            self._wait(lambda: bool(arrived), lambda: endpoint.name, p.HEARTBEAT)
            last, block = arrived.popleft()
            if not last:
                # The next block is read ahead while this one is worked on.
                self._send(endpoint.routing_id, p.pack_source_only(p.READ, source))
            yield block

    def _wait(self, done: Callable[[], bool], who: Callable[[], str], beat: bytes) -> None:
        started = beaten = time.monotonic()
        poll_ms = min(_POLL_MS, int(self.heartbeat_s * 1000))
        while not done():
            if self._poll(poll_ms):
                continue
            self.alive()
            now = time.monotonic()
            if now - started > self.timeout_s:
                raise ComponentError(who(), f"did not answer within {self.timeout_s:g} s; is a handler blocked?")
            if now - beaten > self.heartbeat_s:
                beaten = now
                self.live.say(beat)

    def _who_owes(self) -> str:
        return self._roster.names(self._pending)

    def _poll(self, timeout_ms: int) -> bool:
        """Serve one frame, if one comes in time; whether it was from an endpoint of ours."""
        if not self._router.poll(timeout_ms):
            return False
        routing_id, *parts = self._router.recv_multipart()
        data = b"".join(parts)
        index = self._roster.index_of(routing_id)
        if index is None:
            self._on_stranger(routing_id, data)
            return False
        try:
            self._on_frame(index, self.endpoints[index], data)
        except (struct.error, LookupError, TypeError, ValueError) as error:
            name = self.endpoints[index].name
            raise ProtocolError(f"{name} sent a {data[:1]!r} frame that cannot be read: {error}") from error
        return True

    def _on_frame(self, index: int, endpoint: EndpointSpec, data: bytes) -> None:
        kind = data[:1]
        if kind == p.DONE:
            self._on_done(index, endpoint, data)
        elif kind == p.SYNCED:
            if p.unpack_wave_only(data) == self.live.wave:
                self._pending &= ~(1 << index)
        elif kind == p.BLOCK:
            self._on_block(endpoint, data)
        elif kind == p.FETCH:
            self._on_fetch(endpoint, data)
        elif kind == p.READY:
            endpoint.ready = True
        elif kind == p.FAILED:
            component, error, trace, exit_code = p.unpack_fields(data, 4)
            failed = ComponentError(component, error, trace)
            failed.exit_code = exit_code
            raise failed
        else:
            raise ProtocolError(f"{endpoint.name} sent a frame of unknown kind {kind!r}")

    def _on_stranger(self, routing_id: bytes, data: bytes) -> None:
        """Let in who shows a token of this run; nobody else is heard, and nothing that they say does harm."""
        if data[:1] != p.HELLO:
            return
        try:
            name, token, pid = p.unpack_fields(data, 3)
        except p.DamagedFrame:
            return
        index = self._roster.admit(routing_id, str(token), pid)
        if index is not None:
            self._send(routing_id, p.pack_fields(p.WELCOME, index, self.live.lanes_of(index)))
            return
        reason = f"{name!r:.100} showed no token of this run, or one that is taken"
        self._send(routing_id, p.pack_fields(p.KICK, reason))

    def _on_done(self, index: int, endpoint: EndpointSpec, data: bytes) -> None:
        wave, quiet, outputs = p.unpack_done(data)
        if wave != self.live.wave or not self._pending >> index & 1:
            raise ProtocolError(
                f"{endpoint.name} answered wave {wave}; the hub is at {self.live.wave} and awaits {self._who_owes()}"
            )
        for output in outputs:
            if output.source not in endpoint.source_ids:
                raise ProtocolError(f"{endpoint.name} published as source {output.source}, which it is not")
        endpoint.quiet = quiet
        self._outputs += outputs
        self._pending &= ~(1 << index)

    def _on_block(self, endpoint: EndpointSpec, data: bytes) -> None:
        source, last, total, messages = p.unpack_block(data)
        if source not in endpoint.sources:
            raise ProtocolError(f"{endpoint.name} sent data as source {source}, which it is not")
        self._totals[source] = total
        self._blocks.setdefault(source, deque()).append((last, messages))

    def _on_fetch(self, endpoint: EndpointSpec, data: bytes) -> None:
        (wanted,) = p.unpack_fields(data, 1)
        for frame in self.live.lost(wanted):
            self._send(endpoint.routing_id, p.AGAIN + frame)

    def _send(self, routing_id: bytes, data: bytes) -> None:
        try:
            self._router.send_multipart([routing_id, data])
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            # It is gone; if it was one of ours, `alive` says so with a better text than we could.


def _require_private(folder: Path) -> None:
    status = folder.stat()
    if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.getuid():
        raise ConfigError(f"{folder}: the folder of the bus sockets must belong to this user alone (mode 0700)")


def _bound(socket: zmq.Socket[bytes]) -> str:
    return socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()  # type: ignore[union-attr]
