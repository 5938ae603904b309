"""A process's side of the ZeroMQ transport: DEALER out, SUB in.

The endpoint hands every wave to its runner in order; what ZeroMQ has lost is fetched from the hub before anything later
is served. In the deterministic discipline it answers a wave when it owes an answer. In the live discipline it publishes
what its components emit, keeps it until the hub says that it is in the log, and says now and then how far it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import zmq

from bus import protocol as p
from bus.errors import AdmfError, ComponentError, ProtocolError
from bus.hosts import source_blocks, source_total
from bus.inbound import Inbound
from bus.outbound import Outbound
from bus.publisher import Publisher
from bus.record import Record, decode_records
from bus.runtime.runner import Output, Runner
from bus.sockets import sender
from bus.waker import Waker
from schemas import Message
from schemas.codec import decode

PUBLISH_AT = 64
"""Outputs of a wave that is still being served after which they are published, in the live discipline."""


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
    _waker: Waker = field(default_factory=Waker)
    _fetching: bool = False
    _quiet_said: list[frozenset[type[Message]]] = field(default_factory=list)
    _quiet_ids: frozenset[int] = frozenset()
    _streams: dict[int, BlockReader] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.publisher = Publisher(self._say)
        """What edges among our components publish goes here, from any thread; in the live discipline only."""
        self.publisher.inbox.wake = self._waker.wake

    def run(self) -> None:
        """Connect, join the run, initialize the components, serve.

        Raises:
            ComponentError: a component raised; the hub has been told.
            HubGone: the launcher died.
        """
        self.publisher.thread = threading.get_ident()
        context = zmq.Context()
        self._dealer, self._sub = context.socket(zmq.DEALER), context.socket(zmq.SUB)
        self._send = sender(self._dealer)
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
            self.publisher.close()
            self._sub.close(0)
            self._dealer.close(2000)
            self._waker.close()
            context.term()

    def _say(self, frame: bytes) -> None:
        self._send(frame)

    def _serve(self) -> None:
        dealer, sub = self._dealer, self._sub
        watched: list[tuple[Any, int]] = [(sub, zmq.POLLIN), (dealer, zmq.POLLIN), (self._waker.fd, zmq.POLLIN)]
        if self.parent >= 0:
            watched.append((self.parent, zmq.POLLIN))
        while True:
            ready: list[tuple[Any, int]] = zmq.zmq_poll(watched, -1)
            for which, _ in ready:
                if which is sub:
                    self._on_published(sub.recv())
                elif which is dealer:
                    # Not before the fan-out is empty: to stop is the last thing to do.
                    if ready[0][0] is dealer and not self._on_direct(dealer.recv()):
                        return
                elif which == self._waker.fd:
                    self._waker.clear()
                    self.publisher.publish_offered(self._inbound.wave)
                else:
                    raise HubGone("the launcher has ended without stopping this process")

    def _on_published(self, data: bytes) -> None:
        """Serve one frame of the fan-out."""
        if data[0] == p.CONTROL_LANE:
            self._on_control(data[1:])
            return
        frame = p.unpack_wave(data)
        if self._inbound.take(frame):
            self._answer(frame, self._serve_records(frame.records))
        else:
            self._inbound.published(frame)
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
        elif not self.publisher.on_answer(kind, data, self._inbound.wave):
            raise ProtocolError(f"the hub sent a frame of unknown kind {kind!r}")
        return True

    def _on_welcome(self, index: int, lanes: list[int], epoch: int) -> None:
        self._index = index
        self._inbound.join(lanes)
        if epoch:
            self.publisher.outbound = Outbound(epoch)
        # The control lane last: subscriptions take effect in order, so a ping proves that all of them have.
        for lane in (*lanes, p.CONTROL_LANE):
            self._sub.subscribe(bytes([lane]))
        self.publisher.publish_offered(0)

    def _on_catch_up(self, seq: int, heads: tuple[int, ...], records: bytes) -> None:
        outputs = self._serve_records(records)
        self._inbound.caught_up(seq, heads)
        if self.publisher.outbound is not None:
            self.publisher.publish(self.publisher.outbound, self._inbound.wave, outputs)

    def _on_control(self, data: bytes) -> None:
        kind = data[:1]
        if kind == p.PING:
            self._say(p.pack_fields(p.READY, p.unpack_fields(data, 1)[0]))
            return
        wave, heads = p.unpack_control(data)
        served = self._inbound.control(wave, heads)
        if not served:
            self._advance()
        if self.publisher.outbound is not None:
            self.publisher.report(self.publisher.outbound, self._inbound.wave)
        elif served and kind == p.SYNC:
            self._say(p.pack_wave_only(p.SYNCED, wave))

    def _advance(self) -> None:
        """Serve what is next, and fetch what is missing for more."""
        for parts in self._inbound.waves():
            self._answer(parts[0], self._serve_records(*(part.records for part in parts)))
        if not self._fetching:
            missing = self._inbound.missing()
            if missing:
                self._fetching = True
                self._say(p.pack_fields(p.FETCH, self._inbound.seq, missing))

    def _answer(self, frame: p.WaveFrame, outputs: list[Output]) -> None:
        """Say what came of a wave, of which this is a frame."""
        outbound = self.publisher.outbound
        if outbound is not None:
            self.publisher.publish(outbound, frame.wave, outputs)
        elif frame.owing >> self._index & 1:
            self._say(p.pack_done(frame.wave, self._quiet(), outputs))
        elif outputs:
            names = ", ".join(member.component.name for member in self.runner.members)
            raise ComponentError(names, "published in answer to a type that it had declared quiet")

    def _quiet(self) -> frozenset[int]:
        """What the runner says of it, asked again only when some component says something else than before."""
        said = [frozenset(member.component.quiet) for member in self.runner.members]
        if said != self._quiet_said:
            self._quiet_said, self._quiet_ids = said, self.runner.quiet()
        return self._quiet_ids

    def _serve_records(self, *parts: bytes) -> list[Output]:
        records = decode_records(parts[0])
        if len(parts) > 1:
            records = sorted((record for part in parts for record in decode_records(part)), key=_seq)
        inbound, runner, takes = self._inbound, self.runner, self.runner.takes
        outbound = self.publisher.outbound
        for seq, ts, _, _, _, type_id, payload in records:
            # After a part was served from the log, a wave may come that holds some of it again.
            if seq > inbound.seq:
                inbound.seq = seq
                if type_id in takes:
                    runner.handle(seq, ts, type_id, decode(type_id, payload))
                    if outbound is not None and len(runner.outputs) >= PUBLISH_AT:
                        # The hub works on these while we serve the rest of this wave, which is not served yet.
                        self.publisher.publish(outbound, max(0, inbound.wave - 1), runner.take_outputs())
        return runner.take_outputs()

    def _send_block(self, source: int) -> None:
        if source not in self._streams:
            blocks = source_blocks(self.runner, source)
            if blocks is None:
                raise ProtocolError(f"the hub asked for source {source}, which does not live here")
            self._streams[source] = BlockReader(blocks)
        last, block = self._streams[source].read()
        self._say(p.pack_block(source, last, source_total(self.runner, source), block))


class BlockReader:
    """Reads a stream one block ahead, so that it knows which is the last."""

    def __init__(self, blocks: Iterator[list[Message]]) -> None:
        self._blocks = blocks
        self._next = next(blocks, None)

    def read(self) -> tuple[bool, list[Message]]:
        """Whether it is the last block, and the block."""
        block, self._next = self._next, next(self._blocks, None)
        return self._next is None, block or []


def _seq(record: Record) -> int:
    return record.seq
