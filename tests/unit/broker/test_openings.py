"""Bars in which nothing happens but what plain orders do are done without a walk: the same as with one."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.broker import SimulatedBroker
from components.broker.path import PathStyle
from components.broker.pricing import FillPrice
from schemas import (
    Bar,
    Direction,
    Fill,
    GroupType,
    Liquidity,
    Message,
    OrderType,
    SubmitCancel,
    SubmitOrder,
    TimeInForce,
)
from tests.conformance.broker_traffic import traffic
from tests.support.bench import Bench
from tests.support.builders import DAY_NS, T0, an_order

orders = st.fixed_dictionaries(
    {
        "direction": st.sampled_from(Direction),
        "quantity": st.sampled_from((10.0, 40.0, 0.3, 2_000.0)),
        "time_in_force": st.sampled_from((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.DAY, TimeInForce.IOC)),
        "reduce_only": st.booleans(),
        "group_id": st.sampled_from(("", "", "g")),
    }
)
limits = st.fixed_dictionaries(
    {
        "order_type": st.just(OrderType.LIMIT),
        "direction": st.sampled_from(Direction),
        "limit_price": st.sampled_from((95.0, 97.0, 99.0, 100.0, 101.0, 103.0)),
        "post_only": st.booleans(),
        "group_id": st.sampled_from(("", "", "g")),
    }
)
bars = st.tuples(st.sampled_from((0, 1, 1, 2)), st.sampled_from((0.0, 300.0, 5_000.0)), st.integers(98, 102))
cancels = st.integers(1, 12)
steps = st.lists(st.one_of(bars, bars, orders, limits, cancels), max_size=30)
latencies = st.sampled_from(({"model": "none"}, {"model": "fixed", "ms": 1}, {"model": "fixed", "ms": 43_200_000}))


def messages_of(steps: list) -> list[Message]:
    """A tuple is a bar (days after the last, volume, open), a dict an order's terms, a number an order to cancel."""
    messages, ts, number = [], T0, 0
    for step in steps:
        if isinstance(step, tuple):
            days, volume, opened = step
            ts += days * DAY_NS
            messages.append(Bar(ts, "AAPL", float(opened), opened + 1.0, opened - 1.0, opened + 0.5, volume))
        elif isinstance(step, dict):
            number += 1
            group = {"group_type": GroupType.OCO} if step.get("group_id") else {}
            messages.append(SubmitOrder(an_order(f"risk-{number}", ts=ts, **step, **group), "broker"))
        else:
            messages.append(SubmitCancel(f"risk-{step}", "broker", ts))
    return messages


def said(messages: list[Message], walks: bool, **parameters) -> list[Message]:
    broker = SimulatedBroker("broker", parameters)
    bench = Bench(broker)
    if walks:
        broker._venue.opens_plainly = broker._venue.fills_plainly = False
    for message in messages:
        bench.publish(message, ts=getattr(message, "ts", None) or message.order.ts)
    return bench.said


settings_of_brokers = st.fixed_dictionaries(
    {
        "latency": latencies,
        "fill_price": st.sampled_from(("next_open", "next_open", "next_open", *get_args(FillPrice))),
        "limit_touch": st.sampled_from(("touch", "touch", "through")),
        "intrabar": st.sampled_from(get_args(PathStyle)).map(lambda path: {"path": path}),
        "max_volume_pct": st.sampled_from((0.1, 0.1, 0.01, None)),
        "slippage": st.just({"model": "fixed", "price_impact": 0.01}),
    }
)


@settings(max_examples=600, deadline=None)
@given(steps=steps, parameters=settings_of_brokers)
def test_plain_bars_are_as_in_a_walk(steps, parameters):
    messages = messages_of(steps)
    assert said(messages, False, **parameters) == said(messages, True, **parameters)


