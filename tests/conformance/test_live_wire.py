"""The live discipline over ZeroMQ: one log for all, nobody is waited for, nothing is kept for ever."""

from __future__ import annotations

import threading
import time

import pytest

from bus import protocol as p
from bus import publisher
from bus.endpoint import PUBLISH_AT
from bus.errors import ComponentError, ProtocolError
from bus.live_hub import LiveHub
from bus.runtime.component import Component, handles
from bus.runtime.runner import Output
from schemas import Bar, Signal
from schemas.registry import TYPE_IDS
from tests.support.builders import a_bar, a_signal
from tests.support.hub_wire import TOKEN, Wire, a_hub, a_spec, serve_until
from tests.support.live_wire import WireRun
from tests.support.nodes import BrokerNode, Gate, Node, RiskNode, StrategyNode
from tests.support.parts import Bars, EveryNth
from tests.support.waiting import until

BAR = TYPE_IDS[Bar]
BEATS = {"heartbeat_s": 0.02}


def chain() -> list[Component]:
    return [
        Bars("bars"),
        StrategyNode("strategy", {"takes": (0, 3), "emits": (1,), "burst": 2}),
        RiskNode("risk", {"takes": (1,), "emits": (2,), "burst": 2}),
        BrokerNode("broker", {"takes": (0, 2), "emits": (3,)}),
        Node("sink", {"takes": (0, 1, 2, 3)}),
    ]


def send_bars(run: WireRun, count: int, at_once: int = 1) -> None:
    """Bars of the source `bars`, published by its endpoint."""
    source = next(m.source_id for m in run.wiring.members if m.component.name == "bars")
    outputs = [Output(0, source, BAR, a_bar(n)) for n in range(count)]
    for first in range(0, count, at_once):
        run.endpoint("bars").publisher.offer(outputs[first : first + at_once])


def bars_in(run: WireRun) -> int:
    return sum(record.type_id == BAR for record in run.records)


def turn_until(run: WireRun, done) -> None:
    until(lambda: run.turn(0.01) < 0 or done(), 20, "what the run should come to")


@pytest.mark.parametrize("scheme", ["ipc", "tcp"])
def test_all_apply_one_log_and_say_what_they_answer(scheme, tmp_path):
    with WireRun(chain(), tmp_path, scheme).open() as run:
        send_bars(run, 100, 3)
        turn_until(run, lambda: bars_in(run) == 100)
        run.settle()
        assert run.link.lag() == 0
    run.assert_a_gap_free_prefix_everywhere()
    run.assert_published_once_in_order()
    assert {record.type_id for record in run.records} >= {BAR, TYPE_IDS[Signal]}
    takes = {runner.members[0].source_id: runner.takes for runner in run.runners}
    for record in run.records:
        if record.cause:
            assert run.records[record.cause - 1].type_id in takes[record.source]


class AnsweringGate(Gate):
    """Answers every bar, but waits first at the n-th."""

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        super().on_bar(bar)
        self.emit(a_signal())


def test_a_long_wave_is_answered_while_it_is_served(tmp_path):
    gate = AnsweringGate("gate", {"closed_at": 100})
    with WireRun([Bars("bars"), gate], tmp_path).open() as run:
        source = next(m.source_id for m in run.wiring.members if m.component.name == "bars")
        run.sequence([Output(0, source, BAR, a_bar(n)) for n in range(100)])
        turn_until(run, lambda: len(run.records) > 100)
        assert not run.link.finish(0.05), "the wave counts as served before its end"
        assert len(run.records) == 100 + PUBLISH_AT
        gate.opened.set()
        run.settle()
    assert [record.cause for record in run.records[100:]] == list(range(1, 101))
    run.assert_published_once_in_order()


def test_a_host_that_is_blocked_holds_up_nobody(tmp_path):
    gate, fast = Gate("gate"), Node("fast", {"takes": (0,)})
    with WireRun([Bars("bars"), gate, fast], tmp_path, hub_options=BEATS).open() as run:
        send_bars(run, 200)
        witness = next(runner for runner in run.runners if runner.members[0].component is fast)
        turn_until(run, lambda: len(witness.served) == 200)
        assert run.link.lag() > 150
        assert not run.link.finish(0.05)
        gate.opened.set()
        run.settle()
    run.assert_a_gap_free_prefix_everywhere()


def test_what_the_log_holds_is_not_kept_for_a_slow_host_which_gets_it_from_there(tmp_path):
    gate, options = Gate("gate"), {"keep_bytes": 4000}
    with WireRun([Bars("bars"), gate], tmp_path, captured=True, hub_options=BEATS, options=options).open() as run:
        send_bars(run, 3)
        turn_until(run, lambda: gate.seen == 3)
        run.hub.fan_out.lose = lambda frame: frame[0] != p.CONTROL_LANE
        send_bars(run, 600)
        turn_until(run, lambda: bars_in(run) == 603 and run.hub.fan_out.kept_bytes <= 4000)
        gate.opened.set()
        run.settle()
        assert run.link.caught_up > 0
    run.assert_a_gap_free_prefix_everywhere()


def test_what_all_have_served_is_forgotten_and_what_is_in_the_log_need_not_be_published_again(tmp_path):
    with WireRun(chain(), tmp_path, hub_options=BEATS).open() as run:
        send_bars(run, 300)
        turn_until(run, lambda: bars_in(run) == 300)
        run.settle()
        turn_until(run, lambda: run.hub.fan_out.kept_bytes == 0)
        turn_until(run, lambda: run.endpoint("bars").publisher.outbound.unaccepted == 0)


