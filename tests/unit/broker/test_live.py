"""The live broker: orders leave once, after they are in the log; what the venue says comes in; doubt is never
guessed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from bus.errors import AdmfError
from bus.log import LogWriter
from bus.log_reader import LogReader
from components.broker.live import LiveBrokerHandler
from components.broker.live_venue import Declined, InDoubt, NotSent
from schemas import (
    Bar,
    BrokerReport,
    EdgeReport,
    Fill,
    Message,
    OrderState,
    ReportType,
    RunStarted,
    SetTimer,
    SubmitCancel,
    SubmitOrder,
    SubmitReplace,
    TimeInForce,
    TimerFired,
)
from schemas.registry import TYPE_IDS
from tests.support.bench import Bench
from tests.support.builders import DAY_NS, T0, a_bar, a_fill, an_order
from tests.support.feeds import FakeTime
from tests.support.live import LiveRun, Outside
from tests.support.parts import PlainCoordinator
from tests.support.waiting import until


class FakeVenue:
    """A venue that does what a test says: `outcomes` are what its next requests raise, None for success."""

    name, is_real, blocks, says = "fake", True, False, ()

    def __init__(self, *_: object) -> None:
        self.outcomes: list[Exception | None] = []
        self.requests: list[tuple] = []

    def open(self, context, say, clock) -> None:
        self.say = say
        self._request("open")
        self.requests.clear()

    def hears(self):
        return {}

    def send(self, order) -> None:
        self._request("send", order.order_id)

    def cancel(self, order_id, reason) -> None:
        self._request("cancel", order_id)

    def replace(self, order) -> None:
        self._request("replace", order.order_id)

    def ask(self, order_id) -> None:
        self._request("ask", order_id)

    def close(self) -> None:
        self.requests.append(("close",))

    def _request(self, *what) -> None:
        self.requests.append(what)
        error = self.outcomes.pop(0) if self.outcomes else None
        if error is not None:
            raise error


FAKE = f"{__name__}.FakeVenue"


class Live(Bench):
    """A bench with a live broker, whose words from outside are `published`."""

    def __init__(self, **parameters) -> None:
        self.broker = LiveBrokerHandler("broker", parameters)
        self.published: list[Message] = []
        self.broker.publish = self.published.append
        super().__init__(self.broker)
        self.time = FakeTime()
        self.broker.calls.wait = self.time.wait
        self.publish(RunStarted("", "", "", ""), ts=T0)

    @property
    def venue(self):
        return self.broker.venue

    def submit(self, order_id: str = "1", ts: int = T0, **order) -> list[Message]:
        return self.publish(SubmitOrder(an_order(order_id, ts=ts, **order), "broker"), ts=ts)

    def events(self) -> list[str]:
        return [str(m.event) for m in self.published if isinstance(m, EdgeReport)]

    def reports(self) -> list[tuple[str, str]]:
        return [(str(report.report), report.code) for report in self.of(BrokerReport)]


@pytest.fixture(autouse=True)
def venues_of_this_file(monkeypatch):
    """The dotted path of the fake venue leads here, however this module was imported."""
    monkeypatch.setattr(
        "components.broker.live_venue._imported", lambda path: FakeVenue if path == FAKE else _none(path)
    )


def _none(path: str):
    raise ImportError(f"no {path}")


def fake(**parameters) -> Live:
    return Live(venue={"class": FAKE}, **parameters)


def test_a_venue_that_is_not_there_when_the_run_starts_is_tried_again_and_then_ends_the_run():
    def opened(*outcomes: Exception | None) -> Bench:
        broker = LiveBrokerHandler("broker", {"venue": {"class": FAKE}, "policies": {"retry": {"attempts": 2}}})
        broker.publish = lambda _: None
        bus = Bench(broker)
        broker.calls.wait = FakeTime().wait
        broker.venue.outcomes = list(outcomes)
        bus.publish(RunStarted("", "", "", ""), ts=T0)
        return bus

    opened(NotSent("refused"), None)
    with pytest.raises(AdmfError, match="the venue fake cannot be reached: refused"):
        opened(NotSent("refused"), NotSent("refused"))


def test_by_default_the_venue_is_simulated_and_the_run_says_plainly_that_no_real_orders_are_sent():
    bus = Live()
    (said,) = bus.published
    assert (said.event, said.subject, said.reason) == (
        "CONNECTED",
        "SimulatedBroker, simulated",
        "no real orders are sent",
    )


def test_a_simulated_venue_fills_from_the_runs_market_data_and_its_fills_come_from_outside():
    bus = Live(venue={"class": "SimulatedBroker", "slippage": {"model": "fixed", "price_impact": 0.01}})
    bus.publish(a_bar(0))
    bus.submit(ts=T0)
    bus.publish(a_bar(1))
    (fill,) = [m for m in bus.published if isinstance(m, Fill)]
    assert (fill.order_id, fill.broker, fill.price, fill.fill_id) == ("1", "broker", 101.0, "broker-1")
    assert bus.of(Fill) == []
    assert bus.broker.get_order_status("1") is OrderState.FILLED


def test_a_passthrough_venue_fills_at_once():
    bus = Live(venue={"class": "PassthroughBroker"})
    bus.publish(a_bar(0))
    bus.submit()
    assert any(isinstance(message, Fill) for message in bus.published)


def test_a_simulated_venue_sets_timers_by_the_live_broker():
    bus = Live()
    assert SetTimer in bus.broker.emits
    bus.submit(time_in_force=TimeInForce.GTD, expire_ts=T0 + DAY_NS)
    (timer,) = [m for m in bus.published if isinstance(m, SetTimer)]
    bus.publish(TimerFired("broker", timer.timer_id, timer.ts), ts=timer.ts)
    assert [m.report for m in bus.published if isinstance(m, BrokerReport)] == [ReportType.EXPIRED]


def test_a_real_venue_hears_nothing_of_the_market():
    assert Bar not in fake().broker.handlers()
    assert Bar in Live().broker.handlers()


def test_what_is_for_another_broker_is_left_alone():
    bus = fake()
    bus.publish(SubmitOrder(an_order(), "other"), ts=T0)
    assert bus.venue.requests == []


def test_orders_cancels_and_amendments_go_out_and_what_the_venue_says_comes_in():
    bus = fake()
    bus.submit("7")
    bus.publish(SubmitCancel("7", "broker", T0), SubmitReplace(an_order("7"), "broker", T0), ts=T0)
    assert bus.venue.requests == [("send", "7"), ("cancel", "7"), ("replace", "7")]
    bus.venue.say(a_fill(order_id="7", leaves_quantity=50.0))
    assert bus.broker.get_order_status("7") is OrderState.PARTIAL
    bus.venue.say(BrokerReport("7", "broker", ReportType.CANCELLED, T0))
    assert bus.broker.get_order_status("7") is OrderState.CANCELLED
    assert [type(m) for m in bus.published if not isinstance(m, EdgeReport)] == [Fill, BrokerReport]


def test_an_order_is_sent_at_most_once():
    bus = fake()
    bus.submit("7")
    bus.submit("7")
    assert bus.venue.requests == [("send", "7")]
    assert bus.events()[-1] == "REFUSED"


def test_what_certainly_did_not_arrive_is_sent_again_with_growing_pauses():
    bus = fake(policies={"retry": {"attempts": 4, "wait_initial_s": 0.5}})
    bus.venue.outcomes = [NotSent("refused"), NotSent("refused"), None]
    bus.submit("7")
    assert bus.venue.requests == [("send", "7")] * 3
    assert bus.time.pauses == [0.5, 1.0]
    assert bus.events()[1:] == ["RETRIED", "RETRIED"]
    assert bus.reports() == []


def test_what_never_arrives_is_rejected_and_says_so():
    bus = fake(policies={"retry": {"attempts": 2}})
    bus.venue.outcomes = [NotSent("refused")] * 2
    bus.submit("7")
    assert bus.reports() == [("REJECTED", "VENUE_UNREACHABLE")]
    assert bus.broker.get_order_status("7") is OrderState.REJECTED
    assert bus.events()[-1] == "FAILED"


def test_what_may_have_arrived_is_unknown_is_asked_for_and_never_sent_again():
    bus = fake(policies={"retry": {"attempts": 5}})
    bus.venue.outcomes = [InDoubt("no answer")]
    bus.submit("7")
    assert bus.venue.requests == [("send", "7"), ("ask", "7")]
    assert bus.reports() == [("UNKNOWN", "IN_DOUBT")]
    assert bus.broker.get_order_status("7") is OrderState.UNKNOWN


def test_when_the_venue_cannot_even_be_asked_the_order_stays_unknown_and_that_is_reported():
    bus = fake()
    bus.venue.outcomes = [InDoubt("no answer"), NotSent("gone")]
    bus.submit("7")
    assert bus.events()[-2:] == ["FAILED", "FAILED"]
    assert "stays UNKNOWN" in bus.published[-1].reason


def test_what_the_venue_declines_is_rejected_with_its_code_and_says_nothing_against_the_venue():
    bus = fake(policies={"circuit_breaker": {"failures": 1}})
    bus.venue.outcomes = [Declined("no such symbol", "103=1"), Declined("too late"), Declined("no")]
    bus.submit("7")
    bus.publish(SubmitCancel("7", "broker", T0), SubmitReplace(an_order("7"), "broker", T0), ts=T0)
    assert bus.reports() == [("REJECTED", "103=1"), ("CANCEL_REJECTED", "DECLINED"), ("REPLACE_REJECTED", "DECLINED")]
    assert "CIRCUIT_OPENED" not in bus.events()


def test_an_open_circuit_is_a_record_and_rejects_orders_without_a_call():
    bus = fake(policies={"circuit_breaker": {"failures": 2, "reset_after_s": 60}})
    bus.venue.outcomes = [NotSent("refused"), InDoubt("no answer"), None]
    for order_id in "789":
        bus.submit(order_id)
    assert bus.venue.requests == [("send", "7"), ("send", "8")]
    assert bus.reports() == [("REJECTED", "VENUE_UNREACHABLE"), ("UNKNOWN", "IN_DOUBT"), ("REJECTED", "CIRCUIT_OPEN")]
    assert bus.events().count("CIRCUIT_OPENED") == 1


def test_a_venue_that_blocks_is_called_in_a_thread_and_one_that_does_not_answer_in_time_leaves_doubt():
    bus = fake(call_timeout_s=0.05)
    stuck, threads = threading.Event(), []

    def send(order) -> None:
        threads.append(threading.current_thread().name)
        stuck.wait(20)

    bus.broker.calls.executor = ThreadPoolExecutor(1, "venue")
    bus.venue.send = send
    bus.venue.ask = lambda order_id: None
    bus.submit("7")
    assert bus.reports() == [("UNKNOWN", "IN_DOUBT")]
    stuck.set()
    bus.broker.stop()
    assert threads == ["venue_0"]


def test_stopping_ends_pauses_and_disconnects():
    bus = fake()
    bus.broker.stop()
    assert bus.venue.requests == [("close",)]
    assert bus.broker.calls._ending.is_set()


@pytest.mark.parametrize(
    ("venue", "fault"),
    [
        ({"class": "SimulatedBrokr"}, "'SimulatedBrokr' is none of SimulatedBroker, PassthroughBroker"),
        ({"class": "SimulatedBroker", "slipage": {}}, "slipage: Extra inputs"),
        ({"class": "nowhere.Venue"}, "'nowhere.Venue' is none of"),
    ],
)
def test_a_venue_that_cannot_be_made_is_a_configuration_error(venue, fault):
    with pytest.raises(ValidationError, match=fault):
        LiveBrokerHandler("broker", {"venue": venue})


class Gatekeeper(FakeVenue):
    """A venue that looks, when an order comes, what the log on disk holds."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.found: list[bool] = []

    def send(self, order) -> None:
        super().send(order)
        on_disk = [record for record in LogReader(self.folder) if record.type_id == TYPE_IDS[SubmitOrder]]
        self.found.append(len(on_disk) >= len(self.requests))


@pytest.mark.parametrize("apart", [(), ("broker",)])
def test_an_order_leaves_for_the_venue_only_after_it_is_in_the_log_on_disk(tmp_path, apart):
    broker = LiveBrokerHandler("broker", {"venue": {"class": FAKE}})
    broker.venue = Gatekeeper(tmp_path / "log")
    outside = Outside("outside", SubmitOrder)
    log = LogWriter(tmp_path / "log")
    run = LiveRun([broker, outside, PlainCoordinator("c")], apart)
    run.log = log
    with run.under_way():
        for n in range(5):
            outside.say(SubmitOrder(an_order(str(n)), "broker"))
            until(lambda n=n: run.error or len(broker.venue.found) > n, 10)
    assert run.error is None
    assert broker.venue.found == [True] * 5
