import pytest

from bus.runtime.settings import Instrument, RunSettings
from schemas import Direction, GroupType, OrderState, OrderStatus, OrderType, SubmitCancel, SubmitOrder
from tests.support.builders import T0, a_fill, an_order
from tests.unit.order_manager.support import Desk, a_bracket, a_cancel, a_limit_order, a_report, an_amendment

SOLD = {"direction": Direction.SELL}


def fill(order_id: str, quantity: float, n: int = 1, **other):
    side = Direction.BUY if order_id == "entry" else Direction.SELL
    return a_fill(f"{order_id}-{n}", order_id=order_id, quantity=quantity, direction=side, **other)


def bracket_desk(*messages, **parameters) -> Desk:
    desk = Desk(**parameters)
    desk.publish(*a_bracket(), *messages)
    return desk


def test_children_are_held_until_their_parent_fills():
    desk = bracket_desk()
    assert desk.sent() == [("submit", "entry", 100.0)]
    assert desk.life("target") == ["RECEIVED", "VALIDATED"]
    desk.publish(fill("entry", 100.0))
    assert desk.sent()[1:] == [("submit", "target", 100.0), ("submit", "stop", 100.0)]
    assert desk.life("stop") == ["RECEIVED", "VALIDATED", "ROUTED"]


def test_the_parents_status_is_said_before_its_children_move():
    desk = bracket_desk()
    said = desk.publish(fill("entry", 100.0))
    assert [s.order_id for s in desk.of(OrderStatus, said)] == ["entry", "target", "stop"]


def test_children_are_sized_to_what_has_filled_and_raised_as_more_fills():
    desk = bracket_desk(fill("entry", 30.0))
    assert desk.sent()[1:] == [("submit", "target", 30.0), ("submit", "stop", 30.0)]
    desk.publish(fill("entry", 20.0, 2))
    assert desk.sent()[3:] == [("replace", "target", 50.0), ("replace", "stop", 50.0)]
    desk.publish(a_report("REPLACED", "target", quantity=50.0), fill("entry", 50.0, 3))
    assert desk.sent()[5:] == [("replace", "target", 100.0), ("replace", "stop", 100.0)]
    assert desk.manager.order("target").order.quantity == 50.0


def test_with_full_sizing_children_wait_until_the_parent_is_filled():
    desk = bracket_desk(fill("entry", 30.0), oto_partial="full")
    assert desk.sent() == [("submit", "entry", 100.0)]
    desk.publish(fill("entry", 70.0, 2))
    assert desk.sent()[1:] == [("submit", "target", 100.0), ("submit", "stop", 100.0)]


def test_with_full_sizing_children_of_a_cancelled_parent_cover_what_filled():
    desk = bracket_desk(fill("entry", 30.0), a_report("CANCELLED", "entry"), oto_partial="full")
    assert desk.sent()[1:] == [("submit", "target", 30.0), ("submit", "stop", 30.0)]


@pytest.mark.parametrize("end", ["CANCELLED", "EXPIRED", "REJECTED"])
def test_children_of_a_parent_that_died_without_a_fill_are_cancelled(end):
    desk = bracket_desk(a_report(end, "entry"))
    for child in ("target", "stop"):
        assert desk.life(child) == ["RECEIVED", "VALIDATED", "CANCELLED:PARENT_DEAD"]
    assert desk.of(OrderStatus)[-1].reason == f"its parent entry is {end} and filled nothing"


def test_children_of_a_parent_that_was_refused_are_cancelled_when_they_come():
    desk = Desk()
    _, *children = a_bracket()
    desk.publish(an_order("entry", quantity=-1.0), *children)
    assert desk.life("target") == ["RECEIVED", "VALIDATED", "CANCELLED:PARENT_DEAD"]


def test_children_of_a_parent_that_was_refused_but_filled_all_the_same_cover_what_filled():
    desk = Desk()
    _, target, _ = a_bracket()
    desk.publish(an_order("entry", quantity=0.0), fill("entry", 40.0), target)
    assert desk.sent() == [("submit", "target", 40.0)]


