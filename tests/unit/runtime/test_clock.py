"""The hub's clocks: the time of day, and that of a recording."""

from __future__ import annotations

import math
import time

from bus.runtime.clock import RecordingClock, WallClock
from tests.support.builders import T0

SECOND = 10**9


class Seconds:
    """A monotonic clock that stands where a test puts it."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def test_the_time_of_day_is_that_of_the_system_and_data_do_not_change_it():
    clock = WallClock()
    before = time.time_ns()
    clock.follow(T0)
    assert before <= clock.now_ns() <= time.time_ns()
    assert clock.seconds_until(T0) < 0
    assert 0 < clock.seconds_until(clock.now_ns() + 60 * SECOND) <= 60


def test_in_a_recording_that_follows_the_run_only_data_say_what_time_it_is():
    clock = RecordingClock(0, Seconds())
    assert clock.now_ns() == 0
    assert clock.seconds_until(T0) == math.inf
    clock.follow(T0)
    assert clock.now_ns() == T0
    assert clock.seconds_until(T0) == 0
    assert clock.seconds_until(T0 + 1) == math.inf
    clock.follow(T0 - 5)
    assert clock.now_ns() == T0


def test_between_data_a_recordings_time_goes_on_as_fast_as_it_is_played():
    seconds = Seconds()
    clock = RecordingClock(60, seconds)
    clock.follow(T0)
    seconds.now += 2
    assert clock.now_ns() == T0 + 120 * SECOND
    assert clock.seconds_until(T0 + 180 * SECOND) == 1.0
    clock.follow(T0 + 100 * SECOND)
    assert clock.now_ns() == T0 + 120 * SECOND, "it does not go back to data that come late"
    clock.follow(T0 + 600 * SECOND)
    assert clock.now_ns() == T0 + 600 * SECOND
