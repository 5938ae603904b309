"""Brackets: a parent that opens, a target and a stop loss that protect what it opened."""

from __future__ import annotations

from typing import Any

import pytest

from components.risk import RiskStub
from schemas import CancelOrder, Direction, GroupType, Message, Order, OrderState, OrderStatus, OrderType, TimeInForce
from schemas.codec import canonical
from tests.support.bench import Bench
from tests.support.builders import T0, a_fill, a_signal

BRACKET: dict[str, Any] = {"target_price": 120.0, "stop_loss_price": 90.0}


def bench_of(**parameters: Any) -> Bench:
    return Bench(RiskStub("risk", parameters))


def publish(bench: Bench, *messages: Message) -> list[Message]:
    return [said for message in messages for said in bench.publish(message)[1:]]


def fill(order: Order, quantity: float | None = None) -> Message:
    return a_fill(
        f"fill of {order.order_id}",
        order_id=order.order_id,
        direction=order.direction,
        quantity=quantity or order.quantity,
    )


def status(order: Order, state: OrderState) -> OrderStatus:
    return OrderStatus(order.order_id, order.symbol, OrderState.ROUTED, state, 0.0, 0.0, T0)


def test_a_bracket_is_a_parent_and_two_children_of_one_group() -> None:
    parent, target, stop = publish(bench_of(), a_signal("BUY", **BRACKET, time_in_force=TimeInForce.IOC))
    assert parent.order_type is OrderType.MARKET
    assert (parent.direction, parent.quantity, parent.parent_id) == (Direction.BUY, 100.0, "")
    assert (target.order_type, target.limit_price, target.stop_price) == (OrderType.LIMIT, 120.0, None)
    assert (stop.order_type, stop.limit_price, stop.stop_price) == (OrderType.STOP, None, 90.0)
    for order in (parent, target, stop):
        assert order.group_type is GroupType.BRACKET
        assert order.group_id == parent.order_id
        assert canonical(order) == order
    for child in (target, stop):
        assert (child.direction, child.quantity, child.parent_id) == (Direction.SELL, 100.0, parent.order_id)
        assert child.time_in_force is TimeInForce.GTC
    assert [order.order_id for order in (parent, target, stop)] == ["risk-1", "risk-2", "risk-3"]


@pytest.mark.parametrize(("price", "kind"), [("target_price", OrderType.LIMIT), ("stop_loss_price", OrderType.STOP)])
def test_a_bracket_may_have_one_child(price: str, kind: OrderType) -> None:
    parent, child = publish(bench_of(), a_signal("BUY", **{price: BRACKET[price]}))
    assert (child.order_type, child.parent_id) == (kind, parent.order_id)


def test_the_parent_keeps_the_terms_of_the_signal() -> None:
    parent, *_ = publish(bench_of(), a_signal("BUY", **BRACKET, order_type=OrderType.LIMIT, limit_price=99.0))
    assert (parent.order_type, parent.limit_price) == (OrderType.LIMIT, 99.0)


def test_a_short_bracket_is_the_other_way_round() -> None:
    parent, target, stop = publish(
        bench_of(allow_short=True), a_signal("SELL", target_price=80.0, stop_loss_price=110.0)
    )
    assert [str(order.direction) for order in (parent, target, stop)] == ["SELL", "BUY", "BUY"]


def test_a_reversal_with_a_bracket_closes_by_an_order_of_its_own_so_that_children_protect_what_was_opened() -> None:
    bench = bench_of(allow_short=True)
    (order,) = publish(bench, a_signal("SELL"))
    publish(bench, fill(order), status(order, OrderState.FILLED))
    cover, parent, target, stop = publish(bench, a_signal("BUY", **BRACKET))
    assert [order.quantity for order in (cover, parent, target, stop)] == [100.0] * 4
    assert (cover.group_type, cover.group_id) == (GroupType.NONE, "")
    assert (cover.direction, parent.direction) == (Direction.BUY, Direction.BUY)


def test_a_sell_that_only_closes_has_no_children() -> None:
    bench = bench_of()
    (order,) = publish(bench, a_signal("BUY"))
    publish(bench, fill(order), status(order, OrderState.FILLED))
    (closing,) = publish(bench, a_signal("SELL", **BRACKET))
    assert closing.group_type is GroupType.NONE


def test_children_do_not_count_as_orders_on_their_way_and_survive_a_repeated_signal() -> None:
    bench = bench_of()
    parent, *_ = publish(bench, a_signal("BUY", **BRACKET))
    publish(bench, fill(parent), status(parent, OrderState.FILLED))
    assert publish(bench, a_signal("BUY", **BRACKET)) == []


def test_closing_the_position_cancels_its_target_and_stop_loss_first() -> None:
    bench = bench_of()
    parent, target, stop = publish(bench, a_signal("BUY", **BRACKET))
    publish(bench, fill(parent), status(parent, OrderState.FILLED))
    first, second, closing = publish(bench, a_signal("SELL"))
    assert [type(said) for said in (first, second, closing)] == [CancelOrder, CancelOrder, Order]
    assert (first.order_id, second.order_id) == (target.order_id, stop.order_id)
    assert (closing.direction, closing.quantity) == (Direction.SELL, 100.0)


def test_a_position_closed_by_its_target_is_flat() -> None:
    bench = bench_of()
    parent, target, stop = publish(bench, a_signal("BUY", **BRACKET))
    publish(bench, fill(parent), status(parent, OrderState.FILLED))
    publish(bench, fill(target), status(target, OrderState.FILLED), status(stop, OrderState.CANCELLED))
    assert publish(bench, a_signal("SELL")) == []
    assert len(publish(bench, a_signal("BUY", **BRACKET))) == 3


def test_a_parent_that_still_waits_is_cancelled_and_takes_its_children_with_it() -> None:
    bench = bench_of()
    parent, *_ = publish(bench, a_signal("BUY", **BRACKET, order_type=OrderType.LIMIT, limit_price=95.0))
    assert [said.order_id for said in publish(bench, a_signal("SELL"))] == [parent.order_id]


def test_a_parent_that_filled_in_part_is_cancelled_and_what_filled_is_closed_without_its_children() -> None:
    bench = bench_of()
    parent, target, stop = publish(bench, a_signal("BUY", **BRACKET, order_type=OrderType.LIMIT, limit_price=95.0))
    publish(bench, fill(parent, 40.0))
    *cancels, closing = publish(bench, a_signal("SELL"))
    assert [cancel.order_id for cancel in cancels] == [parent.order_id, target.order_id, stop.order_id]
    assert closing.quantity == 40.0
