"""How an endpoint publishes in the live discipline: at once, until it is in the log, and not too much before that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from bus import protocol as p
from bus.inbox import Inbox
from bus.outbound import Outbound
from bus.runtime.runner import Output

REPORT_EVERY = 512
"""Waves after which an endpoint that publishes nothing says how far it is; bounds what the hub keeps for it."""
WINDOW = 8192
"""Outputs that may wait for their place in the log before sources are made to wait."""


@dataclass
class Publisher:
    """Publishes by `say`, which sends a frame to the hub.

    `outbound` is there once the hub has told the epoch; without one, components only answer.
    """

    say: Callable[[bytes], None]
    inbox: Inbox = field(default_factory=Inbox)
    """What comes from threads of this process that are not the endpoint's."""
    outbound: Outbound | None = None
    thread: int = 0
    """The endpoint's thread, which must not wait for itself."""
    _room: threading.Event = field(default_factory=threading.Event)
    """Set while not too much of what we publish is waiting for its place in the log."""
    _offered: int = 0
    """Outputs in the inbox."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _reported: int = 0
    """The last wave of which the hub knows that we have served it."""

    def __post_init__(self) -> None:
        self._room.set()

    def offer(self, outputs: list[Output]) -> None:
        """Publish what an edge has learned from outside; from any thread.

        Waits while more than `WINDOW` outputs are not in the log, unless it is called by a handler.
        """
        if threading.get_ident() != self.thread:
            self._room.wait()
        with self._lock:
            self._offered += len(outputs)
            self._bound()
        self.inbox.put(outputs)

    def publish(self, outbound: Outbound, wave: int, outputs: list[Output]) -> None:
        """Publish what was emitted, after `wave` has been served."""
        if outputs:
            self._reported = wave
            self.say(outbound.publish(wave, outputs))
        elif wave - self._reported >= REPORT_EVERY:
            self.report(outbound, wave)

    def publish_offered(self, wave: int) -> None:
        """Publish what has been offered."""
        while self.outbound is not None and (outputs := self.inbox.take(0.0)):
            with self._lock:  # what leaves one count is in the other: it is never missing in their sum
                self.publish(self.outbound, wave, outputs)
                self._offered -= len(outputs)
                self._bound()

    def report(self, outbound: Outbound, wave: int) -> None:
        """Say how far we are."""
        self._reported = wave
        self.say(p.pack_fields(p.PROGRESS, wave, list(outbound.published.items())))

    def on_answer(self, kind: bytes, data: bytes, wave: int) -> bool:
        """Take what the hub says of our publishes; False when it is something else."""
        outbound = self.outbound
        if outbound is None:
            return False
        if kind == p.ACCEPTED:
            with self._lock:
                for source, source_seq in p.unpack_fields(data, 1)[0]:
                    outbound.accepted(source, source_seq)
                self._bound()
        elif kind == p.EXPECTED:
            source, expected = p.unpack_fields(data, 2)
            for frame in outbound.again(wave, source, expected):
                self.say(frame)
        else:
            return False
        return True

    def _bound(self) -> None:
        """Let sources wait or go on; under the lock, so that no outdated sum lets them go on."""
        waiting = self._offered + (self.outbound.unaccepted if self.outbound is not None else 0)
        if waiting > WINDOW:
            self._room.clear()
        elif waiting <= WINDOW // 2:
            self._room.set()

    def close(self) -> None:
        """Let go who waits to publish."""
        self._room.set()
