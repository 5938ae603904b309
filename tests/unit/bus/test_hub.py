"""Who may speak to the hub: strangers are refused and do no harm, and an endpoint that misbehaves is named."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import msgpack
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import protocol as p
from bus.endpoint import Endpoint
from bus.errors import AdmfError, ComponentError, ConfigError, ProtocolError
from bus.hub import Hub
from bus.runtime.component import Component
from bus.runtime.runner import Member, Output, Runner
from bus.runtime.settings import RunContext
from bus.wave import Sequenced
from bus.wave_hub import WaveHub
from schemas.codec import encode
from tests.support.builders import a_bar, a_signal
from tests.support.hub_wire import BAR, TOKEN, Wire, a_hub, a_spec, serve_until
from tests.support.parts import Bars, EveryNth, PlainCoordinator, Sink
from tests.support.transports import Run, run_over
from tests.support.waiting import until


def joined(hub: Hub, connect: Callable[[], Wire]) -> Wire:
    """The endpoint of `a_spec`, let in."""
    wire = connect()
    wire.hello(TOKEN)
    serve_until(hub, lambda: bool(hub.endpoints[0].routing_id))
    assert wire.hears()[:1] == p.WELCOME
    return wire


def a_wave() -> list[Sequenced]:
    return [Sequenced(1, 0, BAR, 1, b"", None, encode(a_bar()))]


@pytest.mark.parametrize("token", ["", "wrong", None, 7, TOKEN.encode(), TOKEN[:-1]], ids=repr)
def test_a_stranger_without_the_right_token_is_refused(token):
    with a_hub(a_spec()) as (hub, connect):
        stranger = connect()
        stranger.hello(token)
        hub.serve(5000)
        answer = stranger.hears()
        assert answer[:1] == p.KICK
        assert "'somebody' showed no token of this run, or one that is taken" in p.unpack_fields(answer, 1)[0]
        assert hub.endpoints[0].routing_id == b""


def test_a_token_lets_in_once():
    with a_hub(a_spec()) as (hub, connect):
        link = WaveHub(hub)
        endpoint = joined(hub, connect)
        thief = connect()
        thief.hello(TOKEN)
        hub.serve(5000)
        assert thief.hears()[:1] == p.KICK
        link.deliver(a_wave())
        thief.say(p.pack_done(1, (), [Output(1, 2, 30, a_signal())]))
        endpoint.say(p.pack_done(1, (), []))
        assert link.collect() == []


GARBAGE = [
    [b""],
    [b"", b""],
    [b"", p.pack_fields(p.HELLO, "a REQ socket", "wrong", 1)],
    [b"H"],
    [b"H\xc1"],
    [b"H" + msgpack.packb(["two", "fields"])],
    [b"H" + msgpack.packb({"a": "map"})],
    [b"H" + b"\x91" * 5000],
    [b"H\xdd\xff\xff\xff\xff"],
    [b"\x00" * 100],
    [b"x" * 100_000],
    [p.pack_fields(p.FAILED, "strategy", "so they say", "", 1)],
    [p.pack_done(1, (), [])],
    [p.STOP],
    [p.pack_fields(p.FETCH, 0, [[1, 1, 1]])],
    [p.pack_fields(p.READY, 1)],
    [b"a", b"b", b"c"],
]


@pytest.mark.parametrize("frames", GARBAGE, ids=lambda frames: repr(frames)[:40])
def test_garbage_of_a_stranger_is_not_heard(frames):
    with a_hub(a_spec()) as (hub, connect):
        link = WaveHub(hub)
        stranger = connect()
        stranger.say(*frames)
        hub.serve(5000)
        joined(hub, connect)
        assert link._pending == 0
        assert not hub.endpoints[0].ready


@given(st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=3), max_size=5))
@settings(max_examples=60, deadline=None)
def test_no_frames_of_a_stranger_do_harm(messages):
    with a_hub(a_spec()) as (hub, connect):
        stranger = connect()
        for frames in messages:
            stranger.say(*frames)
        stranger.hello("wrong")
        joined(hub, connect)
        assert not hub.endpoints[0].ready


def test_a_stranger_that_has_left_before_it_is_answered_does_no_harm():
    with a_hub(a_spec()) as (hub, connect):
        monitor = hub._router.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        stranger = connect()
        stranger.hello("wrong")
        until(lambda: hub._router.poll(10), 5, "the arrival of the stranger's frame")
        stranger.socket.close(0)
        assert monitor.poll(5000), "the stranger's connection was not closed"
        hub._router.disable_monitor()
        monitor.close()
        hub.serve(5000)
        joined(hub, connect)


def test_a_crowd_of_strangers_cannot_keep_the_hub_from_noticing_the_time():
    with a_hub(a_spec(), timeout_s=0.2) as (hub, connect):
        link = WaveHub(hub)
        joined(hub, connect)
        crowd = [connect() for _ in range(3)]
        hub.alive = lambda: [stranger.say(b"noise") for stranger in crowd]
        hub.alive()
        link.deliver(a_wave())
        with pytest.raises(ComponentError, match=r"^component 'strategy' failed: did not answer within 0\.2 s"):
            link.collect()


def test_a_run_amid_strangers_gives_the_same_records(tmp_path):
    def components() -> list[Component]:
        return [Bars("bars"), EveryNth("strategy"), Sink("sink"), PlainCoordinator("coordinator")]

    context = zmq.Context()
    run = Run(components(), tmp_path)
    strangers: list[Wire] = []

    def disturb(_: bytes) -> bool:
        if len(strangers) < 60:
            strangers.append(Wire(context, run.hub._router.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()))
            strangers[-1].say(*GARBAGE[len(strangers) % len(GARBAGE)])
            taken = [spec.token for spec in run.hub.endpoints if spec.routing_id]
            strangers[-1].hello(taken[0] if taken else "wrong")
            strangers[len(strangers) // 2].socket.close(0)
        return False

    run.hub_options["lose"] = disturb
    try:
        run.over("tcp")
    finally:
        for stranger in strangers:
            stranger.socket.close(0)
        context.term()
    assert len(strangers) == 60
    assert run.digest == run_over("local", components(), tmp_path).digest


def test_an_endpoint_that_publishes_as_another_source_is_refused_by_name():
    with a_hub(a_spec(source=2)) as (hub, connect):
        link = WaveHub(hub)
        endpoint = joined(hub, connect)
        link.deliver(a_wave())
        endpoint.say(p.pack_done(1, (), [Output(1, 3, 30, a_signal())]))
        with pytest.raises(ProtocolError, match=r"^strategy published as source 3, which it is not$"):
            link.collect()


def test_an_endpoint_that_sends_data_as_another_source_is_refused_by_name():
    with a_hub(a_spec(source=1, sources=frozenset({1}))) as (hub, connect):
        link = WaveHub(hub)
        endpoint = joined(hub, connect)
        blocks = link.blocks(1)
        endpoint.say(p.pack_block(2, True, 1, [a_bar()]))
        with pytest.raises(ProtocolError, match=r"^strategy sent data as source 2, which it is not$"):
            next(blocks)


@pytest.mark.parametrize("wave", [0, 2, 2**64 - 1])
def test_an_answer_to_another_wave_is_refused_by_name(wave):
    with a_hub(a_spec()) as (hub, connect):
        link = WaveHub(hub)
        endpoint = joined(hub, connect)
        link.deliver(a_wave())
        endpoint.say(p.pack_done(wave, (), []))
        with pytest.raises(
            ProtocolError, match=rf"^strategy answered wave {wave}; the hub is at 1 and awaits strategy$"
        ):
            link.collect()


def test_a_second_answer_to_a_wave_is_refused_by_name():
    with a_hub(a_spec(), a_spec("slow", 3, "another token")) as (hub, connect):
        link = WaveHub(hub)
        endpoint = joined(hub, connect)
        link.deliver(a_wave())
        endpoint.say(p.pack_done(1, (), []))
        endpoint.say(p.pack_done(1, (), []))
        with pytest.raises(ProtocolError, match=r"^strategy answered wave 1; the hub is at 1 and awaits slow$"):
            link.collect()


DAMAGED = {
    "an empty frame": b"",
    "an unknown kind": b"?",
    "half a DONE": p.pack_done(1, (1, 2), [])[:-1],
    "a DONE that ends within an output": p.pack_done(1, (), [Output(1, 2, 30, a_signal())])[:-1],
    "half a SYNCED": p.SYNCED + b"\0",
    "half a BLOCK": p.pack_block(2, True, 1, [a_bar()])[:-1],
    "a BLOCK of an unknown type": p.pack_block(2, True, 1, [a_bar()]).replace(b"\x14\0", b"\xff\xff", 1),
    "a FETCH of text": p.pack_fields(p.FETCH, 0, "all"),
    "a FETCH of lists of text": p.pack_fields(p.FETCH, 0, [[1, 1, "all"]]),
    "a FETCH of a number": p.pack_fields(p.FETCH, 0, 3),
    "a FETCH that is no msgpack": p.FETCH + b"\xc1",
    "a second HELLO": p.pack_fields(p.HELLO, "strategy", TOKEN, 1),
}


@pytest.mark.parametrize("frame", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_frame_of_an_endpoint_ends_the_run_and_names_it(frame):
    with a_hub(a_spec(sources=frozenset({2}))) as (hub, connect):
        link = WaveHub(hub)
        endpoint = joined(hub, connect)
        link.deliver(a_wave())
        endpoint.say(frame)
        with pytest.raises(ProtocolError, match=r"^strategy "):
            link.collect()


@pytest.fixture(scope="module")
def a_pair():
    with a_hub(a_spec(sources=frozenset({2}))) as (hub, connect):
        WaveHub(hub)
        yield hub, joined(hub, connect)


@given(
    st.one_of(st.binary(max_size=60), st.sampled_from("RDYBFX").flatmap(lambda k: st.binary().map(k.encode().__add__)))
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_an_endpoint_sends_the_hub_stays_or_says_who_it_was(a_pair, frame):
    hub, endpoint = a_pair
    endpoint.say(frame)
    with contextlib.suppress(AdmfError):
        hub.serve(5000)


def test_who_is_not_ready_in_time_is_named():
    with a_hub(a_spec(), a_spec("missing", 3, "another token")) as (hub, connect):
        wire = joined(hub, connect)
        wire.say(p.pack_fields(p.READY, 1))
        with pytest.raises(ProtocolError, match=r"^not ready within 0\.1 s: missing$"):
            hub.handshake(0.1)


def test_an_endpoint_that_is_refused_says_why():
    with a_hub(a_spec()) as (hub, _):
        router, xpub = (s.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode() for s in (hub._router, hub._xpub))
        runner = Runner([Member(2, Sink("sink"))], RunContext())
        endpoint = Endpoint("sink", "wrong", router, xpub, runner)
        helper = threading.Thread(target=hub.serve, args=(5000,))
        helper.start()
        with pytest.raises(ProtocolError, match=r"^the hub refused this process: 'sink' showed no token of this run"):
            endpoint.run()
        helper.join()


def test_more_processes_than_a_wave_can_count_are_refused():
    specs = [a_spec(f"p{n}", n, str(n)) for n in range(p.MAX_ENDPOINTS + 1)]
    with pytest.raises(ConfigError, match="65 processes in one run; at most 64 are possible"):
        Hub(specs, "tcp://127.0.0.1", lambda: None)


def is_dead() -> None:
    raise ComponentError("strategy", "its process 7 ended with exit code 1")


def test_what_a_process_said_of_its_end_goes_before_the_news_of_its_end():
    with a_hub(a_spec()) as (hub, connect):
        endpoint = joined(hub, connect)
        endpoint.say(p.pack_fields(p.FAILED, "strategy", "RuntimeError: no idea", "Traceback ...", 1))
        hub.alive = is_dead
        with pytest.raises(ComponentError, match=r"^component 'strategy' failed: RuntimeError: no idea$"):
            hub.look_alive()


def test_of_a_process_that_said_nothing_its_end_is_told():
    with a_hub(a_spec()) as (hub, connect):
        joined(hub, connect)
        hub.alive = is_dead
        with pytest.raises(ComponentError, match=r"its process 7 ended with exit code 1$"):
            hub.look_alive()
