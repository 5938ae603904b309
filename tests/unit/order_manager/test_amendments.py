import pytest

from schemas import OrderStatus, SubmitReplace
from tests.support.builders import T0, a_fill, an_order
from tests.unit.order_manager.support import Desk, a_cancel, a_limit_order, a_report, an_amendment, stocks


def terms(desk: Desk, order_id: str = "risk-1") -> tuple[float, float | None]:
    order = desk.manager.order(order_id).order
    return order.quantity, order.limit_price


def test_an_amendment_is_sent_whole_and_is_in_force_when_the_broker_confirms_it():
    desk = Desk()
    desk.publish(a_limit_order(), an_amendment(quantity=150.0))
    assert desk.said[-1] == SubmitReplace(a_limit_order(quantity=150.0), "broker", T0)
    assert terms(desk) == (100.0, 99.0)
    desk.publish(a_report("REPLACED", quantity=150.0))
    assert terms(desk) == (150.0, 99.0)
    assert desk.life()[-2:] == ["ROUTED", "ROUTED"]
    assert desk.of(OrderStatus)[-1].reason == "now quantity 150.0, limit_price 99.0"


def test_an_amendment_that_the_broker_refuses_changes_nothing():
    desk = Desk()
    desk.publish(a_limit_order(), an_amendment(quantity=150.0), a_report("REPLACE_REJECTED", reason="no"))
    assert terms(desk) == (100.0, 99.0)
    assert desk.life()[-1] == "ROUTED:REPLACE_REJECTED"


def test_amendments_under_way_build_on_each_other_and_are_answered_in_turn():
    desk = Desk()
    desk.publish(a_limit_order(), an_amendment(quantity=150.0), an_amendment(limit_price=98.0))
    assert [m.order.limit_price for m in desk.of(SubmitReplace)] == [99.0, 98.0]
    assert [m.order.quantity for m in desk.of(SubmitReplace)] == [150.0, 150.0]
    desk.publish(a_report("REPLACED"))
    assert terms(desk) == (150.0, 99.0)
    desk.publish(a_report("REPLACED"))
    assert terms(desk) == (150.0, 98.0)


def test_the_brokers_word_on_the_quantity_counts():
    desk = Desk()
    desk.publish(a_limit_order(), an_amendment(quantity=150.0, limit_price=98.0), a_report("REPLACED", quantity=140.0))
    assert terms(desk) == (140.0, 98.0)


def test_what_the_broker_takes_off_an_oco_order_is_not_an_answer_to_an_amendment():
    desk = Desk()
    desk.publish(a_limit_order(), an_amendment(limit_price=98.0), a_report("REPLACED", code="OCO", quantity=70.0))
    assert terms(desk) == (70.0, 99.0)
    assert desk.life()[-1] == "ROUTED:OCO"
    desk.publish(a_report("REPLACED"))
    assert terms(desk) == (70.0, 98.0)


def test_what_the_broker_takes_off_an_oco_order_is_off_the_amendments_that_follow_one_under_way():
    desk = Desk()
    desk.publish(a_limit_order(), an_amendment(limit_price=98.0), a_report("REPLACED", code="OCO", quantity=70.0))
    desk.publish(an_amendment(limit_price=97.0))
    assert desk.sent()[-1] == ("replace", "risk-1", 70.0)
    desk.publish(a_report("REPLACED", quantity=70.0), a_report("REPLACED", quantity=70.0))
    assert terms(desk) == (70.0, 97.0)


@pytest.mark.parametrize("quantity", [None, 0.0, -1.0, float("nan")])
def test_a_replacement_that_nobody_asked_for_needs_a_quantity(quantity):
    desk = Desk()
    desk.publish(a_limit_order(), a_report("REPLACED", quantity=quantity))
    assert terms(desk) == (100.0, 99.0)
    assert desk.life()[-1] == "ROUTED:UNEXPECTED_REPLY"


