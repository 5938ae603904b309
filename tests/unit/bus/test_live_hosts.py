"""Hosts of the live bus in threads: what waits for a slow one, and where."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bus.inbox import Inbox
from bus.live_hosts import LiveHost
from bus.log import LogWriter
from bus.runtime.runner import Output
from bus.wave import Sequenced
from schemas import Message
from schemas.codec import encode
from schemas.registry import TYPE_IDS
from tests.support.builders import a_bar, a_signal
from tests.support.waiting import until

BAR, SIGNAL = TYPE_IDS[type(a_bar())], TYPE_IDS[type(a_signal())]


class Slow:
    """A host that serves nothing until it is let go, and then notes what it was handed."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.served: list[tuple[int, Message]] = []
        self.batches: list[int] = []

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        self.go.wait(20)
        self.batches.append(len(wave))
        self.served += [(item.seq, item.message) for item in wave]

    def collect(self) -> list[Output]:
        return [Output(self.served[-1][0], 2, SIGNAL, a_signal())]


class Written:
    """A log, and the records that were written to it."""

    def __init__(self, folder: Path) -> None:
        self.log = LogWriter(folder, 20_000)
        self.seq = 0

    def batch(self, *messages: Message) -> list[Sequenced]:
        batch = []
        for message in messages:
            self.seq += 1
            type_id, payload = TYPE_IDS[type(message)], encode(message)
            record = self.log.append(self.seq, self.seq, self.seq, 0, 1, type_id, payload)
            batch.append(Sequenced(self.seq, self.seq, type_id, 1, record, message, payload))
        self.log.flush()
        return batch


def a_host(log: Path | None, keep: int = 10) -> tuple[LiveHost, Slow, Inbox]:
    inbox, slow = Inbox(), Slow()
    host = LiveHost("slow", slow, lambda: frozenset({BAR}), inbox, 20.0, log=log, keep=keep)
    host.start(inbox.put)
    return host, slow, inbox


@pytest.mark.parametrize("captured", [True, False], ids=["with a log", "without"])
def test_a_slow_host_is_handed_everything_once_and_in_order(tmp_path, captured):
    written = Written(tmp_path / "log")
    host, slow, _ = a_host(tmp_path / "log" if captured else None)
    bars = [a_bar(n) for n in range(2000)]
    for n in range(0, 2000, 4):
        host.deliver(written.batch(*bars[n : n + 4], a_signal()))
    assert host.lag() == 2000
    assert not host.finish(0.0)
    slow.go.set()
    assert host.finish(20.0)
    assert [message for _, message in slow.served] == bars
    assert [seq for seq, _ in slow.served] == sorted(seq for seq, _ in slow.served)
    assert host.lag() == 0
    assert max(slow.batches) <= 256
    host.stop()


def test_what_is_beyond_the_bound_does_not_wait_in_memory(tmp_path):
    written = Written(tmp_path / "log")
    host, slow, _ = a_host(tmp_path / "log")
    for n in range(5000):
        host.deliver(written.batch(a_bar(n)))
    assert host._todo.qsize() <= 11 + 1
    slow.go.set()
    assert host.finish(20.0)
    assert len(slow.served) == 5000
    host.stop()


def test_a_host_that_has_caught_up_is_served_from_memory_again(tmp_path):
    written = Written(tmp_path / "log")
    host, slow, inbox = a_host(tmp_path / "log")
    for n in range(100):
        host.deliver(written.batch(a_bar(n)))
    slow.go.set()
    assert host.finish(20.0)
    for segment in (tmp_path / "log").iterdir():
        segment.unlink()
    host.deliver(written.batch(a_bar(100)))
    assert host.finish(20.0)
    assert [message.ts for _, message in slow.served] == [a_bar(n).ts for n in range(101)]
    until(lambda: not inbox.is_empty, 5)
    host.stop()


def test_whenever_it_falls_behind_and_catches_up_nothing_is_lost_or_repeated(tmp_path):
    written = Written(tmp_path / "log")
    host, slow, _ = a_host(tmp_path / "log", keep=3)
    for n in range(3000):
        if n % 100 < 50:
            slow.go.clear()
        else:
            slow.go.set()
        host.deliver(written.batch(a_bar(n)))
    slow.go.set()
    assert host.finish(20.0)
    assert [message.ts for _, message in slow.served] == [a_bar(n).ts for n in range(3000)]
    host.stop()
