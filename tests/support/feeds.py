"""A market data feed that does what a test says, on 127.0.0.1, and a clock for edges that costs no time."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field


class FakeTime:
    """A monotonic clock that only pauses move on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.ended_after: float | None = None

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.now += seconds
        return self.ended_after is not None and self.now - 1000.0 >= self.ended_after


@dataclass
class Server:
    """Listens on 127.0.0.1 and hands out the connections that come."""

    listener: socket.socket
    accepted: list[socket.socket] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        self.accepted.append(connection)
        return connection


@contextlib.contextmanager
def a_server() -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        server = Server(listener)
        try:
            yield server
        finally:
            for connection in server.accepted:
                connection.close()


def a_free_address() -> str:
    """One where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"tcp://127.0.0.1:{listener.getsockname()[1]}"
