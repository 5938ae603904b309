import math

import pytest

from schemas import Direction, OrderState, OrderStatus, ReportType
from tests.support.builders import a_fill, an_order
from tests.unit.order_manager.support import Desk, a_bracket, a_report


def last(desk: Desk) -> OrderStatus:
    return desk.of(OrderStatus)[-1]


def test_a_fill_that_is_repeated_is_ignored_and_counted():
    desk = Desk()
    desk.publish(an_order(), a_fill("f-1", quantity=40.0))
    assert desk.publish(a_fill("f-1", quantity=40.0)) == [a_fill("f-1", quantity=40.0)]
    assert desk.manager.order("risk-1").filled_quantity == 40.0
    assert desk.manager.statistics()["duplicate_fills"] == 1


def test_a_fill_is_recognised_again_after_the_order_is_done():
    desk = Desk()
    desk.publish(an_order(), a_fill("f-1"), a_fill("f-1"))
    assert desk.life() == ["RECEIVED", "VALIDATED", "ROUTED", "FILLED"]


def test_a_fill_beyond_the_ordered_quantity_is_booked_and_reported():
    desk = Desk()
    desk.publish(an_order(), a_fill("f-1", quantity=60.0), a_fill("f-2", quantity=60.0))
    assert desk.life()[-2:] == ["PARTIAL", "FILLED:OVERFILL"]
    assert last(desk).filled_quantity == 120.0
    assert last(desk).reason == "fill f-2 makes 120.0 filled of 100.0 ordered"


def test_a_fill_of_a_filled_order_is_booked_and_reported_and_the_state_stands():
    desk = Desk()
    desk.publish(an_order(), a_fill("f-1"), a_fill("f-2", quantity=5.0))
    assert desk.life()[-2:] == ["FILLED", "FILLED:OVERFILL"]
    assert last(desk).filled_quantity == 105.0
    assert desk.manager.statistics()["OVERFILL"] == 1


@pytest.mark.parametrize("end", ["CANCELLED", "EXPIRED"])
def test_a_fill_that_overtook_the_end_of_its_order_counts_and_the_order_stays_ended(end):
    desk = Desk()
    desk.publish(an_order(), a_report(end), a_fill(quantity=40.0))
    assert desk.life()[-2:] == [end, f"{end}:LATE_FILL"]
    assert desk.manager.order("risk-1").filled_quantity == 40.0


@pytest.mark.parametrize("end", ["CANCELLED", "EXPIRED"])
def test_a_late_fill_of_all_that_was_ordered_makes_the_order_filled(end):
    desk = Desk()
    desk.publish(an_order(), a_fill("f-1", quantity=40.0), a_report(end), a_fill("f-2", quantity=60.0))
    assert desk.life()[-2:] == [end, "FILLED:LATE_FILL"]
    assert list(desk.manager.completed_orders) == ["risk-1"]


def test_a_fill_of_a_rejected_order_is_booked_and_reported_as_illegal():
    desk = Desk()
    desk.publish(an_order(), a_report("REJECTED"), a_fill(quantity=40.0))
    assert desk.life()[-1] == "REJECTED:ILLEGAL_TRANSITION"
    assert last(desk).filled_quantity == 40.0


def test_a_fill_of_an_order_that_is_only_held_is_booked_and_reported_as_illegal():
    desk = Desk()
    desk.publish(an_order(), an_order("child", parent_id="risk-1"), a_fill(order_id="child", quantity=1.0))
    assert desk.life("child") == ["RECEIVED", "VALIDATED", "VALIDATED:ILLEGAL_TRANSITION"]
    assert last(desk).filled_quantity == 1.0


@pytest.mark.parametrize(
    "fault",
    [{"symbol": "MSFT"}, {"direction": Direction.SELL}, {"quantity": 0.0}, {"quantity": math.nan}, {"price": math.inf}],
)
def test_a_fill_that_cannot_be_one_of_its_order_is_reported_and_not_booked(fault):
    desk = Desk()
    desk.publish(an_order(), a_fill("f-1", **fault))
    assert desk.life()[-1] == "ROUTED:WRONG_FILL"
    assert desk.manager.order("risk-1").filled_quantity == 0.0
    desk.publish(a_fill("f-1"))
    assert desk.life()[-1] == "FILLED"


@pytest.mark.parametrize(
    ("kind", "state"),
    [("CANCELLED", "CANCELLED"), ("EXPIRED", "EXPIRED"), ("REJECTED", "REJECTED"), ("UNKNOWN", "UNKNOWN")],
)
def test_a_report_of_a_new_state_is_followed_with_its_code_and_reason(kind, state):
    desk = Desk()
    desk.publish(an_order(), a_report(kind, code="VENUE-7", reason="the venue says so"))
    assert (last(desk).previous, last(desk).state) == (OrderState.ROUTED, state)
    assert (last(desk).code, last(desk).reason) == ("VENUE-7", "the venue says so")


