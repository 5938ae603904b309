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
from bus.runtime.runner import Output
from bus.wave import Sequenced
from schemas import Message

SYNC_EVERY = 2048
"""Waves between two synchronisations; bounds what the hub keeps and how far a sink may lag."""
_POLL_MS = 100
_PING_MS = 20
_WATCH_S = 0.2


@dataclass
class EndpointSpec:
    """One process: its components, by name and source id, what it takes, and which of that it never answers.

    `sources` are the ids of the data sources among them. `token` is known to this process and the hub only.
    """

    name: str
    source_ids: frozenset[int]
    takes: frozenset[int]
    quiet: frozenset[int]
    sources: frozenset[int]
    token: str
    routing_id: bytes = b""
    ready: bool = False
    pid: int = 0


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
    """For tests: says of a frame of the live stream, of whatever lane, that it gets lost."""
    heartbeat_s: float = 1.0

    _wave: int = 0
    _pending: int = 0
    _outputs: list[Output] = field(default_factory=list)
    _blocks: dict[int, deque[tuple[bool, list[Message]]]] = field(default_factory=dict)
    _totals: dict[int, int] = field(default_factory=dict)
    _kept: dict[int, deque[tuple[int, bytes]]] = field(default_factory=dict)
    _synced: int = 0
    _watched: float = 0.0

    def __post_init__(self) -> None:
        if len(self.endpoints) > p.MAX_ENDPOINTS:
            raise ConfigError(f"{len(self.endpoints)} processes in one run; at most {p.MAX_ENDPOINTS} are possible")
        self._by_routing_id: dict[bytes, int] = {}
        self._lane_of_type, self.lanes = _lanes(self.endpoints)
        self._heads = [0] * (len(self.lanes) + 1)
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._xpub = self._context.socket(zmq.XPUB)

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
        while missing := [endpoint.name for endpoint in self.endpoints if not endpoint.ready]:
            self.alive()
            if time.monotonic() > deadline:
                raise ProtocolError(f"not ready within {timeout_s:g} s: {', '.join(missing)}")
            nonce += 1
            self._publish(bytes([p.CONTROL_LANE]) + p.pack_fields(p.PING, nonce))
            while self._poll(_PING_MS):
                if all(endpoint.ready for endpoint in self.endpoints):
                    return

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        """Publish the wave, each lane its records in one frame."""
        parts: dict[int, list[bytes]] = {}
        owing = lanes = 0
        for item in wave:
            lane = self._lane_of_type.get(item.type_id)
            if lane is not None:
                parts.setdefault(lane, []).append(item.record)
                lanes |= 1 << lane
                owing |= self._owing(item.type_id)
        if not parts:
            return
        self._watch()
        self._wave += 1
        self._pending = owing
        for lane in parts:
            self._heads[lane] += 1
        heads = tuple(self._heads)
        for lane, records in parts.items():
            frame = p.pack_wave(p.WaveFrame(lane, self._wave, lanes, owing, heads, b"".join(records)))
            self._kept.setdefault(lane, deque()).append((heads[lane], frame))
            self._publish(frame)

    def collect(self) -> list[Output]:
        """Wait until every endpoint that owes an answer has given it.

        Raises:
            ComponentError: an endpoint failed, died, or stayed silent for `timeout_s`.
        """
        self._wait(lambda: not self._pending, self._who_owes, p.HEARTBEAT)
        if self._wave - self._synced >= SYNC_EVERY:
            self.finish()
        outputs, self._outputs = self._outputs, []
        return outputs

    def finish(self) -> None:
        """Wait until every endpoint has served all that was published, and forget what was kept for them."""
        self._pending = (1 << len(self.endpoints)) - 1
        self._publish(p.pack_control(p.SYNC, self._wave, self._heads))
        self._wait(lambda: not self._pending, self._who_owes, p.SYNC)
        self._kept.clear()
        self._synced = self._wave

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

    def _owing(self, type_id: int) -> int:
        mask = 0
        for index, endpoint in enumerate(self.endpoints):
            if type_id in endpoint.takes and type_id not in endpoint.quiet:
                mask |= 1 << index
        return mask

    def _publish(self, data: bytes) -> None:
        if self.lose is None or not self.lose(data):
            self._xpub.send(data)

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
                self._publish(p.pack_control(beat, self._wave, self._heads))

    def _who_owes(self) -> str:
        return ", ".join(e.name for i, e in enumerate(self.endpoints) if self._pending >> i & 1)

    def _poll(self, timeout_ms: int) -> bool:
        """Serve one frame, if one comes in time; whether it was from an endpoint of ours."""
        if not self._router.poll(timeout_ms):
            return False
        routing_id, *parts = self._router.recv_multipart()
        data = b"".join(parts)
        index = self._by_routing_id.get(routing_id)
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
            if p.unpack_wave_only(data) == self._wave:
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
        for index, endpoint in enumerate(self.endpoints):
            if endpoint.token == token and not endpoint.routing_id:
                endpoint.routing_id, endpoint.pid = routing_id, pid
                self._by_routing_id[routing_id] = index
                lanes = [lane for lane, members in enumerate(self.lanes, 1) if index in members]
                self._send(routing_id, p.pack_fields(p.WELCOME, index, lanes))
                return
        reason = f"{name!r:.100} showed no token of this run, or one that is taken"
        self._send(routing_id, p.pack_fields(p.KICK, reason))

    def _on_done(self, index: int, endpoint: EndpointSpec, data: bytes) -> None:
        wave, quiet, outputs = p.unpack_done(data)
        if wave != self._wave or not self._pending >> index & 1:
            raise ProtocolError(
                f"{endpoint.name} answered wave {wave}; the hub is at {self._wave} and awaits {self._who_owes()}"
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
        for lane, following in wanted:
            for lane_seq, frame in self._kept.get(lane, ()):
                if lane_seq >= following:
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


def _lanes(endpoints: Sequence[EndpointSpec]) -> tuple[dict[int, int], list[frozenset[int]]]:
    """Lane of each type, and the endpoints on each lane (the first is lane 1)."""
    lanes: list[frozenset[int]] = []
    lane_of_type: dict[int, int] = {}
    for type_id in sorted({t for endpoint in endpoints for t in endpoint.takes}):
        members = frozenset(i for i, endpoint in enumerate(endpoints) if type_id in endpoint.takes)
        if members not in lanes:
            lanes.append(members)
        lane_of_type[type_id] = lanes.index(members) + 1
    if len(lanes) >= p.MAX_LANES:
        raise ConfigError(f"the topology needs {len(lanes)} lanes; at most {p.MAX_LANES - 1} are possible")
    return lane_of_type, lanes


def _bound(socket: zmq.Socket[bytes]) -> str:
    return socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()  # type: ignore[union-attr]
