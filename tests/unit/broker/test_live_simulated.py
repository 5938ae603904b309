"""The simulated broker of live runs: orders end by the hub's clock when no data say that their time is over."""

from __future__ import annotations

import pytest

from components.broker.live_simulated import LiveSimulatedBroker
from schemas import BrokerReport, Fill, OrderType, SetTimer, SubmitCancel, SubmitOrder, TimeInForce, TimerFired
from tests.support.bench import Bench
from tests.support.builders import DAY_NS, T0, a_bar, an_order

HOUR = DAY_NS // 24
GRACE = 2 * 10**9
MINUTE = HOUR // 60


def bench(**parameters) -> Bench:
    session = {"end": "16:00"}
    return Bench(LiveSimulatedBroker("broker", {"max_volume_pct": None, "session": session, **parameters}))


def submit(bus: Bench, order_id: str = "1", ts: int = T0, **order) -> None:
    bus.publish(SubmitOrder(an_order(order_id, ts=ts, **order), "broker"), ts=ts)


def limit(order_id: str = "1", **order):
    return {"order_id": order_id, "order_type": OrderType.LIMIT, "limit_price": 50.0, **order}


def fire(bus: Bench, component: str = "broker") -> list:
    """Let the timer that was set last fire, when it is time."""
    ts = bus.of(SetTimer)[-1].ts
    return bus.publish(TimerFired(component, "due", ts), ts=ts)


def reports(bus: Bench) -> list[tuple[str, str, str]]:
    return [(r.order_id, str(r.report), r.code) for r in bus.of(BrokerReport)]


def test_an_order_that_is_good_till_cancelled_sets_no_timer():
    bus = bench()
    submit(bus, **limit())
    bus.publish(a_bar(1))
    assert bus.of(SetTimer) == []


def test_a_day_order_that_meets_no_data_ends_with_the_session_in_which_it_was_sent():
    bus = bench()
    submit(bus, ts=T0 + 15 * HOUR, **limit(time_in_force=TimeInForce.DAY))
    assert bus.of(SetTimer) == [SetTimer("due", T0 + 16 * HOUR + GRACE)]
    fire(bus)
    assert reports(bus) == [("1", "EXPIRED", "DAY")]


def test_a_day_order_that_was_sent_when_the_session_ended_belongs_to_the_next():
    bus = bench()
    submit(bus, ts=T0 + 16 * HOUR, **limit(time_in_force=TimeInForce.DAY))
    assert bus.of(SetTimer) == [SetTimer("due", T0 + 40 * HOUR + GRACE)]


def test_a_day_order_that_works_ends_at_the_end_of_its_session_though_no_data_come_any_more():
    bus = bench()
    submit(bus, ts=T0 + 10 * HOUR, **limit(time_in_force=TimeInForce.DAY))
    bus.publish(a_bar(ts=T0 + 11 * HOUR))
    assert reports(bus) == []
    fire(bus)
    assert reports(bus) == [("1", "EXPIRED", "DAY")]
    assert bus.components[0].get_order_status("1") == "EXPIRED"


def test_a_good_till_date_order_ends_at_its_time():
    bus = bench()
    submit(bus, **limit(time_in_force=TimeInForce.GTD, expire_ts=T0 + HOUR))
    assert bus.of(SetTimer) == [SetTimer("due", T0 + HOUR + GRACE)]
    fire(bus)
    assert reports(bus) == [("1", "EXPIRED", "GTD")]


def test_data_of_the_last_moments_that_come_late_still_fill():
    bus = bench(expiry_grace_s=60)
    submit(bus, ts=T0 + 15 * HOUR, time_in_force=TimeInForce.DAY)
    bus.publish(a_bar(ts=T0 + 16 * HOUR), ts=T0 + 16 * HOUR + MINUTE // 2)
    assert len(bus.of(Fill)) == 1
    fire(bus)
    assert reports(bus) == []


def test_whichever_comes_first_data_or_the_clock_decides_and_only_once():
    bus = bench()
    submit(bus, **limit(time_in_force=TimeInForce.GTD, expire_ts=T0 + HOUR))
    bus.publish(a_bar(ts=T0 + 2 * HOUR))
    assert reports(bus) == [("1", "EXPIRED", "GTD")]
    fire(bus)
    assert reports(bus) == [("1", "EXPIRED", "GTD")]


def test_only_an_earlier_time_sets_the_timer_again_and_after_it_fired_the_next_one_is_set():
    bus = bench()
    for order_id, hours in [("1", 2), ("2", 3), ("3", 1)]:
        submit(bus, **limit(order_id, time_in_force=TimeInForce.GTD, expire_ts=T0 + hours * HOUR))
    assert [(timer.ts - T0 - GRACE) // HOUR for timer in bus.of(SetTimer)] == [2, 1]
    for hours in (1, 2, 3):
        assert (bus.of(SetTimer)[-1].ts - T0 - GRACE) // HOUR == hours
        fire(bus)
    assert [order_id for order_id, _, _ in reports(bus)] == ["3", "1", "2"]


def test_a_timer_of_somebody_else_is_not_ours():
    bus = bench()
    submit(bus, **limit(time_in_force=TimeInForce.GTD, expire_ts=T0 + HOUR))
    fire(bus, component="other")
    assert reports(bus) == []


def test_a_cancel_that_takes_its_time_arrives_though_no_data_come():
    bus = bench(latency={"model": "fixed", "ms": 500}, expiry_grace_s=0)
    submit(bus, **limit())
    bus.publish(a_bar(1))
    at = T0 + DAY_NS + HOUR
    bus.publish(SubmitCancel("1", "broker", at), ts=at)
    assert reports(bus) == []
    assert bus.of(SetTimer)[-1].ts == at + 500_000_000
    fire(bus)
    assert reports(bus) == [("1", "CANCELLED", "")]


def test_an_order_on_the_close_fills_when_the_clock_says_that_the_session_is_over():
    bus = bench()
    bus.publish(a_bar(ts=T0 + 14 * HOUR), a_bar(ts=T0 + 15 * HOUR))
    order = {"order_type": OrderType.MARKET_ON_CLOSE, "time_in_force": TimeInForce.DAY}
    submit(bus, ts=T0 + 15 * HOUR, **order)
    bus.publish(a_bar(ts=T0 + 15 * HOUR + 30 * MINUTE, c=100.5))
    assert bus.of(Fill) == []
    fire(bus)
    (fill,) = bus.of(Fill)
    assert (fill.price, fill.rule) == (100.5, "market_on_close")


@pytest.mark.parametrize("grace", [0.0, 5.0])
def test_the_grace_can_be_set(grace):
    bus = bench(expiry_grace_s=grace)
    submit(bus, **limit(time_in_force=TimeInForce.GTD, expire_ts=T0 + HOUR))
    assert bus.of(SetTimer)[0].ts == T0 + HOUR + int(grace * 10**9)
