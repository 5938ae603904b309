"""Lets any thread of this process end the wait for a frame on a ROUTER."""

from __future__ import annotations

import threading
from typing import Final

import zmq

_ADDRESS: Final = "inproc://bell"
_ROUTING_ID: Final = b"bell"


class Bell:
    """Sends a frame to a ROUTER of this process, whose thread is then not kept waiting in `recv` any longer.

    So it need not poll a descriptor beside its socket, which takes three system calls more for each frame. Nobody else
    can have the bell's routing id, which is the first that the ROUTER hears of.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], router: zmq.Socket[bytes]) -> None:
        router.bind(_ADDRESS)
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.ROUTING_ID, _ROUTING_ID)
        self._socket.connect(_ADDRESS)
        self._lock = threading.Lock()
        """A socket belongs to one thread at a time."""
        self._rung = False

    def ring(self) -> None:
        """End the wait, the present or the next one. Many calls before it is `heard` count as one."""
        with self._lock:
            if not self._rung:
                self._rung = True
                self._socket.send(b"")

    def heard(self, routing_id: bytes) -> bool:
        """Whether a frame from there was the bell; what was done before the last `ring` is seen by who looks now."""
        if routing_id != _ROUTING_ID:
            return False
        self._rung = False
        return True

    def close(self) -> None:
        """Close the socket; who rings now is not heard."""
        with self._lock:
            self._rung = True
            self._socket.close(0)
