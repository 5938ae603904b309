"""The hub's side of the ZeroMQ transport: ROUTER in, XPUB out.

The hub never relies on ZeroMQ for more than speed. It knows its endpoints by token, not by what they say of
themselves; it keeps what it published until everybody has confirmed it, and sends it again on request; and it names
the endpoint that does not answer. What is said over it in a discipline is in `bus.wave_hub` and `bus.live_hub`.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import zmq

from bus import protocol as p
from bus.bell import Bell
from bus.errors import ComponentError, ConfigError, ProtocolError
from bus.fan_out import FanOut
from bus.roster import EndpointSpec, Roster

FETCH_BYTES = 256 * 1024
"""As much is sent again at a time; the endpoint asks for the rest when it has served it."""
POLL_MS = 100
_POLLIN = int(zmq.POLLIN)
"""A plain number, for the operators of an enumeration take longer than the question."""
_PING_MS = 20
_WATCH_S = 0.2
_LAST_WORDS_S = 0.5
_AT_ONCE_S = 20e-6
"""To receive what is there takes less."""


@dataclass
class Hub:
    """The sockets, who is connected to them, and the fan-out.

    `alive` is called while the hub waits; it raises when a process has died. `timeout_s` is how long an endpoint may
    stay silent when it owes an answer; every `heartbeat_s` the hub says how far it is, by which an endpoint knows
    what it has lost.
    """

    endpoints: list[EndpointSpec]
    address: str
    alive: Callable[[], None]
    timeout_s: float = 60.0
    lose: Callable[[bytes], bool] | None = None
    """For tests: says of a frame of the fan-out that it gets lost."""
    heartbeat_s: float = 1.0
    epoch: int = 0
    """The epoch that every publish must name in the live discipline; 0 in the deterministic one."""

    _watched: float = 0.0
    _timeout_ms: int = -1

    def __post_init__(self) -> None:
        self.roster = Roster(self.endpoints)
        self.woken = False
        """Somebody has rung the bell since this was last set to False."""
        self.waited = False
        """The last frame had not come before it was asked for."""
        self.on_frame: Callable[[int, bytes, bytes], bool] = _unknown
        """Takes the index of an endpoint, a frame's kind, and the frame; False for a kind that it does not know."""
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._xpub = self._context.socket(zmq.XPUB)
        self.bell = Bell(self._context, self._router)
        self.fan_out = FanOut(self._xpub, [endpoint.takes for endpoint in self.endpoints], self.lose)

    def bind(self) -> tuple[str, str]:
        """Bind both sockets and return their addresses (ROUTER, XPUB).

        The address is `ipc://<folder>`, a folder that only this user may enter, or `tcp://127.0.0.1`.
        """
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        for socket in (self._router, self._xpub):
            # No limits where a barrier bounds what is on its way: a limit would drop without a word. Without a barrier
            # the fan-out has one: what a slow endpoint loses by it, it fetches.
            socket.setsockopt(zmq.SNDHWM, p.LIVE_FRAMES if self.epoch and socket is self._xpub else 0)
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
        """Wait until every endpoint has said who it is and has received a ping on the fan-out.

        The ping goes the way of the data (XPUB to SUB), so an answer proves that this way is open. ZeroMQ gives no
        other proof: a subscription takes effect some time after `connect`, and what is published before is lost.

        Raises:
            ProtocolError: some endpoint is not ready in time; names it.
            ComponentError: one failed or died on the way.
        """
        deadline = time.monotonic() + timeout_s
        nonce = 0
        while missing := self.roster.not_ready:
            self.look_alive()
            if time.monotonic() > deadline:
                raise ProtocolError(f"not ready within {timeout_s:g} s: {', '.join(missing)}")
            nonce += 1
            self.fan_out.ping(nonce)
            while self.serve(_PING_MS):
                if not self.roster.not_ready:
                    return

    def serve(self, timeout_ms: int) -> bool:
        """Serve one frame, if one comes in time; whether it was from an endpoint of ours, or the bell's."""
        router = self._router
        if timeout_ms != self._timeout_ms:
            self._timeout_ms = timeout_ms
            router.setsockopt(zmq.RCVTIMEO, timeout_ms)
        began = time.monotonic()
        try:
            routing_id = router.recv()
        except zmq.Again:
            return False
        self.waited = time.monotonic() - began > _AT_ONCE_S
        data = router.recv()
        while router.getsockopt(zmq.RCVMORE):
            data += router.recv()
        index = self.roster.index_of(routing_id)
        if index is None:
            return self._on_stranger(routing_id, data)
        try:
            kind = data[:1]
            if not self.on_frame(index, kind, data):
                self._on_other(index, kind, data)
        except (struct.error, LookupError, TypeError, ValueError) as error:
            name = self.endpoints[index].name
            raise ProtocolError(f"{name} sent a {data[:1]!r} frame that cannot be read: {error}") from error
        return True

    @property
    def has_more(self) -> bool:
        """Whether a frame has come."""
        return bool(int(self._router.getsockopt(zmq.EVENTS)) & _POLLIN)

    def watch(self) -> None:
        """Notice a death even while all others answer quickly and nobody waits for the dead one."""
        now = time.monotonic()
        if now - self._watched > _WATCH_S:
            self._watched = now
            self.look_alive()

    def look_alive(self) -> None:
        """Raise if a process has died, with what it said of that itself if its last words are on their way."""
        try:
            self.alive()
        except ComponentError:
            deadline = time.monotonic() + _LAST_WORDS_S
            while self.serve(_PING_MS) and time.monotonic() < deadline:
                pass
            raise

    def send(self, index: int, data: bytes) -> None:
        """Send a frame to one endpoint, if it has joined and not left."""
        routing_id = self.endpoints[index].routing_id
        if routing_id:
            self._send(routing_id, data)

    def send_again(self, index: int, wanted: Iterable[tuple[int, int, int]]) -> None:
        """Send the kept frames in these ranges (lane, first, last), or as much as goes at a time."""
        size = 0
        for frame in self.fan_out.lost(wanted):
            self.send(index, p.AGAIN + frame)
            size += len(frame)
            if size > FETCH_BYTES:
                break
        self.send(index, p.FETCHED)

    def stop(self, sources_only: bool = False) -> None:
        """Ask every endpoint to stop, or those that bring data."""
        for index, endpoint in enumerate(self.endpoints):
            if endpoint.sources or not sources_only:
                self.send(index, p.STOP)

    def close(self) -> None:
        """Close the sockets; an ipc address leaves no file behind."""
        for socket in (self._router, self._xpub):
            socket.close(0)
        self.bell.close()
        self._context.term()
        scheme, _, place = self.address.partition("://")
        if scheme == "ipc":
            for name in ("in", "out"):
                Path(place, name).unlink(missing_ok=True)

    def _on_other(self, index: int, kind: bytes, data: bytes) -> None:
        if kind == p.READY:
            self.endpoints[index].ready = True
        elif kind == p.FAILED:
            component, error, trace, exit_code = p.unpack_fields(data, 4)
            failed = ComponentError(component, error, trace)
            failed.exit_code = exit_code
            raise failed
        else:
            raise ProtocolError(f"{self.endpoints[index].name} sent a frame of unknown kind {kind!r}")

    def _on_stranger(self, routing_id: bytes, data: bytes) -> bool:
        """Let in who shows a token of this run; nobody else is heard, and nothing that they say does harm.

        Whether it was the bell.
        """
        if self.bell.heard(routing_id):
            self.woken = True
            return True
        if data[:1] == p.HELLO:
            self._on_hello(routing_id, data)
        return False

    def _on_hello(self, routing_id: bytes, data: bytes) -> None:
        try:
            name, token, pid = p.unpack_fields(data, 3)
        except p.DamagedFrame:
            return
        index = self.roster.admit(routing_id, str(token), pid)
        if index is not None:
            self._send(routing_id, p.pack_fields(p.WELCOME, index, self.fan_out.lanes_of(index), self.epoch))
            return
        reason = f"{name!r:.100} showed no token of this run, or one that is taken"
        self._send(routing_id, p.pack_fields(p.KICK, reason))

    def _send(self, routing_id: bytes, data: bytes) -> None:
        try:
            self._router.send_multipart([routing_id, data])
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            # It is gone; if it was one of ours, `alive` says so with a better text than we could.


def _unknown(_index: int, _kind: bytes, _data: bytes) -> bool:
    return False


def _require_private(folder: Path) -> None:
    status = folder.stat()
    if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.getuid():
        raise ConfigError(f"{folder}: the folder of the bus sockets must belong to this user alone (mode 0700)")


def _bound(socket: zmq.Socket[bytes]) -> str:
    return socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()  # type: ignore[union-attr]
