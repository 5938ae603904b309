"""What we do with ZeroMQ's sockets beside their plain use."""

from __future__ import annotations

from collections.abc import Callable

import zmq


def sender(socket: zmq.Socket[bytes]) -> Callable[[bytes], object]:
    """The socket's `send` of one frame, without the function in Python that pyzmq has around it for draft sockets."""
    send: Callable[[bytes], object] = super(zmq.Socket, socket).send
    return send
