"""A process's side of the ZeroMQ transport: DEALER out, SUB in.

The endpoint hands every wave to its runner in order; what ZeroMQ has lost is fetched from the hub before anything later
is served. In the deterministic discipline it answers a wave when it owes an answer. In the live discipline it publishes
what its components emit, keeps it until the hub says that it is in the log, and says now and then how far it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import zmq

from bus import protocol as p
from bus.errors import AdmfError, ComponentError, ProtocolError
from bus.hosts import source_blocks, source_total
from bus.inbound import Inbound
from bus.inbox import Inbox
from bus.outbound import Outbound
from bus.record import Record, decode_records
from bus.runtime.runner import Output, Runner
from bus.waker import Waker
from schemas import Message
from schemas.codec import decode

REPORT_EVERY = 512
"""Waves after which an endpoint that publishes nothing says how far it is; bounds what the hub keeps for it."""


class HubGone(AdmfError):
    """The hub's process ended without a word."""


@dataclass
class Endpoint:
    """Serves a runner until the hub says STOP.

    `parent` is a file descriptor that becomes readable (end of file) when the launcher dies; -1 for none.
    """

    name: str
    token: str
    router: str
    xpub: str
    runner: Runner
    parent: int = -1

    _index: int = -1
    _inbound: Inbound = field(default_factory=Inbound)
    _outbound: Outbound | None = None
    """What we publish in the live discipline; None where components only answer."""
    inbox: Inbox = field(default_factory=Inbox)
    """To which edges among our components bring what they learn from outside; in the live discipline only."""
    _waker: Waker = field(default_factory=Waker)
    _fetching: bool = False
    _reported: int = 0
    """The last wave of which the hub knows that we have served it."""
    _streams: dict[int, Iterator[list[Message]]] = field(default_factory=dict)
    _next: dict[int, list[Message] | None] = field(default_factory=dict)

    def run(self) -> None:
        """Connect, join the run, initialize the components, serve.

        Raises:
            ComponentError: a component raised; the hub has been told.
            HubGone: the launcher died.
        """
        self.inbox.wake = self._waker.wake
        context = zmq.Context()
        self._dealer, self._sub = context.socket(zmq.DEALER), context.socket(zmq.SUB)
        for socket in (self._dealer, self._sub):
            # See the notes on ZeroMQ in docs/bus.md.
            socket.setsockopt(zmq.SNDHWM, 0)
            socket.setsockopt(zmq.RCVHWM, p.LIVE_FRAMES if socket is self._sub else 0)
            socket.setsockopt(zmq.LINGER, 2000)
        try:
            self._sub.connect(self.xpub)
            self._dealer.connect(self.router)
            self._say(p.pack_fields(p.HELLO, self.name, self.token, os.getpid()))
            self.runner.initialize()
            self._serve()
        except ComponentError as error:
            self._say(p.pack_fields(p.FAILED, error.component, error.error, error.traceback, error.exit_code))
            raise
        finally:
            self._sub.close(0)
            self._dealer.close(2000)
            self._waker.close()
            context.term()

    def _say(self, frame: bytes) -> None:
        self._dealer.send(frame)

    def _serve(self) -> None:
        dealer, sub, parent = self._dealer, self._sub, self.parent
        watched: list[tuple[Any, int]] = [(sub, zmq.POLLIN), (dealer, zmq.POLLIN), (self._waker.fd, zmq.POLLIN)]
        if parent >= 0:
            watched.append((parent, zmq.POLLIN))
        while True:
            ready: list[Any] = [which for which, _ in zmq.zmq_poll(watched, -1)]
            if parent in ready:
                raise HubGone("the launcher has ended without stopping this process")
            if sub in ready:
                self._on_published(sub.recv())
            elif dealer in ready and not self._on_direct(dealer.recv()):
                return
            if self._waker.fd in ready:
                self._publish_offered()

    def _on_published(self, data: bytes) -> None:
        """Serve one frame of the fan-out."""
        if data[0] == p.CONTROL_LANE:
            self._on_control(data[1:])
        else:
            self._inbound.published(p.unpack_wave(data))
            self._advance()

    def _on_direct(self, data: bytes) -> bool:
        """Serve one frame from the ROUTER; False when it was the last."""
        kind = data[:1]
        if kind == p.STOP:
            return False
        if kind == p.READ:
            self._send_block(p.unpack_source_only(data))
        elif kind == p.AGAIN:
            self._inbound.again(p.unpack_wave(data[1:]))
        elif kind == p.CATCH_UP:
            self._on_catch_up(*p.unpack_catch_up(data))
        elif kind == p.FETCHED:
            self._fetching = False
            self._advance()
        elif kind == p.WELCOME:
            self._on_welcome(*p.unpack_fields(data, 3))
        elif kind == p.KICK:
            raise ProtocolError(f"the hub refused this process: {p.unpack_fields(data, 1)[0]}")
        elif self._outbound is None or not self._on_answer(self._outbound, kind, data):
            raise ProtocolError(f"the hub sent a frame of unknown kind {kind!r}")
        return True

    def _on_welcome(self, index: int, lanes: list[int], epoch: int) -> None:
        self._index = index
        self._inbound.join(lanes)
        if epoch:
            self._outbound = Outbound(epoch)
        # The control lane last: subscriptions take effect in order, so a ping proves that all of them have.
        for lane in (*lanes, p.CONTROL_LANE):
            self._sub.subscribe(bytes([lane]))

    def _on_answer(self, outbound: Outbound, kind: bytes, data: bytes) -> bool:
        """What the hub says of our publishes; False when it is something else."""
        if kind == p.ACCEPTED:
            for source, source_seq in p.unpack_fields(data, 1)[0]:
                outbound.accepted(source, source_seq)
        elif kind == p.EXPECTED:
            source, expected = p.unpack_fields(data, 2)
            for frame in outbound.again(self._inbound.wave, source, expected):
                self._say(frame)
        else:
            return False
        return True

    def _on_catch_up(self, seq: int, heads: tuple[int, ...], records: bytes) -> None:
        outputs = self._serve_records(records)
        self._inbound.caught_up(seq, heads)
        if self._outbound is not None:
            self._publish(self._outbound, outputs)

    def _on_control(self, data: bytes) -> None:
        kind = data[:1]
        if kind == p.PING:
            self._say(p.pack_fields(p.READY, p.unpack_fields(data, 1)[0]))
            return
        wave, heads = p.unpack_control(data)
        served = self._inbound.control(wave, heads)
        if not served:
            self._advance()
        if self._outbound is not None:
            self._report(self._outbound)
        elif served and kind == p.SYNC:
            self._say(p.pack_wave_only(p.SYNCED, wave))

    def _advance(self) -> None:
        """Serve what is next, and fetch what is missing for more."""
        for parts in self._inbound.waves():
            records = [part.records for part in parts]
            outputs = self._serve_records(*records)
            if self._outbound is not None:
                self._publish(self._outbound, outputs)
            elif parts[0].owing >> self._index & 1:
                self._say(p.pack_done(parts[0].wave, self.runner.quiet(), outputs))
            elif outputs:
                names = ", ".join(member.component.name for member in self.runner.members)
                raise ComponentError(names, "published in answer to a type that it had declared quiet")
        if not self._fetching:
            missing = self._inbound.missing()
            if missing:
                self._fetching = True
                self._say(p.pack_fields(p.FETCH, self._inbound.seq, missing))

    def _serve_records(self, *parts: bytes) -> list[Output]:
        records = [record for part in parts for record in decode_records(part)]
        if len(parts) > 1:
            records.sort(key=_seq)
        inbound, runner, takes = self._inbound, self.runner, self.runner.takes
        for record in records:
            # After a part was served from the log, a wave may come that holds some of it again.
            if record.seq > inbound.seq:
                inbound.seq = record.seq
                if record.type_id in takes:
                    runner.handle(record.seq, record.ts, record.type_id, decode(record.type_id, record.payload))
        return runner.take_outputs()

    def _publish(self, outbound: Outbound, outputs: list[Output]) -> None:
        wave = self._inbound.wave
        if outputs:
            self._reported = wave
            self._say(outbound.publish(wave, outputs))
        elif wave - self._reported >= REPORT_EVERY:
            self._report(outbound)

    def _publish_offered(self) -> None:
        self._waker.clear()
        while self._outbound is not None and (outputs := self.inbox.take(0.0)):
            self._publish(self._outbound, outputs)

    def _report(self, outbound: Outbound) -> None:
        self._reported = self._inbound.wave
        self._say(p.pack_fields(p.PROGRESS, self._reported, list(outbound.published.items())))

    def _send_block(self, source: int) -> None:
        if source not in self._streams:
            blocks = source_blocks(self.runner, source)
            if blocks is None:
                raise ProtocolError(f"the hub asked for source {source}, which does not live here")
            self._streams[source] = blocks
            self._next[source] = next(blocks, None)
        block = self._next[source]
        self._next[source] = next(self._streams[source], None)
        total = source_total(self.runner, source)
        self._say(p.pack_block(source, self._next[source] is None, total, block or ()))


def _seq(record: Record) -> int:
    return record.seq
