"""Timers: when they fire, in which order, and what moves or cancels them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus.timers import NEVER, TimerQueue
from schemas import MESSAGE_TYPES, CancelTimer, SetTimer, TimerFired
from tests.support.builders import DAY_NS, T0
from tests.support.parts import Alarms, Bars, PlainCoordinator
from tests.support.transports import run_over


def queue(*timers: tuple[str, int]) -> TimerQueue:
    timers_of_a = TimerQueue()
    for timer_id, ts in timers:
        timers_of_a.heed("a", SetTimer(timer_id, ts))
    return timers_of_a


def ids(timers: TimerQueue, before: int) -> list[str]:
    return [fired.timer_id for fired in timers.due(before)]


def test_a_timer_fires_once_and_only_for_times_before_the_one_that_has_come():
    timers = queue(("x", 5))
    assert ids(timers, 5) == []
    assert list(timers.due(6)) == [TimerFired("a", "x", 5)]
    assert ids(timers, 100) == []
    assert timers.next_ts == NEVER


def test_timers_of_one_time_fire_in_the_order_in_which_they_were_set():
    assert ids(queue(("z", 5), ("a", 5), ("early", 4), ("z", 5)), 6) == ["early", "a", "z"]


def test_setting_a_timer_again_moves_it_and_cancelling_forgets_it():
    timers = queue(("x", 5), ("y", 6), ("x", 7))
    assert timers.next_ts == 6
    timers.heed("a", CancelTimer("y"))
    timers.heed("a", CancelTimer("never set"))
    assert ids(timers, 100) == ["x"]


def test_two_components_may_use_the_same_id():
    timers = queue(("x", 5))
    timers.heed("b", SetTimer("x", 5))
    timers.heed("a", CancelTimer("x"))
    assert list(timers.due(6)) == [TimerFired("b", "x", 5)]


def test_a_timer_that_is_set_or_cancelled_while_others_fire_is_heeded():
    timers = queue(("x", 5), ("y", 6))
    fired = []
    for timer in timers.due(10):
        fired.append(timer.timer_id)
        if timer.timer_id == "x":
            timers.heed("a", SetTimer("at once", 1))
            timers.heed("a", CancelTimer("y"))
    assert fired == ["x", "at once"]


requests = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.none() | st.integers(0, 9)))


@given(requests=requests, before=st.integers(0, 10))
def test_whatever_is_asked_what_is_left_fires_by_time_then_by_when_it_was_set(requests, before):
    timers, left = TimerQueue(), {}
    for component, timer_id, ts in requests:
        left.pop((component, timer_id), None)
        if ts is None:
            timers.heed(component, CancelTimer(timer_id))
        else:
            left[component, timer_id] = ts
            timers.heed(component, SetTimer(timer_id, ts))
    expected = [TimerFired(*key, ts) for key, ts in sorted(left.items(), key=lambda item: item[1]) if ts < before]
    assert list(timers.due(before)) == expected


def named(record) -> str:
    return MESSAGE_TYPES[record.type_id].__name__


def test_in_a_run_a_timer_comes_before_the_first_bar_that_is_later_and_what_it_brings_about_too(tmp_path):
    parameters = {"every": 100, "delays_ns": (DAY_NS // 2,)}
    run = run_over("local", [Bars("b", {"count": 3}), Alarms("a", parameters), PlainCoordinator("c")], tmp_path)
    told = [record for record in run.records if named(record) in ("Bar", "TimerFired", "Signal")]
    assert [named(record) for record in told] == ["Bar", "TimerFired", "Signal"] * 2 + ["Bar"]
    half_days = [(record.ts - T0) * 2 // DAY_NS for record in told]
    assert half_days == [0, 1, 1, 2, 3, 3, 4]
    assert told[1].source == 0
    assert told[2].cause == told[1].seq


def test_a_timer_for_a_time_that_has_passed_fires_late_and_never_back_in_time(tmp_path):
    parameters = {"every": 100, "delays_ns": (-DAY_NS,)}
    run = run_over("local", [Bars("b", {"count": 2}), Alarms("a", parameters), PlainCoordinator("c")], tmp_path)
    (fired,) = [record for record in run.records if named(record) == "TimerFired"]
    assert fired.ts == T0
    assert [record.ts for record in run.records] == sorted(record.ts for record in run.records)