def test_children_that_come_after_their_parent_filled_work_at_once():
    desk = Desk()
    entry, target, _ = a_bracket()
    desk.publish(entry, fill("entry", 40.0), target)
    assert desk.sent()[1:] == [("submit", "target", 40.0)]


def test_a_child_that_comes_after_its_sibling_filled_is_cancelled():
    desk = Desk()
    entry, target, stop = a_bracket()
    desk.publish(entry, fill("entry", 100.0), target, fill("target", 100.0), stop)
    assert desk.life("stop") == ["RECEIVED", "VALIDATED", "CANCELLED:OCO"]


def test_a_child_of_an_unknown_parent_is_rejected():
    desk = Desk()
    desk.publish(an_order(parent_id="ghost"))
    assert desk.life() == ["RECEIVED", "REJECTED:UNKNOWN_PARENT"]


@pytest.mark.parametrize("wrong", [{"direction": Direction.BUY}, {"symbol": "MSFT"}])
def test_the_children_of_a_bracket_trade_against_their_parent(wrong):
    desk = Desk()
    group = {"group_id": "g", "group_type": GroupType.BRACKET}
    desk.publish(an_order("entry", **group), an_order("exit", parent_id="entry", **{**SOLD, **group, **wrong}))
    assert desk.life("exit") == ["RECEIVED", "REJECTED:INVALID_GROUP"]


def test_cancelling_the_parent_cancels_the_whole_bracket():
    desk = bracket_desk(a_cancel("entry"))
    assert desk.sent()[1:] == [("cancel", "entry", 0.0)]
    assert desk.life("target")[-1] == "VALIDATED"
    desk.publish(a_report("CANCELLED", "entry"))
    assert desk.life("target")[-1] == desk.life("stop")[-1] == "CANCELLED:PARENT_DEAD"


def test_a_cancel_that_crosses_the_fill_of_its_parent_leaves_the_exits_at_work():
    desk = bracket_desk(fill("entry", 100.0), a_cancel("entry", reason="out"))
    assert not desk.of(SubmitCancel)
    assert desk.codes() == ["FINAL_ORDER"]


def test_cancelling_a_parent_that_is_forgotten_still_cancels_its_children():
    desk = bracket_desk(fill("entry", 100.0), an_order("x"), a_fill(order_id="x"), max_completed_orders=1)
    assert desk.manager.order("entry") is None
    desk.publish(a_cancel("entry"))
    assert desk.sent()[-2:] == [("cancel", "target", 0.0), ("cancel", "stop", 0.0)]


def test_cancelling_the_rest_of_a_partly_filled_parent_leaves_its_exits_at_work():
    desk = bracket_desk(fill("entry", 30.0), a_cancel("entry"), a_report("CANCELLED", "entry"))
    assert desk.sent()[3:] == [("cancel", "entry", 0.0)]
    assert desk.life("target")[-1] == desk.life("stop")[-1] == "ROUTED"


def test_a_held_child_can_be_cancelled_by_itself():
    desk = bracket_desk(a_cancel("target"))
    assert desk.life("target") == ["RECEIVED", "VALIDATED", "CANCELLED"]
    assert desk.sent() == [("submit", "entry", 100.0)]


def test_cancel_all_cancels_held_orders_at_once_and_asks_brokers_for_the_others():
    desk = bracket_desk(a_cancel(""))
    assert desk.sent()[1:] == [("cancel", "entry", 0.0)]
    assert desk.life("target")[-1] == desk.life("stop")[-1] == "CANCELLED"


def test_when_an_exit_is_complete_the_rest_of_the_entry_is_cancelled():
    desk = bracket_desk(fill("entry", 30.0), fill("target", 10.0))
    assert desk.sent()[3:] == []
    desk.publish(fill("target", 20.0, 2))
    assert desk.sent()[3:] == [("cancel", "entry", 0.0)]


def test_a_fill_of_the_entry_after_its_exit_was_complete_is_reported_as_not_covered():
    desk = bracket_desk(fill("entry", 30.0), fill("target", 30.0), a_report("CANCELLED", "stop", code="OCO"))
    desk.publish(fill("entry", 5.0, 2))
    assert desk.life("target")[-1] == "FILLED:NOT_RAISED"


