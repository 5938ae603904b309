"""Limit orders that rest: how components tell each other of many at once that nobody meets (see `bus.express`).

They come and are cancelled on the closes of bars of one symbol, in a stretch of bars none of which reaches one of them.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from schemas import CancelOrder, Order, Signal

Request = Order | CancelOrder


class Answered(msgspec.Struct, eq=False, gc=False):
    """A bar that was answered with signals, and these with requests; `at` is its index in the block, `ts` its time.

    `answers` are the requests signal by signal, `requests` all of them in order: of a single signal the same list.
    Times are in ns UTC.
    """

    at: int
    ts: int
    signals: list[Signal]
    answers: list[list[Request]]
    requests: list[Request]


class RestingOrders(NamedTuple):
    """What comes in a stretch of bars.

    Each order is plain: a limit order, good till cancelled, with nothing that would make it wait or depend on another.
    Each cancel is of such an order, which works and came with an earlier bar; no two are of the same one. The last bar
    of the stretch is at `end_ts`.
    """

    symbol: str
    answered: list[Answered]
    end_ts: int
    signals: int
    orders: int
    cancels: int
    """How many there are."""
