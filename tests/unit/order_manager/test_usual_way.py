"""The usual way of an order is a shorter way to the same: both publish and remember the same."""

from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bus.runtime.settings import Instrument, RunSettings
from components.order_manager import order_manager
from components.order_manager.intake import Intake
from components.order_manager.record import OrderRecord
from schemas import (
    Direction,
    GroupType,
    Message,
    Order,
    OrderState,
    OrderStatus,
    OrderType,
    ReportType,
    SubmitOrder,
    TimeInForce,
)
from tests.support.builders import T0, a_fill, an_order
from tests.unit.order_manager.support import Desk, a_cancel, a_limit_order, a_report, an_amendment

IDS = ("a", "b", "c", "d")
NAN, INF = float("nan"), float("inf")
RUN = RunSettings(
    symbols=("AAPL", "MSFT", "GOOG"),
    instruments=(Instrument(symbol="MSFT", lot_size=10.0, tick_size=0.5), Instrument(symbol="TSLA")),
)
BROKERS: dict[str, tuple[str, ...]] = {"broker": ("AAPL", "MSFT", "TSLA", "AMZN")}


def mostly(*usual: Any, or_else: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """One of the usual values four times out of five."""
    return st.sampled_from([*usual * (4 * len(or_else)), *or_else * len(usual)])


NUMBERS = (0.0, -0.0, -1.0, NAN, INF, 100, 1, True, 0.1)
QUANTITIES = mostly(100.0, 50.0, or_else=NUMBERS)
FLAGS = mostly(False, or_else=(True, 0, None))
ORDERS = st.fixed_dictionaries(
    {
        "order_id": mostly(*IDS, or_else=("", 5)),
        "symbol": mostly("AAPL", "MSFT", or_else=("GOOG", "TSLA", "AMZN", "", None)),
        "direction": mostly(*Direction, or_else=("BUY", "HOLD", None)),
        "quantity": QUANTITIES,
        "order_type": mostly(OrderType.MARKET, OrderType.LIMIT, or_else=(OrderType.STOP, "MARKET", "LIMIT", None)),
        "ts": st.just(T0),
    },
    optional={
        "limit_price": mostly(100.0, 50.0, or_else=(None, "100", *NUMBERS)),
        "stop_price": mostly(None, or_else=(99.0,)),
        "time_in_force": mostly(TimeInForce.GTC, or_else=(TimeInForce.DAY, TimeInForce.GTD, "GTC", "GTD")),
        "expire_ts": mostly(None, or_else=(T0 + 1, 0)),
        "trail_amount": mostly(None, or_else=(1.0,)),
        "trail_pct": mostly(None, or_else=(0.1,)),
        "post_only": FLAGS,
        "reduce_only": FLAGS,
        "group_id": mostly("", or_else=("g",)),
        "group_type": mostly(GroupType.NONE, or_else=(*GroupType, "NONE", "OCO")),
        "parent_id": mostly("", or_else=(*IDS, None)),
    },
).map(lambda terms: Order(**terms))
USUAL_ORDERS = st.builds(an_order, st.sampled_from(IDS)) | st.builds(a_limit_order, st.sampled_from(IDS))
FILLS = st.builds(
    a_fill,
    mostly("f-1", "f-2", "f-3", or_else=("",)),
    order_id=st.sampled_from(IDS),
    symbol=mostly("AAPL", or_else=("MSFT",)),
    direction=mostly(*Direction, or_else=("BUY",)),
    quantity=QUANTITIES,
    price=mostly(100.0, 99.5, or_else=(0.0, -0.0, -3.0, NAN, INF, 7)),
)
USUAL_FILLS = st.builds(a_fill, st.sampled_from(["f-1", "f-2"]), order_id=st.sampled_from(IDS))
REPORTS = st.builds(
    a_report, st.sampled_from(ReportType), st.sampled_from(IDS), quantity=st.sampled_from([None, 40.0, 200.0])
)
OTHERS = (
    st.builds(a_cancel, st.sampled_from((*IDS, "")), reason=st.sampled_from(["", "enough"]))
    | st.builds(an_amendment, st.sampled_from(IDS), quantity=st.sampled_from([40.0, 200.0]))
    | st.builds(a_report, st.just("CANCELLED"), st.sampled_from(IDS), code=st.sampled_from(["", "OCO", "FILLED"]))
)


def the_long_way(**parameters: Any) -> Desk:
    """A desk at which nothing is usual."""
    desk = Desk(BROKERS, RUN, **parameters)
    publish = desk.publish

    def publish_the_long_way(*messages: Message, ts: int | None = None) -> list[Message]:
        no = mock.Mock(return_value=False)
        with mock.patch.multiple(order_manager, looks_plain=no, _ROUTED=None):
            return publish(*messages, ts=ts)

    desk.publish = publish_the_long_way  # type: ignore[method-assign]
    return desk


def what_is_known(desk: Desk) -> list[Any]:
    """All that a desk knows of its orders, in the order in which it has them."""
    manager = desk.manager
    records = [*manager.active_orders.items(), *manager.completed_orders.items()]
    return [manager.statistics(), *((order_id, terms_of(record)) for order_id, record in records)]


STEPS = {"routed_ns", "next_step", "later_steps"}


def terms_of(record: OrderRecord) -> list[str]:
    """Everything in a record, with what type each number is of; of its steps, what they were and not how it is kept."""
    terms = {name: value for name, value in msgspec.structs.asdict(record).items() if name not in STEPS}
    terms["history"] = record.history
    return [f"{name} {sorted(value) if isinstance(value, set) else value!r}" for name, value in terms.items()]


@given(st.lists(ORDERS | USUAL_ORDERS | USUAL_ORDERS | FILLS | USUAL_FILLS | REPORTS | OTHERS, max_size=40))
@example([an_order("a"), a_fill("f-1", order_id="a"), a_fill("f-1", order_id="a"), a_fill("f-2", order_id="a")])
@example([a_limit_order("a"), a_cancel("a"), a_report("CANCELLED", "a"), a_fill("f-1", order_id="a")])
@example([an_order("a", quantity=100), a_fill("f-1", order_id="a", quantity=100, price=7)])
@example([an_order("a"), an_order("b", parent_id="a", group_type=GroupType.OTO), a_fill("f-1", order_id="a")])
def test_both_ways_say_and_remember_the_same(messages):
    short, long = Desk(BROKERS, RUN, max_completed_orders=2), the_long_way(max_completed_orders=2)
    for n, message in enumerate(messages):
        assert repr(short.publish(message, ts=T0 + n)) == repr(long.publish(message, ts=T0 + n))
        assert what_is_known(short) == what_is_known(long)


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT"])
@pytest.mark.parametrize("order", [an_order, a_limit_order])
def test_a_usual_order_takes_the_short_way(order, symbol):
    desk = Desk(BROKERS, RUN)
    with mock.patch.object(Intake, "take", side_effect=AssertionError), no_closer_look_at_fills():
        desk.publish(order(symbol=symbol), a_fill(symbol=symbol))
    states = [OrderState.RECEIVED, OrderState.VALIDATED, OrderState.ROUTED, OrderState.FILLED]
    assert [status.state for status in desk.of(OrderStatus)] == states
    assert len(desk.of(SubmitOrder)) == 1


def no_closer_look_at_fills() -> Any:
    return mock.patch.object(order_manager, "book_fill", side_effect=AssertionError)
