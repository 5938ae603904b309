import pytest
from pydantic import ValidationError

from components.order_manager import OrderManager
from schemas import (
    BrokerReport,
    CancelOrder,
    Direction,
    Fill,
    GroupType,
    Order,
    OrderState,
    OrderStatus,
    OrderType,
    ReplaceOrder,
    SubmitCancel,
    SubmitOrder,
    SubmitReplace,
    TimeInForce,
)
from tests.support.builders import T0, a_fill, an_order
from tests.unit.order_manager.support import Desk, a_cancel, a_report, stocks


def test_it_takes_orders_and_reports_and_never_a_signal():
    manager = OrderManager("order_manager")
    assert set(manager._handler_names) == {Order, CancelOrder, ReplaceOrder, BrokerReport, Fill}
    assert set(manager.emits) == {OrderStatus, SubmitOrder, SubmitCancel, SubmitReplace}


def test_parameters_have_the_documented_defaults_and_unknown_ones_are_refused():
    assert OrderManager("order_manager").parameters.model_dump() == {
        "max_completed_orders": 10_000,
        "oto_partial": "partial",
    }
    for wrong in ({"max_completed_orders": 0}, {"oto_partial": "half"}, {"max_orders": 5}):
        with pytest.raises(ValidationError):
            OrderManager("order_manager", wrong)


def test_a_valid_order_is_received_validated_routed_and_submitted():
    desk = Desk()
    order = an_order()
    said = desk.publish(order)
    assert said == [
        order,
        OrderStatus("risk-1", "AAPL", None, OrderState.RECEIVED, 0.0, 0.0, T0),
        OrderStatus("risk-1", "AAPL", OrderState.RECEIVED, OrderState.VALIDATED, 0.0, 0.0, T0),
        OrderStatus("risk-1", "AAPL", OrderState.VALIDATED, OrderState.ROUTED, 0.0, 0.0, T0),
        SubmitOrder(order, "broker"),
    ]


def test_an_order_with_plain_texts_reaches_its_broker_with_members_of_the_enumerations():
    desk = Desk()
    limit = {"limit_price": 98.0, "expire_ts": T0 + 5, "group_id": "g"}
    words = {"direction": "BUY", "order_type": "LIMIT", "time_in_force": "GTD", "group_type": "OCO"}
    desk.publish(an_order(**limit, **words))
    [sent] = desk.of(SubmitOrder)
    assert sent.order == an_order(**limit, **words)
    members = (sent.order.direction, sent.order.order_type, sent.order.time_in_force, sent.order.group_type)
    assert [type(member) for member in members] == [Direction, OrderType, TimeInForce, GroupType]


def test_a_plain_text_that_is_no_member_is_rejected_whatever_the_other_texts_are():
    desk = Desk()
    desk.publish(an_order(direction="BUY", time_in_force="GTX"))
    assert desk.life() == ["RECEIVED", "REJECTED:INVALID_TIME_IN_FORCE"]


def test_an_order_with_a_fault_is_rejected_with_code_and_sentence_and_goes_nowhere():
    desk = Desk(run=stocks())
    desk.publish(an_order(symbol="TSLA"))
    assert desk.life() == ["RECEIVED", "REJECTED:UNKNOWN_SYMBOL"]
    assert desk.of(OrderStatus)[-1].reason == "symbol 'TSLA' is not traded in this run; known are AAPL, MSFT"
    assert desk.sent() == []


def test_the_present_time_decides_whether_an_order_has_expired():
    desk = Desk()
    desk.publish(an_order(time_in_force="GTD", expire_ts=T0 + 5), ts=T0 + 10)
    assert desk.life() == ["RECEIVED", "REJECTED:ALREADY_EXPIRED"]


def test_fills_make_an_order_partial_and_then_filled():
    desk = Desk()
    desk.publish(an_order(), a_fill("f-1", quantity=40.0, price=10.0), a_fill("f-2", quantity=60.0, price=20.0))
    assert desk.life() == ["RECEIVED", "VALIDATED", "ROUTED", "PARTIAL", "FILLED"]
    last = desk.of(OrderStatus)[-1]
    assert (last.filled_quantity, last.average_price) == (100.0, 16.0)


def test_a_cancel_is_passed_to_the_broker_whose_answer_decides():
    desk = Desk()
    desk.publish(an_order(), a_cancel(reason="changed my mind"))
    assert desk.said[-1] == SubmitCancel("risk-1", "broker", T0, "changed my mind")
    assert desk.manager.order("risk-1").state is OrderState.ROUTED
    desk.publish(a_report("CANCELLED"))
    assert desk.life()[-2:] == ["ROUTED", "CANCELLED"]


def test_a_second_order_with_the_same_id_is_refused_and_the_first_goes_on():
    desk = Desk()
    desk.publish(an_order(), an_order(quantity=7.0), a_fill())
    assert desk.life() == ["RECEIVED", "VALIDATED", "ROUTED", "ROUTED:DUPLICATE_ORDER_ID", "FILLED"]
    assert desk.sent() == [("submit", "risk-1", 100.0)]
    assert desk.manager.order("risk-1").order.quantity == 100.0


