"""Bars that meet no order may come in blocks: the same as one by one."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from bus.runtime.block import Block
from components.broker import SimulatedBroker
from schemas import Bar, Direction, Message, OrderType, Quote, SubmitCancel, SubmitOrder, TimeInForce
from tests.conformance.broker_traffic import traffic
from tests.support.bench import Bench
from tests.support.builders import T0, a_bar, an_order
from tests.support.states import state_of


def sparse_traffic(seed: int) -> list[Message]:
    """Bars of one symbol, and few requests."""
    rng = Random(seed)
    of_one = (m for m in traffic(seed, days=400) if "MSFT" not in (getattr(m, "symbol", ""), symbol_of(m)))
    return [m for m in of_one if isinstance(m, Bar) or rng.random() < 0.12]


def sparse_traffic_of_two(seed: int) -> list[Message]:
    """Bars of two symbols, and few requests."""
    rng = Random(seed)
    return [m for m in traffic(seed, days=400) if isinstance(m, Bar) or rng.random() < 0.08]


def symbol_of(message: Message) -> str:
    order = getattr(message, "order", None)
    return order.symbol if order else ""


def a_bench() -> tuple[SimulatedBroker, Bench]:
    broker = SimulatedBroker("broker")
    return broker, Bench(broker)


def in_blocks(messages: list[Message]) -> tuple[list[Message], int]:
    """What the broker says when it is handed what it calls unanswered in blocks, and how many messages those were."""
    broker, bench = a_bench()
    handed = 0
    for message_type, group in itertools.groupby(messages, type):
        run = list(group)
        while run:
            count = broker.unanswered(Block(run), 0, 16) if message_type is Bar and Bar not in broker.quiet else 0
            if count:
                bench.clock.now_ns = run[count - 1].ts
                before = len(bench.said)
                broker.on_block(Block(run), 0, count)
                assert len(bench.said) == before, "it said that it would not answer"
                handed += count
            else:
                bench.publish(run[0])
            run = run[count or 1 :]
    return [m for m in bench.said if not isinstance(m, Bar)], handed


def limit_traffic(seed: int) -> list[Message]:
    """Bars of one symbol, and limit orders near and far that rest until they are reached or cancelled."""
    return with_limits(sparse_traffic(seed), Random(seed))


def limit_traffic_of_two(seed: int) -> list[Message]:
    """The same of two symbols."""
    return with_limits(sparse_traffic_of_two(seed), Random(seed))


def with_limits(messages: list[Message], rng: Random) -> list[Message]:
    """Limit orders in place of others; some come at once, some may not match when they come."""
    last: dict[str, float] = {}
    for index, message in enumerate(messages):
        if isinstance(message, Bar):
            last[message.symbol] = message.close
        elif isinstance(message, SubmitOrder):
            symbol, ts = message.order.symbol, message.order.ts
            price = round(last.get(symbol, 100.0) * rng.uniform(0.8, 1.2), 2)
            limit = {"order_type": OrderType.LIMIT, "limit_price": price, "post_only": rng.random() < 0.2}
            order = an_order(
                message.order.order_id, symbol=symbol, direction=rng.choice(list(Direction)), ts=ts, **limit
            )
            messages[index] = SubmitOrder(order, message.broker)
    return messages


@pytest.mark.parametrize("made", [sparse_traffic, limit_traffic, sparse_traffic_of_two, limit_traffic_of_two])
def test_bars_that_meet_no_order_may_come_in_blocks(seed, made):
    messages = made(seed)
    _, bench = a_bench()
    bench.publish(*messages)
    said, handed = in_blocks(messages)
    assert said == [m for m in bench.said if not isinstance(m, Bar)]
    assert handed


def waiting(**order) -> SimulatedBroker:
    """A broker with one order that has met its first bar."""
    broker, bench = a_bench()
    terms = {"order_type": OrderType.LIMIT, "limit_price": 90.0, **order}
    bench.publish(a_bar(0, c=100), SubmitOrder(an_order("o", ts=T0, **terms), "broker"), a_bar(1, c=100))
    return broker


def test_as_many_are_unanswered_as_come_before_the_order_is_reached():
    bars = [a_bar(2, c=100), a_bar(3, c=100), a_bar(4, o=91, h=91, low=89, c=90), a_bar(5, c=100)]
    assert waiting().unanswered(Block(bars), 0, 9) == 2
    assert waiting().unanswered(Block(bars), 0, 2) == 2
    assert waiting().unanswered(Block(bars), 2, 9) == 0


def arriving(**order) -> SimulatedBroker:
    """A broker with one order that comes with the next bar."""
    broker, bench = a_bench()
    terms = {"order_type": OrderType.LIMIT, "limit_price": 90.0, **order}
    bench.publish(a_bar(0, c=100), a_bar(1, c=100), SubmitOrder(an_order("o", ts=a_bar(1).ts, **terms), "broker"))
    return broker


def test_a_limit_order_that_only_begins_to_rest_is_not_answered():
    bars = [a_bar(2, c=100), a_bar(3, c=100), a_bar(4, o=91, h=91, low=89, c=90), a_bar(5, c=100)]
    assert arriving().unanswered(Block(bars), 0, 9) == 2
    assert arriving(direction=Direction.SELL, limit_price=103.0).unanswered(Block(bars), 0, 9) == 4
    assert arriving(direction=Direction.SELL).unanswered(Block(bars), 0, 9) == 0
    untraded = Block([a_bar(2, volume=0.0), *bars[1:]])
    assert arriving().unanswered(untraded, 0, 9) == 0, "where nobody trades nobody begins to rest"
    assert arriving(order_type=OrderType.MARKET, limit_price=None).unanswered(Block(bars), 0, 9) == 0


def test_what_is_due_ends_them_also_where_no_price_does():
    bars = [a_bar(n, c=100) for n in range(2, 8)]
    assert waiting(time_in_force=TimeInForce.GTD, expire_ts=a_bar(5).ts).unanswered(Block(bars), 0, 9) == 3


def of_two(*closes: tuple[str, float]) -> Block:
    """Bars at the days from 2 on, one of each of two symbols a day."""
    return Block(a_bar(2 + n // 2, o=c, h=c, low=c, c=c, symbol=symbol) for n, (symbol, c) in enumerate(closes))


def test_among_bars_of_several_symbols_only_those_count_that_an_order_is_for():
    bars = of_two(("MSFT", 1.0), ("AAPL", 95.0), ("MSFT", 1.0), ("AAPL", 95.0), ("MSFT", 999.0), ("AAPL", 89.0))
    assert waiting().unanswered(bars, 0, 9) == 5
    assert waiting().unanswered(bars, 0, 3) == 3
    assert waiting().unanswered(bars, 4, 9) == 1
    assert waiting().unanswered(bars, 5, 9) == 0
    assert waiting(direction=Direction.SELL, limit_price=103.0).unanswered(bars, 0, 9) == 6
    assert waiting().unanswered(of_two(("MSFT", 1.0), ("IBM", 1.0)), 0, 9) == 2
    assert waiting().unanswered(of_two(("MSFT", 1.0), ("AAPL", 90.0)), 0, 9) == 1, "a limit that is met exactly"
    assert (
        waiting(direction=Direction.SELL, limit_price=103.0).unanswered(of_two(("IBM", 1.0), ("AAPL", 103.0)), 0, 9)
        == 1
    )
    behind = of_two(("MSFT", 1.0), ("AAPL", 89.0), ("MSFT", 1.0), ("AAPL", 95.0), ("MSFT", 1.0))
    assert waiting().unanswered(behind, 2, 9) == 3


def test_bars_of_a_symbol_that_has_quotes_count_while_an_order_works_in_it():
    broker, bench = a_bench()
    order = an_order("o", ts=T0, order_type=OrderType.LIMIT, limit_price=90.0)
    bench.publish(Quote(T0, "AAPL", 99.0, 1.0, 101.0, 1.0), SubmitOrder(order, "broker"))
    bench.publish(Quote(T0 + 1, "AAPL", 99.0, 1.0, 101.0, 1.0))
    assert broker.unanswered(of_two(("MSFT", 1.0), ("AAPL", 100.0)), 0, 9) == 1


def test_among_bars_of_several_symbols_an_order_that_comes_waits_for_its_own():
    bars = of_two(("MSFT", 100.0), ("AAPL", 100.0), ("MSFT", 100.0))
    assert arriving(order_type=OrderType.MARKET, limit_price=None).unanswered(bars, 0, 9) == 1
    assert arriving().unanswered(bars, 0, 9) == 1, "it begins to rest"
    assert arriving(order_type=OrderType.STOP, limit_price=None, stop_price=500.0).unanswered(bars, 0, 9) == 1


def test_what_is_due_ends_bars_of_several_symbols_whichever_comes_first():
    bars = of_two(*[("MSFT", 100.0), ("AAPL", 100.0)] * 4)
    assert waiting(time_in_force=TimeInForce.GTD, expire_ts=a_bar(4).ts).unanswered(bars, 0, 9) == 4


def test_no_number_may_be_any_price():
    nowhere = float("nan")
    bars = of_two(("MSFT", nowhere), ("AAPL", 100.0), ("MSFT", 1.0), ("AAPL", nowhere), ("MSFT", 1.0))
    assert waiting().unanswered(bars, 0, 9) == 3
    alone = Block([a_bar(2, c=100), a_bar(3, o=nowhere, h=nowhere, low=nowhere, c=nowhere), a_bar(4, c=100)])
    assert waiting().unanswered(alone, 1, 9) == 0
    on_close = arriving(order_type=OrderType.MARKET_ON_CLOSE, limit_price=None)
    assert on_close.unanswered(alone, 1, 9) == 0


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT"])
def test_orders_that_were_cancelled_before_they_came_leave_no_trace(symbol):
    states = []
    for at_once in (False, True):
        broker, bench = a_bench()
        order = an_order("o", ts=T0, symbol=symbol, order_type=OrderType.LIMIT, limit_price=90.0)
        bench.publish(a_bar(0, c=100), SubmitOrder(order, "broker"), SubmitCancel("o", "broker", a_bar(0).ts))
        bars = of_two(("MSFT", 100.0), ("AAPL", 100.0), ("MSFT", 100.0), ("AAPL", 100.0))
        if at_once:
            assert broker.unanswered(bars, 0, 9) == 4
            bench.clock.now_ns = bars[-1].ts
            broker.on_block(bars, 0, 4)
        else:
            bench.publish(*bars)
        states.append(state_of(broker, frozenset({"context", "emit", "parameters", "lock"})))
    assert states[0] == states[1]


def test_bars_of_several_symbols_are_not_looked_through_for_many_orders():
    broker, bench = a_bench()
    bars = of_two(*[("MSFT", 100.0), ("AAPL", 100.0)] * 2)
    bench.publish(a_bar(0, c=100))
    for number in range(64):
        order = an_order(f"{number}", ts=T0, order_type=OrderType.LIMIT, limit_price=90.0 - number)
        bench.publish(SubmitOrder(order, "broker"))
    bench.publish(a_bar(1, c=100))
    assert broker.unanswered(bars, 0, 9) == 4
    bench.publish(SubmitOrder(an_order("65", ts=T0, order_type=OrderType.LIMIT, limit_price=20.0), "broker"))
    assert broker.unanswered(bars, 0, 9) == 0


def test_nothing_is_said_of_quotes_and_of_orders_that_every_bar_meets():
    assert waiting().unanswered(Block([Quote(T0, "AAPL", 99.0, 1.0, 101.0, 1.0)]), 0, 9) == 0
    trailing = {
        "order_type": OrderType.TRAILING_STOP,
        "limit_price": None,
        "trail_amount": 50.0,
        "direction": Direction.SELL,
    }
    assert waiting(**trailing).unanswered(Block([a_bar(2, c=100)]), 0, 9) == 0
    assert waiting(**trailing).unanswered(of_two(("MSFT", 1.0), ("AAPL", 100.0)), 0, 9) == 1
