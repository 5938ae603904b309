"""Limit orders that rest: how components tell each other of many at once that nobody meets (see `bus.express`).

They come and are cancelled on the closes of bars of one symbol, in a stretch of bars none of which reaches one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from schemas import CancelOrder, Order, Signal

Request = Order | CancelOrder


class Answered(msgspec.Struct, eq=False, gc=False):
    """A bar that was answered with signals, and these with requests; `at` is its index in the block, `ts` its time.

    `answers` are the requests signal by signal, `requests` all of them in order: of a single signal the same list.
    Times are in ns UTC. `form` is the same where answers differ in numbers, ids and texts of equal length only; it is
    known where there is a log.
    """

    at: int
    ts: int
    signals: list[Signal]
    answers: list[list[Request]]
    requests: list[Request]
    form: tuple[Any, ...] = ()


class Came(msgspec.Struct, eq=False, gc=False):
    """An order, and when it came."""

    order: Order
    ts: int


class Cancelled(msgspec.Struct, eq=False, gc=False):
    """Why an order was cancelled, and when."""

    reason: str
    ts: int


class RestingOrders(NamedTuple):
    """What comes in a stretch of bars.

    Each order is plain: a limit order, good till cancelled, with nothing that would make it wait or depend on another.
    Each cancel is of such an order, which works and came with an earlier bar; no two are of the same one. The last bar
    of the stretch is at `end_ts`.
    """

    symbol: str
    answered: list[Answered]
    end_ts: int
    came: dict[str, Came]
    """The orders by their ids, as they came."""
    cancelled: dict[str, Cancelled]
    """What was cancelled, one after another, by id; some of it has come before the stretch."""

    def left(self) -> Iterator[tuple[int, Came]]:
        """The orders that work at the end, each with its number among all that came, from 0."""
        cancelled = self.cancelled
        return ((n, came) for n, (order_id, came) in enumerate(self.came.items()) if order_id not in cancelled)
