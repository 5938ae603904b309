"""Links of the live bus to hosts in this process: each is served by a thread of its own, at its own speed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from bus.errors import ComponentError
from bus.inbox import Inbox
from bus.live_link import Receive
from bus.runtime.affinity import set_thread_affinity
from bus.runtime.runner import Output
from bus.wave import Sequenced

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
class LiveHost:
    """A `bus.live_link.LiveLink` to a host that can be waited for: a thread of the link's does the waiting.

    `takes` tells the ids of the types that the host is handed, once it has started. A batch that takes longer than
    `timeout_s` ends the run.
    """

    name: str
    host: Host
    takes: Callable[[], frozenset[int]]
    inbox: Inbox
    timeout_s: float
    affinity: tuple[int, ...] = ()
    """CPUs of the thread; none named: any."""
    _todo: queue.SimpleQueue[list[Sequenced] | None] = field(default_factory=queue.SimpleQueue)
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
        if wanted:
            self._delivered += len(wanted)
            self._todo.put(wanted)

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
        if self.affinity:
            set_thread_affinity(f"component {self.name}", self.affinity)
        while (batch := self._next()) is not None:
            self._busy_since = time.monotonic()
            try:
                self.host.deliver(batch)
                outputs = self.host.collect()
            except BaseException as error:  # also a call of `exit`, which would end this thread without a word
                self.inbox.fail(error)
                return
            self._busy_since = None
            if outputs:
                self._receive(outputs)
            with self._progress:
                self._served += len(batch)
                self._progress.notify_all()

    def _next(self) -> list[Sequenced] | None:
        """What there is to serve, up to a bound; None when the thread is to end."""
        batch = self._todo.get()
        while batch is not None and len(batch) < _AT_A_TIME:
            try:
                more = self._todo.get_nowait()
            except queue.Empty:
                return batch
            if more is None:
                self._todo.put(None)
                return batch
            batch = batch + more
        return batch
