"""Market data."""

from __future__ import annotations

from schemas.base import Message


class Bar(Message, frozen=True, array_like=True, gc=False):
    """Open, high, low, close and volume of one interval.

    `ts` is the time at which the bar closes (ns UTC), when it can first be known. `volume` is in units of the
    instrument, summed over the interval.
    """

    ts: int
    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: float


class Quote(Message, frozen=True, array_like=True, gc=False):
    """Best bid and ask with the quantity shown at each, at `ts` (ns UTC)."""

    ts: int
    symbol: str
    bid: float
    bid_quantity: float
    ask: float
    ask_quantity: float


class Trade(Message, frozen=True, array_like=True, gc=False):
    """A trade printed by the market at `ts` (ns UTC); not one of ours, which is a `Fill`."""

    ts: int
    symbol: str
    price: float
    quantity: float
