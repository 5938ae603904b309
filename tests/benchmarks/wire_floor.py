"""The floor of the wire benchmarks: the same hops and message sizes in plain pyzmq, with a bare Python relay.

Nothing is sequenced, logged, checked or kept. Each process has one PUSH to the relay and one SUB from it, which is the
fastest pair of sockets that we measured; the relay publishes every message as it is, under its first byte.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import zmq

STOP = b"\xff"
READY = b"\xfe"
MODULE = "tests.benchmarks.wire_floor"


def relay_run(sizes: Sequence[int], count: int, window: int) -> tuple[float, float]:
    """Messages go round from process to process: those to process n have `sizes[n]` bytes.

    Returns the median round trip in microseconds, and rounds a second with `window` of them under way.
    """
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        pull, xpub = _bound(context, folder)
        arguments = [str(count), str(window), *map(str, sizes)]
        processes = [_started("ring", folder, n, *arguments) for n in range(len(sizes))]
        _await_ready(pull, xpub, len(sizes))
        xpub.send(bytes([0]) + bytes(sizes[0]))
        while (data := pull.recv())[:1] != STOP:
            xpub.send(data)
        result = data[1:].decode().split()
        _stop(xpub, processes)
    return float(result[0]), float(result[1])


def barrier_run(size: int, answers: int, count: int) -> float:
    """Barriers a second: a message of `size` bytes to so many processes, and an answer from each."""
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        pull, xpub = _bound(context, folder)
        processes = [_started("answer", folder, n) for n in range(answers)]
        _await_ready(pull, xpub, answers)
        data = bytes([_ALL]) + bytes(size)
        started = time.perf_counter()
        for _ in range(count):
            xpub.send(data)
            for _ in range(answers):
                pull.recv()
        took = time.perf_counter() - started
        _stop(xpub, processes)
    return count / took


_ALL = 0xFD


def _bound(context: zmq.Context, folder: str) -> tuple[zmq.Socket, zmq.Socket]:
    pull, xpub = context.socket(zmq.PULL), context.socket(zmq.XPUB)
    for socket, name in ((pull, "in"), (xpub, "out")):
        socket.set_hwm(0)
        socket.linger = 0
        socket.bind(f"ipc://{folder}/{name}")
    return pull, xpub


def _await_ready(pull: zmq.Socket, xpub: zmq.Socket, count: int) -> None:
    """Ping until each process has answered: then every subscription has taken effect."""
    ready: set[bytes] = set()
    while len(ready) < count:
        xpub.send(READY)
        if pull.poll(20):
            ready.add(pull.recv())
    while pull.poll(50):
        pull.recv()


def _started(role: str, folder: str, number: int, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", MODULE, role, folder, str(number), *arguments])


def _stop(xpub: zmq.Socket, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for _ in processes:
        xpub.send(STOP)
    for process in processes:
        process.wait(10)


def _connected(context: zmq.Context, folder: str, number: int) -> tuple[zmq.Socket, zmq.Socket]:
    push, sub = context.socket(zmq.PUSH), context.socket(zmq.SUB)
    for socket in (push, sub):
        socket.set_hwm(0)
    push.connect(f"ipc://{folder}/in")
    sub.connect(f"ipc://{folder}/out")
    for topic in (bytes([number]), bytes([_ALL]), READY, STOP):
        sub.subscribe(topic)
    return push, sub


def _received(sub: zmq.Socket, push: zmq.Socket, number: int) -> bytes | None:
    """The next message for us; None when it is time to stop."""
    while (data := sub.recv())[:1] == READY:
        push.send(READY + bytes([number]))
    return None if data[:1] == STOP else data


def _answer(folder: str, number: int) -> None:
    with zmq.Context() as context:
        push, sub = _connected(context, folder, number)
        while _received(sub, push, number) is not None:
            push.send(b"done")
        push.close()
        sub.close()


def _ring(folder: str, number: int, count: int, window: int, *sizes: int) -> None:
    following = (number + 1) % len(sizes)
    message = bytes([following]) + bytes(sizes[following] - 1)
    with zmq.Context() as context:
        push, sub = _connected(context, folder, number)
        if number == 0:
            assert _received(sub, push, number) is not None
            trips = []
            for _ in range(count):
                started = time.perf_counter_ns()
                push.send(message)
                sub.recv()
                trips.append(time.perf_counter_ns() - started)
            began = time.perf_counter()
            for _ in range(window):
                push.send(message)
            for _ in range(count):
                sub.recv()
                push.send(message)
            took = time.perf_counter() - began
            for _ in range(window):
                sub.recv()
            push.send(STOP + f"{sorted(trips)[count // 2] / 1000} {count / took}".encode())
        while _received(sub, push, number) is not None:
            push.send(message)
        push.close()
        sub.close()


if __name__ == "__main__":
    {"answer": _answer, "ring": _ring}[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