def test_an_order_id_is_not_free_again_when_its_order_is_done():
    desk = Desk()
    desk.publish(an_order(), a_fill(), an_order())
    assert desk.life()[-1] == "FILLED:DUPLICATE_ORDER_ID"


def test_an_order_id_is_free_again_when_its_order_is_forgotten():
    desk = Desk(max_completed_orders=1)
    desk.publish(an_order(), a_fill(), an_order("risk-2"), a_fill("f-2", order_id="risk-2"), an_order())
    assert desk.life() == ["RECEIVED", "VALIDATED", "ROUTED", "FILLED", "RECEIVED", "VALIDATED", "ROUTED"]


def test_an_order_without_an_id_is_refused_each_time():
    desk = Desk()
    desk.publish(an_order(""), an_order(""))
    assert desk.life("") == ["REJECTED:MISSING_ORDER_ID"] * 2
    assert not desk.manager.orders()


@pytest.mark.parametrize(
    "message", [a_cancel("ghost"), ReplaceOrder("ghost", T0), a_report("CANCELLED", "ghost"), a_fill(order_id="ghost")]
)
def test_what_is_about_an_unknown_order_is_refused_and_counted(message):
    desk = Desk()
    desk.publish(message)
    [status] = desk.of(OrderStatus)
    assert (status.order_id, status.previous, status.state) == ("ghost", OrderState.REJECTED, OrderState.REJECTED)
    assert status.code == "UNKNOWN_ORDER"
    assert "which is not known" in status.reason
    assert desk.manager.statistics()["UNKNOWN_ORDER"] == 1


def test_a_final_order_cannot_be_cancelled():
    desk = Desk()
    desk.publish(an_order(), a_fill(), a_cancel())
    assert desk.life()[-2:] == ["FILLED", "FILLED:FINAL_ORDER"]
    assert desk.sent() == [("submit", "risk-1", 100.0)]


def test_cancel_all_cancels_every_working_order_in_order_of_arrival():
    desk = Desk()
    desk.publish(an_order("b"), an_order("a", symbol="MSFT"), an_order("c"), a_fill(order_id="c"), a_cancel(""))
    assert desk.sent()[3:] == [("cancel", "b", 0.0), ("cancel", "a", 0.0)]


def test_cancel_all_of_a_symbol_leaves_the_others_alone():
    desk = Desk()
    desk.publish(an_order("b"), an_order("a", symbol="MSFT"), an_order("c"), a_cancel("", symbol="AAPL"))
    assert desk.sent()[3:] == [("cancel", "b", 0.0), ("cancel", "c", 0.0)]


def test_cancel_all_with_nothing_working_says_nothing():
    desk = Desk()
    request = a_cancel("", symbol="AAPL")
    assert desk.publish(request) == [request]


def test_the_history_is_what_was_published():
    desk = Desk()
    desk.publish(an_order(), a_fill(quantity=40.0), a_cancel(), a_report("CANCELLED", reason="as asked"))
    assert desk.manager.order("risk-1").history == desk.of(OrderStatus)


def test_refusals_are_published_but_are_not_history():
    desk = Desk()
    desk.publish(an_order(), an_order(), a_report("CANCEL_REJECTED"))
    assert len(desk.of(OrderStatus)) == 5
    assert len(desk.manager.order("risk-1").history) == 3


def test_statuses_carry_the_time_of_the_record_that_caused_them():
    desk = Desk()
    desk.publish(an_order(), ts=T0 + 7)
    assert {status.ts for status in desk.of(OrderStatus)} == {T0 + 7}


def test_orders_are_found_by_symbol_and_state():
    desk = Desk()
    desk.publish(an_order("a"), an_order("b", symbol="MSFT"), a_fill(order_id="a"))
    assert [record.order.order_id for record in desk.manager.orders(symbol="AAPL")] == ["a"]
    assert [record.order.order_id for record in desk.manager.orders(state=OrderState.ROUTED)] == ["b"]
    assert (list(desk.manager.active_orders), list(desk.manager.completed_orders)) == (["b"], ["a"])


def test_statistics_count_what_happened():
    desk = Desk(max_completed_orders=2)
    desk.publish(*(an_order(f"a-{n}") for n in range(4)), *(a_fill(f"f-{n}", order_id=f"a-{n}") for n in range(3)))
    desk.publish(a_fill("f-2", order_id="a-2"), an_order("a-3"), an_order("bad", quantity=0.0))
    counts = {name: count for name, count in desk.manager.statistics().items() if count}
    assert counts == {
        "received": 5,
        "validated": 4,
        "routed": 4,
        "filled": 3,
        "rejected": 1,
        "active": 1,
        "completed": 2,
        "dropped": 2,
        "refused": 1,
        "duplicate_fills": 1,
        "DUPLICATE_ORDER_ID": 1,
        "INVALID_QUANTITY": 1,
    }


def test_reset_leaves_nothing_behind():
    desk = Desk()
    first = desk.publish(an_order(), a_fill())
    desk.manager.reset()
    assert not desk.manager.orders()
    assert not any(desk.manager.statistics().values())
    assert desk.publish(an_order(), a_fill()) == first
