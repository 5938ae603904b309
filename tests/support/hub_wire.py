"""A bound hub and those who speak to it, frame by frame."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import zmq

from bus import protocol as p
from bus.hub import Hub
from bus.roster import EndpointSpec
from tests.support.waiting import until

BAR = 20
TOKEN = "the token of the one endpoint"


class Wire:
    """A DEALER of somebody who speaks to the hub as it likes."""

    def __init__(self, context: zmq.Context, router: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.connect(router)

    def say(self, *frames: bytes) -> None:
        self.socket.send_multipart(list(frames))

    def hello(self, token: object, name: object = "somebody") -> None:
        self.say(p.pack_fields(p.HELLO, name, token, 1))

    def hears(self) -> bytes:
        assert self.socket.poll(5000), "the hub sent nothing"
        return self.socket.recv()


@contextlib.contextmanager
def a_hub(*specs: EndpointSpec, timeout_s: float = 5.0) -> Iterator[tuple[Hub, Callable[[], Wire]]]:
    """A bound hub, and a way to connect to it."""
    hub = Hub(list(specs), "tcp://127.0.0.1", lambda: None, timeout_s)
    context = zmq.Context()
    wires: list[Wire] = []

    def connect() -> Wire:
        wires.append(Wire(context, router))
        return wires[-1]

    try:
        router, _ = hub.bind()
        yield hub, connect
    finally:
        for wire in wires:
            wire.socket.close(0)
        context.term()
        hub.close()


def a_spec(name: str = "strategy", source: int = 2, token: str = TOKEN, **other) -> EndpointSpec:
    fields = {"takes": frozenset({BAR}), "quiet": frozenset(), "sources": frozenset(), **other}
    return EndpointSpec(name, frozenset({source}), token=token, **fields)


def serve_until(hub: Hub, done: Callable[[], bool]) -> None:
    """Let the hub serve what comes, in whichever order the senders are heard."""
    until(lambda: not hub.serve(20) and done(), 5, "what the hub should have done")