def test_an_exit_that_was_complete_before_its_raise_arrived_is_reported_as_not_covering_the_difference():
    desk = bracket_desk(fill("entry", 30.0), fill("entry", 70.0, 2))
    said = desk.publish(fill("target", 30.0), a_report("REPLACE_REJECTED", "target", code="FINAL_ORDER"))
    assert [s.code for s in desk.of(OrderStatus, said)] == ["", "NOT_RAISED", "FINAL_ORDER"]
    assert not desk.of(SubmitCancel, said)


def test_exits_are_raised_by_what_is_still_held_not_by_what_was_ever_bought():
    desk = bracket_desk(fill("entry", 30.0), fill("target", 10.0))
    desk.publish(a_report("REPLACED", "stop", code="OCO", quantity=20.0), fill("entry", 20.0, 2))
    assert desk.sent()[3:] == [("replace", "target", 50.0), ("replace", "stop", 40.0)]


def test_a_raise_that_is_under_way_is_lowered_again_when_the_other_exit_fills():
    desk = bracket_desk(fill("entry", 30.0), fill("entry", 20.0, 2), fill("target", 10.0))
    assert desk.sent()[3:] == [("replace", "target", 50.0), ("replace", "stop", 50.0), ("replace", "stop", 40.0)]


def test_a_price_amended_while_a_raise_is_under_way_keeps_the_raise():
    desk = bracket_desk(fill("entry", 30.0), fill("entry", 20.0, 2), an_amendment("target", limit_price=111.0))
    assert desk.sent()[-1] == ("replace", "target", 50.0)


def test_a_child_whose_quantity_was_amended_does_not_follow_its_parent_any_more():
    desk = bracket_desk(fill("entry", 30.0), an_amendment("target", quantity=20.0), fill("entry", 70.0, 2))
    assert desk.sent()[3:] == [("replace", "target", 20.0), ("replace", "stop", 100.0)]


def test_a_held_child_whose_quantity_was_amended_follows_in_the_new_proportion():
    desk = bracket_desk(an_amendment("target", quantity=50.0), fill("entry", 30.0))
    assert desk.sent()[1:] == [("submit", "target", 15.0), ("submit", "stop", 30.0)]


def test_an_overfilled_entry_raises_its_exits_to_what_is_really_held():
    desk = bracket_desk(fill("entry", 60.0), fill("entry", 60.0, 2))
    assert desk.sent()[3:] == [("replace", "target", 120.0), ("replace", "stop", 120.0)]


def test_children_smaller_than_their_parent_get_their_share_in_whole_lots():
    desk = Desk(run=RunSettings(instruments=(Instrument(symbol="AAPL", lot_size=1.0, min_quantity=5.0),)))
    half = a_limit_order("half", quantity=50.0, parent_id="entry", group_type=GroupType.OTO, **SOLD)
    desk.publish(an_order("entry"), half, fill("entry", 8.0))
    assert desk.life("half")[-1] == "VALIDATED"  # four are fewer than the instrument's smallest order
    desk.publish(fill("entry", 25.0, 2))
    assert desk.sent()[1:] == [("submit", "half", 16.0)]
    desk.publish(fill("entry", 67.0, 3))
    assert desk.sent()[2:] == [("replace", "half", 50.0)]


def test_a_child_whose_share_never_makes_an_order_is_cancelled_with_its_parent():
    desk = Desk(run=RunSettings(instruments=(Instrument(symbol="AAPL", min_quantity=5.0),)))
    child = a_limit_order("child", parent_id="entry", **SOLD)
    desk.publish(an_order("entry"), child, fill("entry", 3.0), a_report("CANCELLED", "entry"))
    assert desk.life("child")[-1] == "CANCELLED:CHILD_TOO_SMALL"


def test_an_exit_that_only_reduces_protects_a_position_below_the_smallest_order():
    desk = Desk(run=RunSettings(instruments=(Instrument(symbol="AAPL", min_quantity=5.0),)))
    child = a_limit_order("child", parent_id="entry", reduce_only=True, **SOLD)
    desk.publish(an_order("entry"), child, fill("entry", 3.0))
    assert desk.sent()[1:] == [("submit", "child", 3.0)]