@pytest.mark.parametrize("fill_price", get_args(FillPrice))
def test_traffic_of_every_kind_is_answered_as_with_walks_only(seed, fill_price):
    messages = list(traffic(seed, days=60))
    assert said(messages, False, fill_price=fill_price) == said(messages, True, fill_price=fill_price)


def test_a_lone_market_order_needs_no_walk(monkeypatch):
    messages = messages_of([(1, 5_000.0, 100), {"quantity": 10.0}, (1, 5_000.0, 101)])
    walked = []
    monkeypatch.setattr("components.broker.venue.Venue.walk", lambda *_: walked.append(1))
    assert [fill.price for fill in said(messages, False)[-1:]] == [101.0]
    assert not walked


def a_limit(direction: Direction, price: float) -> dict:
    return {"order_type": OrderType.LIMIT, "direction": direction, "limit_price": price}


def test_limit_orders_that_rest_need_no_walk(monkeypatch):
    steps = [a_limit(Direction.BUY, 97.5), a_limit(Direction.SELL, 101.5), (1, 5_000.0, 100), (1, 5_000.0, 97)]
    walked = []
    monkeypatch.setattr("components.broker.venue.Venue.walk", lambda *_: walked.append(1))
    fills = said(messages_of([(1, 5_000.0, 100), *steps, (1, 5_000.0, 101)]), False)[-3:]
    assert [fill.price for fill in fills if not isinstance(fill, Bar)] == [97.0, 101.5]
    assert not walked


def test_what_waits_for_volume_needs_no_walk(monkeypatch):
    messages = messages_of([(1, 5_000.0, 100), {"quantity": 900.0}, (1, 5_000.0, 101), (1, 5_000.0, 102)])
    walked = []
    monkeypatch.setattr("components.broker.venue.Venue.walk", lambda *_: walked.append(1))
    assert [m.quantity for m in said(messages, False) if not isinstance(m, Bar | SubmitOrder)] == [500.0, 400.0]
    assert not walked


def test_a_limit_order_that_came_in_a_bar_without_volume_takes_liquidity_in_the_next():
    messages = messages_of([(1, 5_000.0, 100), a_limit(Direction.BUY, 98.5), (1, 0.0, 100), (1, 5_000.0, 98)])
    slippage = {"model": "fixed", "price_impact": 0.001}
    (fill,) = [m for m in said(messages, False, slippage=slippage) if isinstance(m, Fill)]
    assert (fill.liquidity, round(fill.price, 9)) == (Liquidity.TAKER, 98.098)
    assert said(messages, False, slippage=slippage) == said(messages, True, slippage=slippage)


def test_what_arrives_inside_a_bar_meets_the_rest_of_it():
    messages = messages_of([(1, 5_000.0, 100), (1, 5_000.0, 100), {"quantity": 10.0}, (1, 5_000.0, 101)])
    latency = {"model": "fixed", "ms": 43_200_000}
    (fill,) = [m for m in said(messages, False, latency=latency) if isinstance(m, Fill)]
    assert (fill.rule, fill.price) == ("market_arrival", 101.0)
    assert said(messages, False, latency=latency) == said(messages, True, latency=latency)


def test_what_arrives_after_a_bar_does_not_meet_it():
    messages = messages_of([(1, 5_000.0, 100), {"quantity": 10.0}, a_limit(Direction.BUY, 100.0), (0, 5_000.0, 101)])
    assert not [m for m in said(messages, False) if isinstance(m, Fill)]


def test_orders_with_little_latency_need_no_walk(monkeypatch):
    steps = [(1, 5_000.0, 100), (1, 5_000.0, 100), {"quantity": 10.0}, a_limit(Direction.BUY, 99.5), (1, 5_000.0, 100)]
    walked = []
    monkeypatch.setattr("components.broker.venue.Venue.walk", lambda *_: walked.append(1))
    fills = said(messages_of(steps), False, latency={"model": "fixed", "ms": 1})
    assert [m.rule for m in fills if isinstance(m, Fill)] == ["market_open", "limit_price"]
    assert not walked
