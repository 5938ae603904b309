"""The live data edge: recordings at their own pace, feeds that break and come back, all of it reported."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from bus.errors import DataError
from bus.runtime.clock import Clock
from bus.runtime.settings import RunContext, RunSettings
from components.data.live import LiveMarketDataHandler
from schemas import Bar, EdgeReport, Message, Trade
from tests.support.feeds import FakeTime, a_free_address, a_server

QUICK = {"retry": {"wait_initial_s": 0.01, "wait_max_s": 0.02}}


def rows(*days: int) -> list[str]:
    return [f"2020-01-{day:02},{symbol},10,12,9,11,{day}" for day in days for symbol in "AB"]


class Heard:
    """An initialized handler, and what it streamed and reported."""

    def __init__(self, time: FakeTime | None = None, symbols: tuple[str, ...] = (), **parameters) -> None:
        self.handler = LiveMarketDataHandler("data", parameters)
        self.reports: list[EdgeReport] = []
        self.handler.publish = self.reports.append
        self.handler.initialize(RunContext(run=RunSettings(symbols=symbols)), lambda _: None, Clock())
        if time is not None:
            self.handler.wait, self.handler.monotonic = time.wait, time.monotonic
        self.messages: list[Message] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._stream, daemon=True)

    def start(self) -> Heard:
        self.thread.start()
        return self

    def to_its_end(self) -> list[Message]:
        self.thread.join(20)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.messages

    @property
    def events(self) -> list[str]:
        return [report.event for report in self.reports]

    def _stream(self) -> None:
        try:
            for block in self.handler.blocks():
                self.messages += block
        except BaseException as error:
            self.error = error


def trade(n: int, symbol: str = "A") -> bytes:
    values = {"ts": f"2020-01-02T00:00:{n:02}", "symbol": symbol, "price": n + 1, "quantity": 1}
    return json.dumps({"type": "trade", **values}).encode() + b"\n"


def test_a_recording_keeps_the_gaps_of_its_times_divided_by_the_speed(csv_of):
    time = FakeTime()
    heard = Heard(time, path=csv_of(*rows(1, 2, 4)), speed=86_400)
    blocks = list(heard.handler.blocks())
    assert [len(block) for block in blocks] == [2, 2, 2]
    assert time.pauses == [1.0, 2.0]
    assert heard.handler.is_recording
    assert not heard.handler.follows_run


def test_a_recording_whose_data_are_taken_late_does_not_fall_further_behind(csv_of):
    time = FakeTime()
    stream = Heard(time, path=csv_of(*rows(1, 2, 3)), speed=86_400).handler.blocks()
    next(stream)
    time.now += 1.5
    next(stream)
    assert time.pauses == []
    next(stream)
    assert time.pauses == [0.5]


def test_a_pause_of_a_recording_ends_when_the_stream_is_to_end(csv_of):
    time = FakeTime()
    time.ended_after = 5000
    heard = Heard(time, path=csv_of(*rows(1, 2, 3)))
    assert len(list(heard.handler.blocks())) == 1
    assert time.pauses == [3600.0, 3600.0]


def test_at_speed_0_a_recording_follows_the_run_and_pauses_never(csv_of):
    time = FakeTime()
    heard = Heard(time, path=csv_of(*rows(1, 2, 3)), speed=0)
    assert heard.handler.follows_run
    assert sum(map(len, heard.handler.blocks())) == heard.handler.total == 6
    assert time.pauses == []


def test_a_feed_is_read_line_by_line_and_ends_when_it_says_so():
    with a_server() as server:
        heard = Heard(feed=server.address, symbols=("A",)).start()
        assert not heard.handler.is_recording
        connection = server.accept()
        connection.sendall(trade(1) + trade(2, "B") + b"bar,2020-01-02,A,10,12,9,11,5\n\n" + trade(3)[:20])
        connection.sendall(trade(3)[20:] + b"end\n")
        messages = heard.to_its_end()
    assert [type(message) for message in messages] == [Trade, Bar, Trade]
    assert [message.price for message in messages if isinstance(message, Trade)] == [2.0, 4.0]
    assert heard.events == ["CONNECTED"]


def test_lines_that_are_no_messages_are_refused_counted_and_reported_and_the_rest_is_read():
    with a_server() as server:
        heard = Heard(feed=server.address, max_line_bytes=200).start()
        server.accept().sendall(trade(1) + b"nonsense\n" + b"x" * 500 + b"\n\xff\n" + trade(2) + trade(1) + b"end\n")
        assert len(heard.to_its_end()) == 2
    refused = [report for report in heard.reports if report.event == "REFUSED"]
    assert [report.count for report in refused] == [1, 2, 3, 4]
    assert [report.reason.partition(":")[0] for report in refused] == ["line 2", "line 3", "line 4", "line 6"]
    assert "longer than 200 bytes" in refused[1].reason


def test_a_flood_of_bad_lines_is_counted_in_full_but_not_reported_line_by_line():
    with a_server() as server:
        heard = Heard(feed=server.address).start()
        server.accept().sendall(b"bad\n" * 2500 + b"end\n")
        heard.to_its_end()
    assert [report.count for report in heard.reports if report.event == "REFUSED"] == [*range(1, 101), 1000, 2000]


def test_a_broken_connection_is_made_again():
    with a_server() as server:
        heard = Heard(feed=server.address, policies=QUICK).start()
        first = server.accept()
        first.sendall(trade(1) + trade(2).rstrip())
        first.close()
        server.accept().sendall(trade(3) + b"end\n")
        assert [message.price for message in heard.to_its_end()] == [2.0, 3.0, 4.0]
    assert heard.events == ["CONNECTED", "DISCONNECTED", "CONNECTED"]


def test_a_feed_that_is_silent_for_too_long_counts_as_broken():
    with a_server() as server:
        heard = Heard(feed=server.address, idle_timeout_s=0.05, policies=QUICK).start()
        server.accept()
        server.accept().sendall(b"end\n")
        heard.to_its_end()
    (broken,) = [report for report in heard.reports if report.event == "DISCONNECTED"]
    assert broken.reason == "nothing has come for 0.05 s"


def test_a_feed_that_nobody_serves_is_tried_as_often_as_the_policy_says_with_growing_pauses():
    time = FakeTime()
    policies = {"retry": {"attempts": 4, "wait_initial_s": 1, "wait_max_s": 3}}
    heard = Heard(time, feed=a_free_address(), policies=policies).start()
    with pytest.raises(DataError, match=r"no feed is left: tcp://127\.0\.0\.1:\d+ failed"):
        heard.to_its_end()
    assert time.pauses == [1, 2, 3]
    assert heard.events == ["RETRIED"] * 3 + ["FAILED"]


def test_when_a_feed_fails_the_next_fallback_goes_on(csv_of):
    policies = {"retry": {"attempts": 1}}
    with a_server() as server:
        heard = Heard(feed=a_free_address(), policies={**policies, "fallback": [server.address]}).start()
        server.accept().sendall(trade(1) + b"end\n")
        assert len(heard.to_its_end()) == 1
    assert heard.events == ["FAILED", "FALLBACK", "CONNECTED"]
    path = csv_of(*rows(1, 2))
    recorded = Heard(feed=a_free_address(), speed=0, policies={**policies, "fallback": [a_free_address(), str(path)]})
    assert len(recorded.start().to_its_end()) == 4
    assert recorded.events == ["FAILED", "FALLBACK", "FAILED", "FALLBACK"]


def test_a_feed_that_accepts_and_says_nothing_is_given_up_like_one_that_is_not_there():
    time = FakeTime()
    with a_server() as server:
        policies = {"retry": {"attempts": 3, "wait_initial_s": 1, "wait_max_s": 10}}
        heard = Heard(time, feed=server.address, policies=policies).start()
        for _ in range(3):
            server.accept().close()
        with pytest.raises(DataError, match="no feed is left"):
            heard.to_its_end()
    assert time.pauses == [1, 2]
    assert heard.events == ["CONNECTED", "DISCONNECTED"] * 3 + ["FAILED"]
    assert heard.reports[-1].reason == "3 connections in a row brought no message"


def test_an_open_circuit_is_reported_and_nobody_is_called_while_it_is_open():
    time = FakeTime()
    time.ended_after = 30
    policies = {"retry": {"attempts": 1}, "circuit_breaker": {"failures": 2, "reset_after_s": 30}}
    policies["retry"] = {"attempts": 10, "wait_initial_s": 0.5}
    heard = Heard(time, feed=a_free_address(), policies=policies)
    over = heard.handler._ended
    heard.handler.wait = lambda seconds: time.wait(seconds) and over.set()
    heard.start().to_its_end()
    assert "CIRCUIT_OPENED" in heard.events
    assert time.pauses[-1] == 30


def test_a_feed_ends_when_it_is_told_to_wherever_it_is():
    with a_server() as server:
        connected = Heard(feed=server.address).start()
        server.accept()
        connected.handler.end()
        connected.to_its_end()
    unreachable = Heard(feed=a_free_address(), policies={"retry": {"wait_initial_s": 60, "wait_max_s": 60}}).start()
    unreachable.handler.end()
    unreachable.to_its_end()


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"feed": "127.0.0.1:1"}, "write it as tcp://"),
        ({"feed": "tcp://a:1", "path": "b.csv"}, "both path and feed are given"),
        ({"path": "b.csv", "policies": {"fallback": ["tcp://a:1"]}}, "is for a feed"),
        ({"feed": "tcp://a:1", "policies": {"fallback": ["b.csv", "tcp://a:1"]}}, "write it as tcp://"),
        ({"speed": -1}, "greater than or equal to 0"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(parameters, fault):
    with pytest.raises(ValidationError, match=fault):
        LiveMarketDataHandler("data", parameters)


def test_a_missing_file_is_found_before_the_run(tmp_path: Path):
    context = RunContext(base_dir=tmp_path, is_live=True)
    assert "no path is given" in LiveMarketDataHandler("data").faults(context)[0]
    fallback = {"feed": "tcp://127.0.0.1:1", "policies": {"fallback": ["missing.csv"]}}
    assert LiveMarketDataHandler("data", fallback).faults(context) == [
        "policies.fallback: there is no file missing.csv"
    ]