def test_a_child_that_expired_before_its_parent_filled_never_works():
    desk = Desk()
    child = a_limit_order("child", parent_id="entry", time_in_force="GTD", expire_ts=T0 + 5)
    desk.publish(an_order("entry"), child)
    desk.publish(fill("entry", 100.0), ts=T0 + 5)
    assert desk.life("child") == ["RECEIVED", "VALIDATED", "EXPIRED:CHILD_EXPIRED"]


def test_the_end_of_a_held_order_reaches_the_whole_chain_of_its_children():
    desk = Desk()
    chain = [an_order(f"a-{n}", parent_id=f"a-{n - 1}" if n else "") for n in range(2_000)]
    desk.publish(*chain, a_report("CANCELLED", "a-0"))
    assert not desk.manager.active_orders
    assert desk.life("a-1999")[-1] == "CANCELLED:PARENT_DEAD"


def test_oco_orders_go_to_the_broker_which_cancels_one_for_the_other():
    desk = Desk()
    group = {"group_id": "g", "group_type": GroupType.OCO}
    desk.publish(a_limit_order("a", **group), a_limit_order("b", **group), a_fill(order_id="a"))
    assert desk.sent() == [("submit", "a", 100.0), ("submit", "b", 100.0)]
    desk.publish(a_report("CANCELLED", "b", code="OCO"))
    assert desk.life("b")[-1] == "CANCELLED:OCO"


def test_an_oco_order_that_comes_after_its_sibling_filled_is_cancelled():
    desk = Desk()
    group = {"group_id": "g", "group_type": GroupType.OCO}
    desk.publish(a_limit_order("a", **group), a_fill(order_id="a", quantity=1.0), a_limit_order("b", **group))
    assert desk.life("b") == ["RECEIVED", "VALIDATED", "CANCELLED:OCO"]


def test_an_oco_order_that_is_held_is_cancelled_when_its_sibling_fills():
    desk = Desk()
    group = {"group_id": "g", "group_type": GroupType.OCO}
    desk.publish(an_order("entry"), a_limit_order("a", **group), a_limit_order("b", parent_id="entry", **group))
    desk.publish(a_fill(order_id="a"))
    assert desk.life("b")[-1] == "CANCELLED:OCO"
    assert desk.life("entry")[-1] == "ROUTED"


def test_an_oco_order_at_another_broker_is_cancelled_there():
    desk = Desk(brokers={"one": ("AAPL",), "two": ("MSFT",)})
    group = {"group_id": "g", "group_type": GroupType.OCO}
    desk.publish(a_limit_order("a", **group), a_limit_order("b", symbol="MSFT", **group), a_fill(order_id="a"))
    assert desk.said[-1] == SubmitCancel("b", "two", T0, "a, which excludes it, has filled")


def test_children_of_one_parent_that_are_no_bracket_all_work():
    desk = Desk()
    each = {"group_id": "g", "group_type": GroupType.OTO, "parent_id": "entry", "quantity": 50.0}
    desk.publish(an_order("entry"), a_limit_order("a", **each), an_order("b", order_type=OrderType.MARKET, **each))
    desk.publish(fill("entry", 100.0), a_fill(order_id="a", quantity=50.0))
    assert desk.sent()[1:] == [("submit", "a", 50.0), ("submit", "b", 50.0)]
    assert desk.manager.order("b").state is OrderState.ROUTED


def test_a_child_that_was_filled_while_it_was_held_is_not_sent_any_more():
    desk = Desk()
    desk.publish(*a_bracket(10.0))
    desk.publish(a_fill("f-1", order_id="target", direction=Direction.SELL, quantity=4.0))
    desk.publish(a_fill("f-2", order_id="entry", quantity=10.0))
    assert desk.life("target")[-1] == "CANCELLED:UNEXPECTED_REPLY"
    assert "target" not in [submit.order.order_id for submit in desk.of(SubmitOrder)]
