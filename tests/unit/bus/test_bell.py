"""The bell ends a wait for frames, from whatever thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import zmq

from bus.bell import Bell
from tests.support.hub_wire import TOKEN, a_hub, a_spec


@pytest.fixture
def ringing() -> Iterator[tuple[Bell, zmq.Socket]]:
    with zmq.Context() as context:
        router = context.socket(zmq.ROUTER)
        router.setsockopt(zmq.RCVTIMEO, 5000)
        bell = Bell(context, router)
        yield bell, router
        bell.close()
        router.close(0)


def heard(bell: Bell, router: zmq.Socket) -> bool:
    routing_id, _ = router.recv_multipart()
    return bell.heard(routing_id)


def test_a_wait_ends_when_another_thread_rings(ringing):
    bell, router = ringing
    thread = threading.Timer(0.02, bell.ring)
    thread.start()
    assert heard(bell, router)
    thread.join()


def test_many_rings_count_as_one_until_it_is_heard(ringing):
    bell, router = ringing
    for _ in range(3):
        for _ in range(100):
            bell.ring()
        assert heard(bell, router)
        assert not router.poll(0)


def test_frames_of_others_are_not_the_bell_and_do_not_silence_it(ringing):
    bell, _ = ringing
    assert not bell.heard(b"another")
    assert not bell.heard(b"")


def test_who_rings_after_the_end_is_not_heard_and_does_no_harm(ringing):
    bell, router = ringing
    bell.close()
    bell.ring()
    assert not router.poll(20)


def test_nobody_can_have_the_bells_routing_id():
    with a_hub(a_spec()) as (hub, connect):
        context = zmq.Context()
        stranger = context.socket(zmq.DEALER)
        stranger.setsockopt(zmq.ROUTING_ID, b"bell")
        stranger.connect(hub._router.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
        stranger.send(b"not the bell")
        wire = connect()
        wire.hello(TOKEN)
        while not hub.endpoints[0].routing_id:
            hub.serve(5000)
        assert not hub.serve(50)
        assert not hub.woken
        hub.bell.ring()
        assert hub.serve(5000)
        assert hub.woken
        stranger.close(0)
        context.term()
