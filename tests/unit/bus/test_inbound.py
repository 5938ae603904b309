"""An endpoint's view of the fan-out: whatever is lost, waves come out whole, once and in order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.inbound import Inbound
from bus.protocol import WaveFrame

LANES = 4
OURS = (1, 3)


def frames_of(waves: list[set[int]]) -> list[WaveFrame]:
    """The frames of waves that are given as the lanes that each is on."""
    heads, frames = [0] * (LANES + 1), []
    for number, lanes in enumerate(waves, 1):
        for lane in lanes:
            heads[lane] += 1
        mask = sum(1 << lane for lane in lanes)
        frames += [WaveFrame(lane, number, mask, 0, tuple(heads), b"") for lane in sorted(lanes)]
    return frames


def joined(*lanes: int) -> Inbound:
    inbound = Inbound()
    inbound.join(lanes)
    return inbound


def served(inbound: Inbound, frame: WaveFrame) -> list[int]:
    """The waves that are served when a frame comes, as the endpoint does it."""
    if inbound.take(frame):
        return [frame.wave]
    inbound.published(frame)
    return [parts[0].wave for parts in inbound.waves()]


waves_of_lanes = st.lists(st.sets(st.integers(1, LANES), min_size=1), max_size=30)


@given(waves_of_lanes, st.data())
@settings(deadline=None)
def test_what_is_lost_is_named_exactly_and_all_waves_come_out_once_in_order(waves, data):
    frames = [frame for frame in frames_of(waves) if frame.lane in OURS]
    by_number = {(frame.lane, frame.lane_seq): frame for frame in frames}
    inbound, out = joined(*OURS), []
    for frame in frames:
        if data.draw(st.booleans()):
            out += served(inbound, frame)
            for lane, first, last in inbound.missing():
                for number in range(first, last + 1):
                    inbound.again(by_number[lane, number])
            out += [parts[0].wave for parts in inbound.waves()]
    heads = frames_of(waves)[-1].heads if waves else (0,) * (LANES + 1)
    while not inbound.control(len(waves), heads):
        for lane, first, last in inbound.missing():
            for number in range(first, last + 1):
                inbound.again(by_number[lane, number])
        out += [parts[0].wave for parts in inbound.waves()]
    assert out == [n for n, lanes in enumerate(waves, 1) if lanes & set(OURS)]
    assert inbound.wave == len(waves)
    assert inbound.missing() == []


@given(waves_of_lanes)
@settings(deadline=None)
def test_without_loss_nothing_is_missed_and_nothing_fetched(waves):
    inbound, out = joined(*OURS), []
    for frame in frames_of(waves):
        if frame.lane in OURS:
            out += served(inbound, frame)
            assert inbound.missing() == []
    assert out == [n for n, lanes in enumerate(waves, 1) if lanes & set(OURS)]


def test_a_frame_that_comes_twice_is_served_once():
    (frame,) = frames_of([{1}])
    inbound = joined(1)
    assert served(inbound, frame) == [1]
    inbound.again(frame)
    assert list(inbound.waves()) == []


def test_only_what_is_missing_is_asked_for():
    frames = frames_of([{1}] * 6)
    inbound = joined(1)
    for n in (0, 3, 5):
        served(inbound, frames[n])
    assert inbound.missing() == [(1, 2, 3)]


@pytest.mark.parametrize("heads", [(), (0, 3, 0, 0, 0)])
def test_after_catching_up_from_the_log_frames_go_on_where_it_ended(heads):
    frames = frames_of([{1}] * 5)
    inbound = joined(1)
    served(inbound, frames[4])
    inbound.caught_up(3, heads)
    assert inbound.seq == 3
    assert inbound.missing() == [(1, 4, 4) if heads else (1, 1, 4)]
