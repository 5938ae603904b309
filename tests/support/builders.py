"""Messages with sane defaults, so that a test names only what it is about."""

from __future__ import annotations

from typing import Any

from schemas import Bar, Direction, Fill, Order, OrderType, Signal

DAY_NS = 86_400_000_000_000
T0 = 1_577_923_200_000_000_000  # 2020-01-02T00:00:00Z, a Thursday


def a_bar(n: int = 0, o: float = 100.0, h: float = 101.0, low: float = 99.0, c: float = 100.0, **other: Any) -> Bar:
    """The bar of the n-th day after T0."""
    values: dict[str, Any] = {"symbol": "AAPL", "volume": 1_000_000.0, "ts": T0 + n * DAY_NS, **other}
    return Bar(open=float(o), high=float(h), low=float(low), close=float(c), **values)


def an_order(order_id: str = "risk-1", **other: Any) -> Order:
    """A market order to buy 100 AAPL."""
    values: dict[str, Any] = {
        "symbol": "AAPL",
        "direction": Direction.BUY,
        "quantity": 100.0,
        "order_type": OrderType.MARKET,
        "ts": T0,
        **other,
    }
    return Order(order_id=order_id, **values)


def a_fill(fill_id: str = "broker-1", **other: Any) -> Fill:
    """A fill of 100 AAPL bought at 100 without costs."""
    values: dict[str, Any] = {
        "order_id": "risk-1",
        "symbol": "AAPL",
        "direction": Direction.BUY,
        "quantity": 100.0,
        "price": 100.0,
        "commission": 0.0,
        "ts": T0,
        "broker": "broker",
        "rule": "test",
        "slippage": 0.0,
        "bar_ts": T0,
        "leaves_quantity": 0.0,
        **other,
    }
    values.setdefault("reference_price", values["price"])
    return Fill(fill_id=fill_id, **values)


def a_signal(direction: str = "BUY", **other: Any) -> Signal:
    """A signal on AAPL at 100."""
    values: dict[str, Any] = {"ts": T0, "symbol": "AAPL", "strength": 1.0, "price": 100.0, **other}
    return Signal(direction=Direction(direction), **values)