def test_a_replacement_of_a_final_order_is_refused():
    desk = Desk()
    desk.publish(a_limit_order(), a_fill(quantity=40.0), a_report("CANCELLED"), a_report("REPLACED", quantity=40.0))
    assert desk.life()[-1] == "CANCELLED:UNEXPECTED_REPLY"
    assert terms(desk) == (100.0, 99.0)


def test_an_amendment_of_a_partly_filled_order_leaves_it_partial():
    desk = Desk()
    desk.publish(a_limit_order(), a_fill(quantity=40.0), an_amendment(quantity=60.0), a_report("REPLACED"))
    assert desk.life()[-2:] == ["PARTIAL", "PARTIAL"]
    desk.publish(a_fill("f-2", quantity=20.0))
    assert desk.life()[-1] == "FILLED"


def test_an_amendment_below_what_has_filled_is_refused():
    desk = Desk()
    desk.publish(a_limit_order(), a_fill(quantity=40.0), an_amendment(quantity=30.0))
    assert desk.life()[-1] == "PARTIAL:BELOW_FILLED"
    assert not desk.of(SubmitReplace)


def test_an_amendment_to_what_has_filled_cancels_the_rest():
    desk = Desk()
    desk.publish(a_limit_order(), a_fill(quantity=40.0), an_amendment(quantity=40.0))
    assert desk.sent()[1:] == [("cancel", "risk-1", 0.0)]
    desk.publish(a_report("CANCELLED"))
    assert desk.life()[-2:] == ["PARTIAL", "CANCELLED"]


def test_an_order_that_filled_what_it_is_amended_to_meanwhile_is_filled():
    desk = Desk()
    desk.publish(a_limit_order(), an_amendment(quantity=40.0), a_fill(quantity=40.0), a_report("REPLACED"))
    assert desk.life()[-2:] == ["PARTIAL", "FILLED"]


def test_an_order_that_filled_more_than_it_is_amended_to_meanwhile_is_overfilled():
    desk = Desk()
    desk.publish(a_limit_order(), an_amendment(quantity=40.0), a_fill(quantity=50.0), a_report("REPLACED"))
    assert desk.life()[-2:] == ["PARTIAL", "FILLED:OVERFILL"]


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("NOTHING_TO_AMEND", {}),
        ("NOTHING_TO_AMEND", {"quantity": 100.0, "limit_price": 99.0}),
        ("INVALID_QUANTITY", {"quantity": 0.0}),
        ("INVALID_LIMIT_PRICE", {"limit_price": -1.0}),
        ("UNEXPECTED_STOP_PRICE", {"stop_price": 98.0}),
        ("OFF_TICK", {"limit_price": 99.001}),
        ("QUANTITY_OUT_OF_BOUNDS", {"quantity": 5000.0}),
    ],
)
def test_the_amended_order_must_be_as_valid_as_a_new_one(code, change):
    desk = Desk(run=stocks(tick_size=0.01, max_quantity=1000.0))
    desk.publish(a_limit_order(), an_amendment(**change))
    assert desk.life()[-1] == f"ROUTED:{code}"
    assert not desk.of(SubmitReplace)


def test_a_final_order_cannot_be_amended():
    desk = Desk()
    desk.publish(a_limit_order(), a_fill(), an_amendment(quantity=150.0))
    assert desk.life()[-1] == "FILLED:FINAL_ORDER"


def test_an_order_in_doubt_cannot_be_amended_but_can_be_cancelled():
    desk = Desk()
    desk.publish(a_limit_order(), a_report("UNKNOWN"), an_amendment(quantity=150.0), a_cancel())
    assert desk.life()[-1] == "UNKNOWN:ORDER_IN_DOUBT"
    assert desk.sent()[1:] == [("cancel", "risk-1", 0.0)]


def test_a_held_order_is_amended_without_any_broker():
    desk = Desk()
    desk.publish(an_order(), a_limit_order("child", parent_id="risk-1"), an_amendment("child", quantity=50.0))
    assert terms(desk, "child") == (50.0, 99.0)
    assert desk.life("child") == ["RECEIVED", "VALIDATED", "VALIDATED"]
    assert not desk.of(SubmitReplace)
