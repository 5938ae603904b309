"""A process's side of the ZeroMQ transport: DEALER out, SUB in.

The endpoint hands every wave to its runner in order. Every frame says how many frames each lane has carried: one that
has not come, and cannot be on its way any more, was lost by ZeroMQ, and is fetched from the hub before anything later
is served.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import zmq

from bus import protocol as p
from bus.errors import AdmfError, ComponentError, ProtocolError
from bus.hosts import source_blocks, source_total
from bus.record import Record, decode_records
from bus.runtime.runner import Runner
from schemas import Message
from schemas.codec import decode


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
    _lane_seq: dict[int, int] = field(default_factory=dict)
    _arrived: dict[tuple[int, int], p.WaveFrame] = field(default_factory=dict)
    _known: tuple[int, ...] = ()
    """The newest heads heard of."""
    _asked: tuple[int, ...] = (0,) * p.MAX_LANES
    """The newest heads when we last fetched: what was lost up to there is on its way already."""
    _streams: dict[int, Iterator[list[Message]]] = field(default_factory=dict)
    _next: dict[int, list[Message] | None] = field(default_factory=dict)

    def run(self) -> None:
        """Connect, join the run, initialize the components, serve.

        Raises:
            ComponentError: a component raised; the hub has been told.
            HubGone: the launcher died.
        """
        context = zmq.Context()
        self._dealer, self._sub = context.socket(zmq.DEALER), context.socket(zmq.SUB)
        for socket in (self._dealer, self._sub):
            # Without limits and always drained: see the notes on ZeroMQ in docs/bus.md.
            socket.setsockopt(zmq.SNDHWM, 0)
            socket.setsockopt(zmq.RCVHWM, 0)
            socket.setsockopt(zmq.LINGER, 2000)
        try:
            self._sub.connect(self.xpub)
            self._dealer.connect(self.router)
            self._dealer.send(p.pack_fields(p.HELLO, self.name, self.token, os.getpid()))
            self.runner.initialize()
            self._serve()
        except ComponentError as error:
            self._dealer.send(p.pack_fields(p.FAILED, error.component, error.error, error.traceback, error.exit_code))
            raise
        finally:
            self._sub.close(0)
            self._dealer.close(2000)
            context.term()

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._sub, zmq.POLLIN)
        poller.register(self._dealer, zmq.POLLIN)
        if self.parent >= 0:
            poller.register(self.parent, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self.parent in ready:
                raise HubGone("the launcher has ended without stopping this process")
            if self._sub in ready:
                self._on_published(self._sub.recv())
            elif self._dealer in ready and not self._on_direct(self._dealer.recv()):
                return

    def _on_published(self, data: bytes) -> None:
        """Serve one frame of the live stream."""
        if data[0] == p.CONTROL_LANE:
            self._on_control(data[1:])
        else:
            self._on_live(p.unpack_wave(data))

    def _on_direct(self, data: bytes) -> bool:
        """Serve one frame from the ROUTER; False when it was the last."""
        kind = data[:1]
        if kind == p.STOP:
            return False
        if kind == p.READ:
            self._send_block(p.unpack_source_only(data))
        elif kind == p.AGAIN:
            self._on_live(p.unpack_wave(data[1:]))
        elif kind == p.WELCOME:
            self._index, lanes = p.unpack_fields(data, 2)
            self._lane_seq = dict.fromkeys(lanes, 0)
            # The control lane last: subscriptions take effect in order, so a ping proves that all of them have.
            for lane in (*lanes, p.CONTROL_LANE):
                self._sub.subscribe(bytes([lane]))
        elif kind == p.KICK:
            raise ProtocolError(f"the hub refused this process: {p.unpack_fields(data, 1)[0]}")
        else:
            raise ProtocolError(f"the hub sent a frame of unknown kind {kind!r}")
        return True

    def _on_control(self, data: bytes) -> None:
        kind = data[:1]
        if kind == p.PING:
            self._dealer.send(p.pack_fields(p.READY, p.unpack_fields(data, 1)[0]))
            return
        wave, heads = p.unpack_control(data)
        self._known = max(self._known, heads)
        if any(heads[lane] > seq for lane, seq in self._lane_seq.items()):
            self._fetch()
        elif kind == p.SYNC:
            self._dealer.send(p.pack_wave_only(p.SYNCED, wave))

    def _on_live(self, frame: p.WaveFrame) -> None:
        if frame.lane_seq <= self._lane_seq[frame.lane]:
            return  # served already: it was sent again, and then came after all
        self._known = max(self._known, frame.heads)
        self._arrived[frame.lane, frame.lane_seq] = frame
        while self._arrived:
            wave = min(f.wave for f in self._arrived.values())
            parts = [f for f in self._arrived.values() if f.wave == wave]
            if not self._is_next(parts):
                return
            for part in parts:
                del self._arrived[part.lane, part.lane_seq]
                self._lane_seq[part.lane] = part.lane_seq
            self._serve_wave(parts)

    def _is_next(self, parts: list[p.WaveFrame]) -> bool:
        """Whether the wave is complete and nothing before it is missing; fetches what was lost."""
        lanes, heads = parts[0].lanes, parts[0].heads
        here = {part.lane for part in parts}
        # Frames of one wave come one after another: with a later wave here, what this one lacks was lost.
        is_over = len(self._arrived) > len(parts)
        complete = True
        for lane, seq in self._lane_seq.items():
            carried = lanes >> lane & 1
            before = heads[lane] - carried > seq
            if before or (carried and lane not in here):
                complete = False
                if (before or is_over) and seq >= self._asked[lane]:
                    self._fetch()
        return complete

    def _serve_wave(self, parts: list[p.WaveFrame]) -> None:
        records = [record for part in parts for record in decode_records(part.records)]
        if len(parts) > 1:
            records.sort(key=_seq)
        runner, takes = self.runner, self.runner.takes
        for record in records:
            if record.type_id in takes:
                runner.handle(record.seq, record.ts, record.type_id, decode(record.type_id, record.payload))
        outputs = runner.take_outputs()
        if parts[0].owing >> self._index & 1:
            self._dealer.send(p.pack_done(parts[0].wave, runner.quiet(), outputs))
        elif outputs:
            names = ", ".join(member.component.name for member in runner.members)
            raise ComponentError(names, "published in answer to a type that it had declared quiet")

    def _fetch(self) -> None:
        wanted = [[lane, seq + 1] for lane, seq in self._lane_seq.items()]
        self._dealer.send(p.pack_fields(p.FETCH, wanted))
        self._asked = self._known

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
        self._dealer.send(p.pack_block(source, self._next[source] is None, total, block or ()))


def _seq(record: Record) -> int:
    return record.seq
