"""Links to hosts in this process: the main thread, a thread of their own, or a pool."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from bus.errors import ComponentError
from bus.runtime.component import Source
from bus.runtime.means import POLL_S, result_of, silent, submit
from bus.runtime.runner import Output, Runner, stream_of
from bus.wave import Sequenced
from schemas import Message

_JOIN_S = 1.0


def source_blocks(runner: Runner, source: int) -> Iterator[list[Message]] | None:
    """The stream of a source that the runner serves, or None when it serves no such source."""
    for member in runner.members:
        if member.source_id == source and isinstance(member.component, Source):
            return stream_of(member.component)
    return None


def source_total(runner: Runner, source: int) -> int:
    """How many messages the stream of a source will have, 0 when that is not known or it is not here."""
    for member in runner.members:
        if member.source_id == source and isinstance(member.component, Source):
            return member.component.total
    return 0


def serve(runner: Runner, wave: Sequence[Sequenced]) -> list[Output]:
    """Hand a wave to a runner and take what its components emitted."""
    for item in wave:
        if item.type_id in runner.takes:
            runner.handle(item.seq, item.ts, item.type_id, item.message)
    return runner.take_outputs()


@dataclass
class HostLink:
    """What the links to hosts in this process share."""

    runner: Runner

    def finish(self) -> None:
        """Nothing is left to wait for: every wave was collected."""

    def blocks(self, source: int) -> Iterator[list[Message]] | None:
        """The stream of a source that lives here, or None."""
        return source_blocks(self.runner, source)

    def total(self, source: int) -> int:
        """How many messages that stream will have, 0 when that is not known."""
        return source_total(self.runner, source)


@dataclass
class MainThreadLink(HostLink):
    """Components in the thread that drives the bus."""

    _wave: Sequence[Sequenced] = ()

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        """Keep the wave; it is served in `collect`, while other hosts work on theirs."""
        self._wave = wave

    def collect(self) -> list[Output]:
        """Serve the wave."""
        wave, self._wave = self._wave, ()
        return serve(self.runner, wave)


@dataclass
class LanesLink(HostLink):
    """Components whose messages others serve, on a pool or on loops of their own; here they are only put in line.

    Not a `PoolLink`: a worker that waits for others of its pool would wait for ever where all of them do.
    """

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        """Put the wave in line, and let the others begin."""
        for item in wave:
            if item.type_id in self.runner.takes:
                self.runner.handle(item.seq, item.ts, item.type_id, item.message)
        self.runner.begin_lanes()

    def collect(self) -> list[Output]:
        """Wait until all of it is served.

        Raises:
            ComponentError: a component raised, or did not answer in time.
        """
        return self.runner.take_outputs()


@dataclass
class PoolLink(HostLink):
    """Components with an inbox of their own, served on a thread pool, one wave at a time."""

    pool: Executor
    timeout_s: float
    check: Callable[[], None] = lambda: None
    """Called while the bus waits for the pool; raises to give up."""
    _future: Future[list[Output]] | None = None

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        """Hand the wave to the pool, unless nobody here takes any of it."""
        if any(item.type_id in self.runner.takes for item in wave):
            self._future = submit(self.pool, self.runner.names, serve, self.runner, wave)

    def collect(self) -> list[Output]:
        """Wait until the wave is served.

        Raises:
            ComponentError: a component raised, or did not answer within `timeout_s`.
        """
        future, self._future = self._future, None
        if future is None:
            return []
        outputs: list[Output] = result_of(future, self.runner.names, self.timeout_s, self.check)
        return outputs


@dataclass
class ThreadLink(HostLink):
    """Components in a thread of their own, with one queue in and one out."""

    timeout_s: float
    check: Callable[[], None]
    """Called while the bus waits for the thread; raises to give up."""
    _inbox: queue.SimpleQueue[Sequence[Sequenced] | None] = field(default_factory=queue.SimpleQueue)
    _outbox: queue.SimpleQueue[list[Output] | BaseException] = field(default_factory=queue.SimpleQueue)
    _owes: bool = False
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. Its components must be initialized."""
        self._thread = threading.Thread(target=self._serve, name=self.runner.names, daemon=True)
        self._thread.start()

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        """Put the wave in the inbox, unless nobody here takes any of it."""
        if any(item.type_id in self.runner.takes for item in wave):
            self._inbox.put(wave)
            self._owes = True

    def collect(self) -> list[Output]:
        """Wait until the wave is served.

        Raises:
            ComponentError: a component raised, or did not answer within `timeout_s`.
        """
        if not self._owes:
            return []
        self._owes = False
        answer = self._answer()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def stop(self) -> None:
        """End the thread and wait for it, though not long: one that is blocked goes with the process."""
        if self._thread is not None:
            self._inbox.put(None)
            self._thread.join(min(self.timeout_s, _JOIN_S))

    def _answer(self) -> list[Output] | BaseException:
        deadline = time.monotonic() + self.timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                return self._outbox.get(timeout=POLL_S)
            self.check()
            if self._thread is not None and not self._thread.is_alive() and self._outbox.empty():
                raise ComponentError(self.runner.names, "its thread has ended by itself")
        raise silent(self.runner.names, self.timeout_s)

    def _serve(self) -> None:
        while (wave := self._inbox.get()) is not None:
            try:
                self._outbox.put(serve(self.runner, wave))
            except BaseException as error:  # also a call of `exit`, which would end this thread without a word
                self._outbox.put(error)
