"""Links of the live bus to hosts in this process: each is served by a thread of its own, at its own speed.

What a slow host has not served yet waits in memory up to a bound; beyond it only the place in the log is remembered,
and the records are read from there when the host has come so far. The log is the buffer.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from bus.errors import ComponentError
from bus.inbox import Inbox
from bus.live_link import Receive
from bus.log_range import LogRange
from bus.record import Record, decode_records
from bus.runtime.affinity import set_thread_affinity
from bus.runtime.runner import Output
from bus.wave import Sequenced

KEEP: Final = 16_384
"""Records that wait in memory for a slow host."""
_AT_A_TIME: Final = 256
"""Records that are served before their outputs are passed on: few, so that the first does not wait for the last."""
_JOIN_S: Final = 1.0


class Host(Protocol):
    """What serves records and waits for it: a wave link to one host (`bus.hosts`)."""

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        """Hand records over."""

    def collect(self) -> list[Output]:
        """Wait until they are served; what was emitted."""


@dataclass
class _Span:
    """Records that wait in the log: those that the host takes after seq `after`, up to `upto`."""

    after: int
    upto: int


@dataclass
class LiveHost:
    """A `bus.live_link.LiveLink` to a host that can be waited for: a thread of the link's does the waiting.

    `takes` tells the ids of the types that the host is handed, once it has started. A batch that takes longer than
    `timeout_s` ends the run. `log` is the folder of the run's log; None when there is none, and all waits in memory.
    """

    name: str
    host: Host
    takes: Callable[[], frozenset[int]]
    inbox: Inbox
    timeout_s: float
    affinity: tuple[int, ...] = ()
    """CPUs of the thread; none named: any."""
    log: Path | None = None
    keep: int = KEEP
    _todo: queue.SimpleQueue[list[Sequenced] | _Span | None] = field(default_factory=queue.SimpleQueue)
    _span: _Span | None = None
    """The last thing in the queue, if it is one that can be made longer."""
    _delivered: int = 0
    _served: int = 0
    """Written by the thread only, after the outputs were passed on."""
    _busy_since: float | None = None
    _progress: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None

    def start(self, receive: Receive) -> None:
        """Start the thread."""
        self._receive = receive
        self._takes = self.takes()
        self._thread = threading.Thread(target=self._serve, name=self.name, daemon=True)
        self._thread.start()

    def deliver(self, batch: Sequence[Sequenced]) -> None:
        """Put what the host takes into its queue."""
        takes = self._takes
        wanted = [item for item in batch if item.type_id in takes]
        if not wanted:
            return
        with self._progress:
            self._delivered += len(wanted)
            if self.log is None or self._delivered - self._served <= self.keep:
                self._span = None
                self._todo.put(wanted)
            elif self._span is not None:
                self._span.upto = wanted[-1].seq
            else:
                self._span = _Span(wanted[0].seq - 1, wanted[-1].seq)
                self._todo.put(self._span)

    def acknowledge(self) -> None:
        """Outputs cannot get lost on this way."""

    def lag(self) -> int:
        """How many records are delivered and not served.

        Raises:
            ComponentError: the host has been at one batch for longer than `timeout_s`.
        """
        since = self._busy_since
        if since is not None and time.monotonic() - since > self.timeout_s:
            raise ComponentError(self.name, f"did not answer within {self.timeout_s:g} s; is a handler blocked?")
        return self._delivered - self._served

    def finish(self, timeout_s: float) -> bool:
        """Wait until all that was delivered is served, or the time is over."""
        with self._progress:
            return self._progress.wait_for(lambda: self._served == self._delivered, timeout_s)

    def stop(self) -> None:
        """End the thread and wait for it, though not long: one that is blocked goes with the process."""
        if self._thread is not None:
            self._todo.put(None)
            self._thread.join(min(self.timeout_s, _JOIN_S))

    def _serve(self) -> None:
        try:
            if self.affinity:
                set_thread_affinity(f"component {self.name}", self.affinity)
            for batch in self._batches():
                self._serve_batch(batch)
        except BaseException as error:  # also a call of `exit`, which would end this thread without a word
            self.inbox.fail(error)

    def _serve_batch(self, batch: list[Sequenced]) -> None:
        self._busy_since = time.monotonic()
        self.host.deliver(batch)
        outputs = self.host.collect()
        self._busy_since = None
        if outputs:
            self._receive(outputs)
        with self._progress:
            self._served += len(batch)
            self._progress.notify_all()

    def _batches(self) -> Iterator[list[Sequenced]]:
        """What there is to serve, a bounded number at a time, until the thread is to end."""
        log_range = None if self.log is None else LogRange(self.log, self._takes)
        batch: list[Sequenced] = []
        while True:
            if batch and (len(batch) >= _AT_A_TIME or self._todo.empty()):
                yield batch
                batch = []
            item = self._todo.get()
            if isinstance(item, list):
                batch = batch + item
                continue
            if batch:
                yield batch
                batch = []
            if item is None:
                return
            assert log_range is not None, "only where there is a log"
            yield from self._from_log(item, log_range)

    def _from_log(self, span: _Span, log_range: LogRange) -> Iterator[list[Sequenced]]:
        with self._progress:
            if self._span is span:
                self._span = None
        after = span.after
        while after < span.upto:
            after, data = log_range.read(after, span.upto)
            records = decode_records(data)
            for start in range(0, len(records), _AT_A_TIME):
                yield [_sequenced(record) for record in records[start : start + _AT_A_TIME]]


def _sequenced(record: Record) -> Sequenced:
    return Sequenced(record.seq, record.ts, record.type_id, record.source, b"", None, record.payload)
