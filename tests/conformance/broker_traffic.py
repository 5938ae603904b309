"""Traffic for any broker: orders of all kinds, cancels, amendments and market data, decided by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec

from schemas import (
    Bar,
    Direction,
    GroupType,
    Message,
    Order,
    OrderType,
    SubmitCancel,
    SubmitOrder,
    SubmitReplace,
    TimeInForce,
)
from tests.support.builders import DAY_NS, T0

SYMBOLS = ("AAPL", "MSFT")
_LIMITED = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED)
_STOPPED = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED)


def traffic(seed: int, days: int = 40, broker: str = "broker") -> Iterator[Message]:
    """Per day a bar of each symbol, then a few orders, cancels and amendments; about 5 messages a day."""
    rng = Random(seed)
    orders: list[Order] = []
    prices = dict.fromkeys(SYMBOLS, 100.0)
    for day in range(days):
        ts = T0 + day * DAY_NS
        for symbol in SYMBOLS:
            bar = _bar(rng, ts, symbol, prices[symbol])
            prices[symbol] = bar.close
            yield bar
        for _ in range(rng.randrange(4)):
            symbol = rng.choice(SYMBOLS)
            orders.append(_order(rng, ts, symbol, prices[symbol], len(orders) + 1))
            yield SubmitOrder(orders[-1], broker)
        if orders and rng.random() < 0.4:
            yield SubmitCancel(rng.choice(orders[-8:]).order_id, broker, ts)
        if orders and rng.random() < 0.4:
            old = rng.choice(orders[-8:])
            yield SubmitReplace(msgspec.structs.replace(old, quantity=float(rng.randrange(1, 600))), broker, ts)


def _bar(rng: Random, ts: int, symbol: str, last: float) -> Bar:
    opened, closed = (round(last * rng.uniform(0.97, 1.03), 2) for _ in range(2))
    high = round(max(opened, closed) * rng.uniform(1.0, 1.02), 2)
    low = round(min(opened, closed) * rng.uniform(0.98, 1.0), 2)
    return Bar(ts, symbol, opened, high, low, closed, float(rng.choice((0, 500, 2_000, 10_000))))


def _order(rng: Random, ts: int, symbol: str, last: float, number: int) -> Order:
    kind = rng.choice(list(OrderType))
    tif = rng.choice(list(TimeInForce))
    grouped = rng.random() < 0.3
    return Order(
        order_id=f"risk-{number}",
        symbol=symbol,
        direction=rng.choice(list(Direction)),
        quantity=float(rng.randrange(1, 400)),
        order_type=kind,
        ts=ts,
        limit_price=round(last * rng.uniform(0.97, 1.03), 2) if kind in _LIMITED else None,
        stop_price=round(last * rng.uniform(0.97, 1.03), 2) if kind in _STOPPED else None,
        trail_amount=2.0 if kind is OrderType.TRAILING_STOP else None,
        time_in_force=tif,
        expire_ts=ts + rng.randrange(1, 5) * DAY_NS if tif is TimeInForce.GTD else None,
        reduce_only=rng.random() < 0.1,
        post_only=kind in _LIMITED and rng.random() < 0.1,
        group_id=f"group-{number // 3}" if grouped else "",
        group_type=GroupType.OCO if grouped else GroupType.NONE,
    )