@pytest.mark.parametrize("kind", ["ACCEPTED", "TRIGGERED"])
@pytest.mark.parametrize("filled", [[], [a_fill(quantity=40.0)]])
def test_a_report_that_an_order_works_as_it_did_is_not_repeated(kind, filled):
    desk = Desk()
    desk.publish(an_order(), *filled)
    assert len(desk.publish(a_report(kind))) == 1
    assert not desk.codes()


def test_doubt_ends_when_the_venue_confirms_the_order():
    desk = Desk()
    desk.publish(an_order(), a_report("UNKNOWN"), a_report("ACCEPTED"))
    assert desk.life()[-2:] == ["UNKNOWN", "ROUTED"]


def test_doubt_about_a_partly_filled_order_ends_where_it_was():
    desk = Desk()
    desk.publish(an_order(), a_fill(quantity=40.0), a_report("UNKNOWN"), a_report("UNKNOWN"), a_report("ACCEPTED"))
    assert desk.life()[-4:] == ["PARTIAL", "UNKNOWN", "UNKNOWN", "PARTIAL"]


def test_doubt_ends_with_a_fill():
    desk = Desk()
    desk.publish(an_order(), a_report("UNKNOWN"), a_fill())
    assert desk.life()[-2:] == ["UNKNOWN", "FILLED"]


def test_an_order_in_doubt_can_be_cancelled():
    desk = Desk()
    desk.publish(an_order(), a_report("UNKNOWN"), a_report("CANCEL_REJECTED"), a_report("CANCELLED"))
    assert desk.life()[-3:] == ["UNKNOWN", "UNKNOWN:CANCEL_REJECTED", "CANCELLED"]


@pytest.mark.parametrize("kind", ["CANCELLED", "EXPIRED", "REJECTED", "UNKNOWN", "ACCEPTED", "TRIGGERED"])
@pytest.mark.parametrize("end", ["FILL", "CANCELLED", "EXPIRED", "REJECTED"])
def test_a_report_that_the_life_cycle_does_not_allow_is_refused_reported_and_counted(kind, end):
    desk = Desk()
    desk.publish(an_order(), a_fill() if end == "FILL" else a_report(end))
    before = desk.manager.order("risk-1").state
    desk.publish(a_report(kind))
    assert (last(desk).previous, last(desk).state, last(desk).code) == (before, before, "ILLEGAL_TRANSITION")
    assert desk.manager.statistics()["ILLEGAL_TRANSITION"] == 1


@pytest.mark.parametrize("kind", ReportType)
def test_a_report_on_an_order_that_no_broker_was_sent_is_refused(kind):
    desk = Desk()
    desk.publish(an_order(), an_order("child", parent_id="risk-1"), a_report(kind, "child", quantity=40.0))
    assert desk.life("child") == ["RECEIVED", "VALIDATED", "VALIDATED:UNEXPECTED_REPLY"]
    assert desk.manager.order("child").order.quantity == 100.0


def test_a_broker_cannot_reject_what_it_has_begun_to_fill():
    desk = Desk()
    desk.publish(an_order(), a_fill(quantity=40.0), a_report("REJECTED", reason="too late"))
    assert desk.life()[-1] == "PARTIAL:ILLEGAL_TRANSITION"
    assert last(desk).reason.endswith("CANCELLED, EXPIRED, IN_DOUBT. too late")


def test_a_refused_cancel_is_passed_on_with_the_brokers_own_code():
    desk = Desk()
    desk.publish(an_order(), a_report("CANCEL_REJECTED", code="TOO_LATE", reason="already filled"))
    assert (last(desk).previous, last(desk).state) == (OrderState.ROUTED, OrderState.ROUTED)
    assert (last(desk).code, last(desk).reason) == ("TOO_LATE", "already filled")


def test_fills_of_binary_fractions_complete_their_order():
    desk = Desk()
    desk.publish(an_order(quantity=0.3), a_fill("f-1", quantity=0.1), a_fill("f-2", quantity=0.2))
    assert desk.life()[-2:] == ["PARTIAL", "FILLED"]


def test_an_acceptance_does_not_complete_a_cancelled_order_that_was_filled_while_it_was_held():
    desk = Desk()
    desk.publish(*a_bracket(10.0))
    desk.publish(a_fill("f-1", order_id="target", direction=Direction.SELL, quantity=10.0))
    desk.publish(a_report(ReportType.CANCELLED, "entry"))
    assert desk.manager.order("target").state is OrderState.CANCELLED
    desk.publish(a_report(ReportType.ACCEPTED, "target"))
    assert desk.manager.order("target").state is OrderState.CANCELLED
