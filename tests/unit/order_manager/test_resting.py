"""Orders that would rest at their broker, told from all others."""

from __future__ import annotations

import pytest

from bus.runtime.resting import Came, Cancelled, RestingOrders
from schemas import CancelOrder, Direction, GroupType, Order, OrderType, ReplaceOrder, TimeInForce
from tests.support.builders import T0, an_order
from tests.unit.order_manager.support import Desk, a_report


def limit(order_id: str = "risk-1", **other: object) -> Order:
    return an_order(order_id, **{"order_type": OrderType.LIMIT, "limit_price": 90.0, **other})


def test_a_new_limit_order_rests():
    assert Desk().manager.resting().acceptor("broker")(limit())


@pytest.mark.parametrize(
    "other",
    [
        {"order_type": OrderType.MARKET, "limit_price": None},
        {"order_type": OrderType.STOP, "limit_price": None, "stop_price": 90.0},
        {"limit_price": None},
        {"limit_price": -1.0},
        {"limit_price": float("nan")},
        {"quantity": 3},
        {"quantity": 0.0},
        {"time_in_force": TimeInForce.DAY},
        {"time_in_force": TimeInForce.GTD, "expire_ts": T0 + 1},
        {"post_only": True},
        {"reduce_only": True},
        {"group_id": "a group"},
        {"group_id": "a group", "group_type": GroupType.OCO},
        {"parent_id": "risk-0"},
        {"order_id": ""},
        {"symbol": ""},
    ],
)
def test_no_other_order_does(other):
    order = limit(**{"order_id": "risk-1", **other})
    assert not Desk().manager.resting().acceptor("broker")(order)


def test_an_order_that_another_broker_serves_or_none_does_not():
    assert not Desk({"other": ()}).manager.resting().acceptor("broker")(limit())
    assert not Desk({"broker": ("MSFT",)}).manager.resting().acceptor("broker")(limit())


def test_an_id_that_is_known_is_no_new_orders():
    desk = Desk()
    desk.publish(limit("works"), limit("done"), CancelOrder("done", T0))
    desk.publish(a_report("CANCELLED", "done"))
    accepts = desk.manager.resting().acceptor("broker")
    assert not accepts(limit("works"))
    assert not accepts(limit("done"))
    assert accepts(limit("new"))


def test_nor_is_one_that_was_cancelled_with_many_others():
    resting = Desk().manager.resting()
    accepts = resting.acceptor("broker")
    order = limit("gone")
    came, ends = {"gone": Came(order, T0)}, {"gone": Cancelled("", T0 + 1)}
    resting.take(RestingOrders("AAPL", [], T0 + 2, came, ends), "broker")
    assert not accepts(order)
    assert not resting.acceptor("broker")(order)


def test_an_order_rests_while_nothing_has_become_of_it():
    desk = Desk()
    desk.publish(limit("rests"), limit("amended"), limit("done"))
    desk.publish(ReplaceOrder("amended", T0, quantity=50.0))
    desk.publish(a_report("CANCELLED", "done"))
    resting = desk.manager.resting()
    assert resting.rests("rests", "broker")
    assert not resting.rests("rests", "other")
    for order_id in ("amended", "done", "nobody's"):
        assert not resting.rests(order_id, "broker")


def test_it_is_not_ready_while_orders_follow_another():
    desk = Desk()
    assert desk.manager.resting().is_ready()
    desk.publish(limit("parent"))
    desk.publish(limit("child", direction=Direction.SELL, parent_id="parent", group_type=GroupType.OTO))
    assert not desk.manager.resting().is_ready()
