"""A TCP line feed: connects, reads lines with a bound, connects again as the policy says. I/O, for the live edge
only."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from bus.runtime.policies import CircuitOpen, Policy, RetrySettings
from components.data.live_lines import EndOfFeed, LineReader, Refused
from schemas import EdgeEvent, Message

REFUSALS_TOLD: Final = 100
"""So many refused lines are reported one by one; of those after, every thousandth."""
_POLL_S: Final = 0.2
_CHUNK: Final = 65_536

Report = Callable[[EdgeEvent, str, str, int], None]
"""Told what happened, to what, why, and how often so far."""


class Address(NamedTuple):
    """Where a feed is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    @classmethod
    def of(cls, text: str) -> Address:
        """The address in `tcp://HOST:PORT`. Raises ValueError for anything else."""
        scheme, _, place = text.partition("://")
        host, _, port = place.rpartition(":")
        if scheme != "tcp" or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError(f"{text!r} is not an address; write it as tcp://127.0.0.1:9000")
        return cls(host.strip("[]"), int(port))


@dataclass(frozen=True)
class Limits:
    """How long to wait for a connection, and for something to come (None: however long); how long a line may be."""

    connect_timeout_s: float
    idle_timeout_s: float | None
    max_line_bytes: int


class LineBuffer:
    """Bytes as they come to lines without their ends. None stands for a line that is too long, which is thrown away."""

    def __init__(self, max_line_bytes: int) -> None:
        self._max = max_line_bytes
        self._rest = b""
        self._skipping = False

    def add(self, data: bytes) -> list[bytes | None]:
        """The lines that these bytes complete, and None as soon as a line is too long."""
        *ended, self._rest = (self._rest + data).split(b"\n")
        lines: list[bytes | None] = []
        for line in ended:
            if not self._skipping:
                lines.append(None if len(line) > self._max else line)
            self._skipping = False
        if len(self._rest) > self._max and not self._skipping:
            lines.append(None)
            self._skipping = True
        if self._skipping:
            self._rest = b""
        return lines

    def last(self) -> list[bytes | None]:
        """What stands after the last line's end, when nothing more will come."""
        return [self._rest] if self._rest else []


@dataclass
class Feed:
    """One feed. `wait` pauses, and ends a pause when the stream is to end; `is_over` says whether it is."""

    address: Address
    limits: Limits
    reader: LineReader
    report: Report
    wait: Callable[[float], object]
    monotonic: Callable[[], float]
    is_over: Callable[[], bool]
    _refused: int = 0

    def blocks(self, policy: Policy, retry: RetrySettings, reset_after_s: float) -> Iterator[list[Message]]:
        """What it sends, connected again after a pause when a connection has ended; `reset_after_s` is the breaker's.

        A connection that has brought no message is an attempt that failed: somebody who accepts and says nothing is
        no feed.

        Raises:
            OSError: it cannot be connected, or brings nothing, and the policy gives up.
        """
        barren = 0
        while not self.is_over():
            heard = False
            try:
                connection = policy.call(socket.create_connection, self.address, self.limits.connect_timeout_s)
            except CircuitOpen:
                self.wait(reset_after_s)
                continue
            self._say(EdgeEvent.CONNECTED, "")
            try:
                with connection:
                    for block in self._messages(connection):
                        heard = True
                        yield block
            except EndOfFeed:
                return
            except OSError as error:
                self._say(EdgeEvent.DISCONNECTED, str(error))
            else:
                self._say(EdgeEvent.DISCONNECTED, "" if self.is_over() else "the other side has closed the connection")
            barren = 0 if heard else barren + 1
            if retry.attempts is not None and barren >= retry.attempts:
                raise ConnectionError(f"{barren} connections in a row brought no message")
            self.wait(min(retry.wait_max_s, retry.wait_initial_s * 2.0 ** min(max(barren - 1, 0), 60)))

    def _messages(self, connection: socket.socket) -> Iterator[list[Message]]:
        number = 0
        for lines in self._lines(connection):
            block: list[Message] = []
            try:
                for line in lines:
                    number += 1
                    message = self._read(number, line)
                    if message is not None:
                        block.append(message)
            finally:
                if block:
                    yield block

    def _lines(self, connection: socket.socket) -> Iterator[list[bytes | None]]:
        buffer, idle_s = LineBuffer(self.limits.max_line_bytes), self.limits.idle_timeout_s
        connection.settimeout(_POLL_S)
        since = self.monotonic()
        while not self.is_over():
            try:
                data = connection.recv(_CHUNK)
            except TimeoutError:
                if idle_s is not None and self.monotonic() - since > idle_s:
                    raise TimeoutError(f"nothing has come for {idle_s:g} s") from None
                continue
            if not data:
                yield buffer.last()
                return
            since = self.monotonic()
            yield buffer.add(data)

    def _read(self, number: int, line: bytes | None) -> Message | None:
        try:
            if line is None:
                raise Refused(f"longer than {self.limits.max_line_bytes} bytes")
            return self.reader.read(line)
        except Refused as error:
            self._refused += 1
            if self._refused <= REFUSALS_TOLD or self._refused % 1000 == 0:
                self.report(EdgeEvent.REFUSED, str(self.address), f"line {number}: {error}", self._refused)
            return None

    def _say(self, event: EdgeEvent, reason: str) -> None:
        self.report(event, str(self.address), reason, 1)