def test_a_source_that_is_faster_than_the_log_has_to_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "WINDOW", 50)
    with WireRun([Bars("bars"), Node("sink", {"takes": (0,)})], tmp_path, hub_options=BEATS).open() as run:
        source = run.wiring.members[0].source_id
        sent: list[int] = []

        def send() -> None:
            for n in range(400):
                run.endpoint("bars").publisher.offer([Output(0, source, BAR, a_bar(n))])
                sent.append(n)

        thread = threading.Thread(target=send)
        thread.start()
        room = run.endpoint("bars").publisher._room
        until(lambda: not room.is_set(), 5, "a full window")
        assert len(sent) < 400
        turn_until(run, lambda: bars_in(run) == 400)
        thread.join(10)
        run.settle()
    run.assert_published_once_in_order()


def test_a_component_that_raises_ends_the_run_and_is_named(tmp_path):
    with WireRun([Bars("bars"), EveryNth("strategy", {"raise_at": 5})], tmp_path).open() as run:
        send_bars(run, 20)
        with pytest.raises(
            ComponentError, match=r"^component 'strategy' failed: RuntimeError: the strategy has no idea"
        ):
            turn_until(run, lambda: False)


def test_a_wait_for_hosts_ends_when_somebody_wakes_the_hub(tmp_path):
    with WireRun([Bars("bars")], tmp_path).open() as run:
        threading.Timer(0.05, run.link.wake).start()
        began = time.monotonic()
        assert run.link.poll(60.0) == []
        assert time.monotonic() - began < 30


def a_live_endpoint(connect, hub) -> tuple[LiveHub, Wire]:
    hub.epoch = 2
    link, wire = LiveHub(hub), connect()
    wire.hello(TOKEN)
    serve_until(hub, lambda: bool(hub.endpoints[0].routing_id))
    assert p.unpack_fields(wire.hears(), 3)[2] == 2
    return link, wire


def published(source_seq: int, source: int = 2, epoch: int = 2) -> bytes:
    item = p.pack_item(source_seq, 0, source, 30, b"payload")
    return p.pack_publish(epoch, 0, [item])


def test_what_waits_behind_a_frame_is_taken_with_it(monkeypatch):
    monkeypatch.setattr("bus.hub._AT_ONCE_S", 60.0)
    with a_hub(a_spec(source=2)) as (hub, _):
        wire = Wire(hub._context, "inproc://bell")  # what is sent within a process has come at once
        with wire.socket:
            link, _ = a_live_endpoint(lambda: wire, hub)
            for number in (1, 2, 3):
                wire.say(published(number))
            assert len(link.poll(5.0)) == 3


def test_what_comes_twice_is_passed_on_once_and_acknowledged_again():
    with a_hub(a_spec(source=2)) as (hub, connect):
        link, wire = a_live_endpoint(connect, hub)
        wire.say(published(1))
        wire.say(published(1))
        wire.say(published(2))
        outputs: list[Output] = []
        until(lambda: outputs.extend(link.poll(0.05)) or len(outputs) == 2, 5, "two outputs")
        link.acknowledge()
        assert p.unpack_fields(until(lambda: wire.socket.poll(50) and wire.hears(), 5, "an answer"), 1) == [[[2, 2]]]


def test_a_gap_is_not_passed_on_but_asked_for_once():
    with a_hub(a_spec(source=2)) as (hub, connect):
        link, wire = a_live_endpoint(connect, hub)
        for number in (1, 3, 4):
            wire.say(published(number))
        outputs = link.poll(1.0)
        until(lambda: outputs.extend(link.poll(0.05)) or wire.socket.poll(0), 5, "a question")
        assert len(outputs) == 1
        assert p.unpack_fields(wire.hears(), 2) == [2, 2]
        for number in (2, 3, 4):
            wire.say(published(number))
        until(lambda: outputs.extend(link.poll(0.05)) or len(outputs) == 4, 5, "all four outputs")
        assert not [
            data for data in iter(lambda: wire.socket.poll(50) and wire.socket.recv(), 0) if data[:1] == p.EXPECTED
        ]


def test_who_speaks_for_another_epoch_is_sent_away():
    with a_hub(a_spec(source=2)) as (hub, connect):
        link, wire = a_live_endpoint(connect, hub)
        wire.say(published(1, epoch=1))
        until(lambda: link.poll(0.05) == [] and wire.socket.poll(0), 5, "an answer")
        answer = wire.hears()
        assert answer[:1] == p.KICK
        assert p.unpack_fields(answer, 1) == ["it speaks for epoch 1, the run is in epoch 2"]


def test_who_publishes_as_another_source_is_named():
    with a_hub(a_spec(source=2)) as (hub, connect):
        link, wire = a_live_endpoint(connect, hub)
        wire.say(published(1, source=3))
        with pytest.raises(ProtocolError, match=r"^strategy published as source 3, which it is not$"):
            until(lambda: link.poll(0.05), 5, "the error")


LIVE_DAMAGED = {
    "half a PUBLISH": published(1)[:-1],
    "a PUBLISH without a head": p.PUBLISH,
    "a PROGRESS of text": p.pack_fields(p.PROGRESS, 1, "all"),
    "a PROGRESS of another source": p.pack_fields(p.PROGRESS, 1, [[9, 1]]),
    "a FETCH of text": p.pack_fields(p.FETCH, 0, "all"),
    "a DONE": p.pack_done(1, (), [Output(1, 2, 30, a_signal())]),
}


@pytest.mark.parametrize("frame", LIVE_DAMAGED.values(), ids=LIVE_DAMAGED.keys())
def test_a_damaged_frame_ends_the_run_and_names_who_sent_it(frame):
    with a_hub(a_spec(source=2)) as (hub, connect):
        link, wire = a_live_endpoint(connect, hub)
        wire.say(frame)
        with pytest.raises(ProtocolError, match=r"^strategy "):
            until(lambda: link.poll(0.05), 5, "the error")
