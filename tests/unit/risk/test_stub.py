"""Signals to orders: one direction at a time, no piling up, closing at the end."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bus.runtime.component import EXECUTION_TYPES, Component
from bus.runtime.settings import Instrument, RunContext, RunSettings
from components.accounting.recent import FILLS_KEPT
from components.risk import RiskStub
from components.risk.holdings import Holdings
from deploy.wiring import wiring_faults
from schemas import (
    Bar,
    CancelOrder,
    ClosePositions,
    CloseRule,
    Direction,
    Fill,
    Message,
    Order,
    OrderState,
    OrderStatus,
    OrderType,
    Quote,
    Signal,
    TimeInForce,
    Trade,
)
from schemas.codec import canonical
from tests.support.bench import Bench
from tests.support.builders import T0, a_bar, a_fill, a_signal

CLOSE = ClosePositions(T0, CloseRule.LAST_CLOSE)


def bench_of(run: dict[str, Any] | None = None, **parameters: Any) -> Bench:
    return Bench(RiskStub("risk", parameters), context=RunContext(run=RunSettings(**(run or {}))))


def publish(bench: Bench, *messages: Message) -> list[Message]:
    """What risk answers to these messages."""
    return [said for message in messages for said in bench.publish(message)[1:]]


def size(orders: list[Message]) -> list[tuple[str, float]]:
    return [(str(order.direction), order.quantity) for order in orders]


def final(order: Order, state: OrderState) -> OrderStatus:
    return OrderStatus(order.order_id, order.symbol, OrderState.ROUTED, state, 0.0, 0.0, T0)


def fill_of(order: Order, quantity: float | None = None, price: float = 100.0, n: int = 1) -> Fill:
    return a_fill(
        f"{order.order_id}/{n}",
        order_id=order.order_id,
        symbol=order.symbol,
        direction=order.direction,
        quantity=order.quantity if quantity is None else quantity,
        price=price,
    )


def trade(bench: Bench, signal: Signal) -> Order:
    """Publish a signal, and fill its one order in full."""
    (order,) = publish(bench, signal)
    publish(bench, fill_of(order), final(order, OrderState.FILLED))
    return order


def test_it_stands_between_signals_and_the_execution_side() -> None:
    assert RiskStub.component_type == "risk_manager"
    assert RiskStub.component_type not in EXECUTION_TYPES
    assert RiskStub.emits == (Order, CancelOrder)


def test_market_data_is_taken_only_to_know_the_equity() -> None:
    market_data = {Bar, Quote, Trade}
    assert not market_data & RiskStub("risk", {}).handlers().keys()
    assert market_data <= RiskStub("risk", {"percent_of_equity": 10}).handlers().keys()
    assert RiskStub.quiet == {*market_data, Fill, OrderStatus}


@pytest.mark.parametrize("published", [Bar, Quote, Trade])
def test_one_kind_of_market_data_is_enough_to_know_the_equity(published: type[Message]) -> None:
    class Everything(Component):
        emits = (published, Signal, Fill, OrderStatus, ClosePositions)

    components = {"everything": Everything("everything"), "risk": RiskStub("risk", {"percent_of_equity": 10})}
    assert wiring_faults(components, RunContext(), complete=True) == []


def test_a_buy_becomes_a_market_order_of_the_configured_quantity() -> None:
    (order,) = publish(bench_of(quantity=50), a_signal("BUY", reason="because"))
    assert order == Order("risk-1", "AAPL", Direction.BUY, 50.0, OrderType.MARKET, T0, reason="because")
    assert canonical(order) == order
    assert type(order.quantity) is float


def test_orders_are_numbered_from_one_under_the_name_of_the_component() -> None:
    bench = Bench(RiskStub("guard", {}))
    ids = [publish(bench, a_signal("BUY", symbol=symbol))[0].order_id for symbol in ("A", "B", "C")]
    assert ids == ["guard-1", "guard-2", "guard-3"]


def test_an_order_is_made_at_the_time_of_the_record_that_is_handled() -> None:
    bench = bench_of()
    bench.publish(a_signal("BUY"), ts=T0 + 5)
    assert bench.of(Order)[0].ts == T0 + 5


def test_a_repeated_buy_does_not_pile_up_before_during_and_after_the_fill() -> None:
    bench = bench_of()
    (order,) = publish(bench, a_signal("BUY"))
    assert publish(bench, a_signal("BUY")) == []
    publish(bench, fill_of(order, 40.0))
    assert publish(bench, a_signal("BUY")) == []
    publish(bench, fill_of(order, 60.0, n=2), final(order, OrderState.FILLED))
    assert publish(bench, a_signal("BUY")) == []


@pytest.mark.parametrize("state", [OrderState.REJECTED, OrderState.CANCELLED, OrderState.EXPIRED])
def test_an_order_that_died_unfilled_makes_room_for_the_next(state: OrderState) -> None:
    bench = bench_of()
    (order,) = publish(bench, a_signal("BUY"))
    publish(bench, final(order, OrderState.ROUTED))
    assert publish(bench, a_signal("BUY")) == []
    publish(bench, final(order, state))
    assert size(publish(bench, a_signal("BUY"))) == [("BUY", 100.0)]


def test_a_sell_closes_the_long_position_and_no_more() -> None:
    bench = bench_of()
    assert publish(bench, a_signal("SELL")) == []
    trade(bench, a_signal("BUY"))
    assert size(publish(bench, a_signal("SELL"))) == [("SELL", 100.0)]
    assert publish(bench, a_signal("SELL")) == []


def test_a_sell_closes_what_did_fill_of_an_order_that_died() -> None:
    bench = bench_of()
    (order,) = publish(bench, a_signal("BUY"))
    publish(bench, fill_of(order, 40.0), final(order, OrderState.CANCELLED))
    assert size(publish(bench, a_signal("SELL"))) == [("SELL", 40.0)]


def test_a_sell_reckons_with_a_market_order_that_is_about_to_fill() -> None:
    bench = bench_of()
    publish(bench, a_signal("BUY"))
    assert size(publish(bench, a_signal("SELL"))) == [("SELL", 100.0)]
    assert size(publish(bench, a_signal("BUY"))) == [("BUY", 100.0)]


def test_with_short_allowed_a_signal_reverses_the_position_in_one_order() -> None:
    bench = bench_of(allow_short=True)
    assert trade(bench, a_signal("SELL")).quantity == 100.0
    assert publish(bench, a_signal("SELL")) == []
    assert size([trade(bench, a_signal("BUY"))]) == [("BUY", 200.0)]
    assert size([trade(bench, a_signal("SELL"))]) == [("SELL", 200.0)]


def test_symbols_are_sized_apart() -> None:
    bench = bench_of()
    trade(bench, a_signal("BUY", symbol="A"))
    assert size(publish(bench, a_signal("BUY", symbol="B"))) == [("BUY", 100.0)]
    assert publish(bench, a_signal("SELL", symbol="C")) == []


def test_a_fill_that_is_told_twice_counts_once() -> None:
    bench = bench_of()
    (order,) = publish(bench, a_signal("BUY"))
    publish(bench, fill_of(order), fill_of(order), final(order, OrderState.FILLED))
    assert size(publish(bench, a_signal("SELL"))) == [("SELL", 100.0)]


def test_fractions_that_do_not_add_up_in_binary_leave_no_dust() -> None:
    bench = bench_of(quantity=0.3)
    (order,) = publish(bench, a_signal("BUY"))
    publish(bench, fill_of(order, 0.1), fill_of(order, 0.2, n=2), final(order, OrderState.FILLED))
    (order,) = publish(bench, a_signal("SELL"))
    assert order.quantity == 0.3
    publish(
        bench, fill_of(order, 0.1), fill_of(order, 0.1, n=2), fill_of(order, 0.1, n=3), final(order, OrderState.FILLED)
    )
    assert publish(bench, a_signal("SELL")) == []
    assert publish(bench, CLOSE) == [CancelOrder("", T0, reason="close_at_end")]


def test_the_terms_of_the_signal_are_those_of_the_order() -> None:
    terms = {
        "order_type": OrderType.STOP_LIMIT,
        "limit_price": 99.0,
        "stop_price": 98.0,
        "time_in_force": TimeInForce.DAY,
    }
    (order,) = publish(bench_of(), a_signal("BUY", **terms))
    assert {name: getattr(order, name) for name in terms} == terms


def test_the_signals_quantity_replaces_the_configured_one() -> None:
    bench = bench_of(allow_short=True)
    assert size([trade(bench, a_signal("BUY", quantity=7.0))]) == [("BUY", 7.0)]
    assert size([trade(bench, a_signal("SELL", quantity=3.0))]) == [("SELL", 10.0)]


def test_a_sell_that_may_not_go_short_sells_the_quantity_that_it_names_but_never_more_than_there_is() -> None:
    bench = bench_of()
    trade(bench, a_signal("BUY"))
    assert size([trade(bench, a_signal("SELL", quantity=30.0))]) == [("SELL", 30.0)]
    assert size([trade(bench, a_signal("SELL", quantity=500.0))]) == [("SELL", 70.0)]


def test_an_order_that_waits_for_a_price_is_cancelled_by_a_signal_in_the_other_direction() -> None:
    bench = bench_of()
    limit = {"order_type": OrderType.LIMIT, "limit_price": 90.0}
    (order,) = publish(bench, a_signal("BUY", **limit))
    (cancel,) = publish(bench, a_signal("SELL"))
    assert (cancel.order_id, cancel.symbol) == (order.order_id, "AAPL")
    assert publish(bench, a_signal("SELL")) == []
    publish(bench, final(order, OrderState.CANCELLED))
    assert size(publish(bench, a_signal("BUY", **limit))) == [("BUY", 100.0)]


def test_a_waiting_sell_is_cancelled_by_a_buy_that_keeps_the_position() -> None:
    bench = bench_of()
    trade(bench, a_signal("BUY"))
    (order,) = publish(bench, a_signal("SELL", order_type=OrderType.LIMIT, limit_price=120.0))
    assert [type(said) for said in publish(bench, a_signal("BUY"))] == [CancelOrder]
    assert order.quantity == 100.0


def test_at_the_end_everything_is_cancelled_and_every_position_closed_in_order_of_symbol() -> None:
    bench = bench_of(allow_short=True)
    for symbol, direction in (("C", "BUY"), ("A", "SELL"), ("B", "BUY")):
        trade(bench, a_signal(direction, symbol=symbol))
    trade(bench, a_signal("SELL", symbol="B", quantity=0.0))
    cancel, *orders = publish(bench, CLOSE)
    assert cancel == CancelOrder("", T0, reason="close_at_end")
    assert [(o.symbol, str(o.direction), o.quantity, o.order_type, o.reason) for o in orders] == [
        ("A", "BUY", 100.0, OrderType.MARKET, "close_at_end"),
        ("C", "SELL", 100.0, OrderType.MARKET, "close_at_end"),
    ]
    assert all(order.reduce_only for order in orders)


def test_after_the_end_signals_are_ignored_and_what_is_still_open_is_closed_again() -> None:
    bench = bench_of()
    trade(bench, a_signal("BUY"))
    _, order = publish(bench, ClosePositions(T0, CloseRule.NEXT_OPEN))
    assert publish(bench, a_signal("SELL"), a_signal("BUY", symbol="B")) == []
    publish(bench, fill_of(order, 60.0))
    _, rest = publish(bench, CLOSE)
    assert size([rest]) == [("SELL", 40.0)]


def test_a_reset_leaves_nothing_behind() -> None:
    bench = bench_of()
    trade(bench, a_signal("BUY"))
    publish(bench, CLOSE)
    bench.components[0].reset()
    (order,) = publish(bench, a_signal("BUY"))
    assert order.order_id == "risk-1"


def test_percent_of_equity_counts_cash_fees_and_positions_at_the_last_close() -> None:
    bench = bench_of({"initial_cash": 10_000}, percent_of_equity=50)
    bench.publish(a_bar(0, c=100))
    (order,) = publish(bench, a_signal("BUY", price=100.0))
    assert order.quantity == 50.0
    publish(bench, a_fill("f-1", order_id=order.order_id, quantity=50.0, price=101.0, commission=10.0))
    bench.publish(a_bar(1, c=120, h=121))
    # 10,000 - 50 x 101 - 10 + 50 x 120 = 10,940; half of it at 20 is 273.5 units.
    assert size(publish(bench, a_signal("BUY", symbol="B", price=20.0))) == [("BUY", 273.0)]


@pytest.mark.parametrize(
    "last",
    [
        [Quote(T0 + 2, "AAPL", 49.0, 5.0, 51.0, 5.0)],
        [Trade(T0 + 2, "AAPL", 50.0, 1.0)],
        [Quote(T0 + 2, "AAPL", 49.0, 5.0, 51.0, 5.0), Quote(T0 + 3, "AAPL", 0.0, 0.0, 51.0, 5.0)],
    ],
    ids=["quote", "trade", "one-sided quote"],
)
def test_percent_of_equity_counts_positions_at_the_last_quote_or_trade_too(last: list[Message]) -> None:
    bench = bench_of({"initial_cash": 10_000}, percent_of_equity=100)
    bench.publish(Quote(T0, "AAPL", 99.0, 5.0, 101.0, 5.0))
    trade(bench, a_signal("BUY", price=100.0))
    bench.publish(*last)
    assert size(publish(bench, a_signal("BUY", symbol="B", price=10.0))) == [("BUY", 500.0)]


@pytest.mark.parametrize(
    "parameters", [{"quantity": 0}, {"percent_of_equity": -1}, {"quantity": 1, "percent_of_equity": 1}]
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=r"greater than 0|two ways to size"):
        RiskStub("risk", parameters)


def test_an_instrument_with_lots_is_bought_in_whole_lots() -> None:
    run = {"instruments": [Instrument(symbol="BTC", lot_size=0.1)], "initial_cash": 1_000}
    bench = bench_of(run, percent_of_equity=35)
    assert size(publish(bench, a_signal("BUY", symbol="BTC", price=1_000.0))) == [("BUY", 0.3)]


def holdings_of(bench: Bench) -> Holdings:
    return bench.components[0]._holdings  # type: ignore[attr-defined, no-any-return]


def test_the_last_fills_are_known_when_they_are_told_again():
    bench = bench_of()
    fills = [a_fill(f"broker-{n}", quantity=1.0) for n in range(5 * FILLS_KEPT + 1)]
    bench.publish(*fills, *fills[-FILLS_KEPT:])
    assert holdings_of(bench).positions["AAPL"] == len(fills)


def test_positions_are_the_same_where_the_equity_need_not_be_known():
    valued, bare = bench_of(percent_of_equity=10), bench_of()
    for n, quantity in enumerate((3.0, 0.1, 0.2, 7.0)):
        fill = a_fill(f"f{n}", quantity=quantity, direction=Direction.SELL if n % 2 else Direction.BUY)
        valued.publish(fill)
        bare.publish(fill)
        assert holdings_of(bare).positions == holdings_of(valued).positions
    assert holdings_of(valued).cash != holdings_of(bare).cash == RunSettings().initial_cash


@pytest.mark.parametrize(
    ("terms", "cancelled"), [({}, []), ({"order_type": OrderType.LIMIT, "limit_price": 99.0}, [1])]
)
def test_an_order_that_is_filled_but_not_yet_final_counts_for_nothing_but_may_have_to_be_cancelled(terms, cancelled):
    bench = bench_of(allow_short=True)
    (order,) = publish(bench, a_signal("BUY", **terms))
    publish(bench, fill_of(order))
    said = publish(bench, a_signal("SELL"))
    assert [message.order_id for message in said[:-1]] == [f"risk-{n}" for n in cancelled]
    assert size(said[-1:]) == [("SELL", 200.0)]


def test_what_is_left_of_a_quantity_by_rounding_is_not_ordered():
    assert publish(bench_of(), a_signal("BUY", quantity=4e-10)) == []
    assert publish(bench_of(), a_signal("BUY", quantity=4e-10, target_price=120.0)) == []
