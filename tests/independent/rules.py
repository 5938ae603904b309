"""What the strategies under comparison do: from a bar, and its number, to orders in plain words.

Nothing here knows ADMF-Trader or backtrader. A rule sees no fills, so that one difference cannot hide behind another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final, NamedTuple

from tests.independent.bars import Row

BUY, SELL = 1, -1


class Kind(Enum):
    """Order types."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop-limit"


class Ticket(NamedTuple):
    """An order. `days` is how many calendar days it is good for, None without end.

    One with a `parent` waits until that has filled. Of those with the same `group` one cancels the others.
    """

    name: str
    symbol: str
    side: int
    quantity: float
    kind: Kind
    limit: float | None = None
    stop: float | None = None
    days: int | None = None
    parent: str = ""
    group: str = ""


class Cancel(NamedTuple):
    """Take an order back, if it still works."""

    name: str


Rule = Callable[[str, int, Row], Iterator[Ticket | Cancel]]
"""Given symbol, the bar's number from 1 on, and the bar."""

PATIENCE: Final = 6
"""Bars after which an order that has not filled is cancelled."""


def market_entries(symbol: str, n: int, bar: Row) -> Iterator[Ticket | Cancel]:
    """With the day's move, on every other day."""
    if n % 2 == 0:
        yield Ticket(f"{symbol}-{n}", symbol, _with_the_day(bar), 5 + n % 7, Kind.MARKET)


def resting_limits(symbol: str, n: int, bar: Row) -> Iterator[Ticket | Cancel]:
    """Against the day's move: at, below and sometimes above the market. Some have a date, the others are cancelled."""
    if n % 2 == 0:
        distance = (0.01, 0.0, 0.025, 0.004, -0.01, 0.06)[n // 2 % 6]
        side = -_with_the_day(bar)
        days = 5 if n % 4 == 0 else None
        limit = round(bar.close * (1 - side * distance), 2)
        yield Ticket(f"{symbol}-{n}", symbol, side, 5 + n % 7, Kind.LIMIT, limit=limit, days=days)
        yield from _cancel_old(symbol, n)


def stop_entries(symbol: str, n: int, bar: Row) -> Iterator[Ticket | Cancel]:
    """With the day's move: beyond the market, at it, and sometimes where it has been already."""
    if n % 2 == 0:
        distance = (0.01, 0.0, 0.025, 0.004, -0.01, 0.05)[n // 2 % 6]
        side = _with_the_day(bar)
        stop = round(bar.close * (1 + side * distance), 2)
        yield Ticket(f"{symbol}-{n}", symbol, side, 5 + n % 7, Kind.STOP, stop=stop)
        yield from _cancel_old(symbol, n)


def stop_limits_beyond(symbol: str, n: int, bar: Row) -> Iterator[Ticket | Cancel]:
    """Stop-limit orders with a limit at the stop or beyond it: they may pay a little more than the stop."""
    yield from _stop_limits(symbol, n, bar, (0.0, 0.003, 0.01))


def stop_limits_inside(symbol: str, n: int, bar: Row) -> Iterator[Ticket | Cancel]:
    """Stop-limit orders that want a better price than the stop: the price has to come back after it was touched."""
    yield from _stop_limits(symbol, n, bar, (-0.004, -0.01, -0.002))


def wide_brackets(symbol: str, n: int, bar: Row) -> Iterator[Ticket | Cancel]:
    """Brackets whose target and stop are too far apart for one bar."""
    yield from _brackets(symbol, n, bar, target=0.16, loss=0.11)


def narrow_brackets(symbol: str, n: int, bar: Row) -> Iterator[Ticket | Cancel]:
    """Brackets whose target and stop often lie both inside one bar."""
    yield from _brackets(symbol, n, bar, target=0.012, loss=0.01)


def withdrawn_brackets(symbol: str, n: int, bar: Row) -> Iterator[Ticket | Cancel]:
    """Wide brackets whose entry is cancelled after eight bars, whether or not it has filled."""
    yield from _brackets(symbol, n, bar, target=0.16, loss=0.11)
    if n > 8 and n % 4 == 0:
        yield Cancel(f"{symbol}-{n - 8}")


def straddles(symbol: str, n: int, bar: Row) -> Iterator[Ticket | Cancel]:
    """A buy stop above the market and a sell stop below it, of which one cancels the other."""
    if n % 3 == 0:
        group = f"{symbol}-{n}"
        for side in (BUY, SELL):
            stop = round(bar.close * (1 + side * 0.015), 2)
            yield Ticket(f"{group}{side:+d}", symbol, side, 5 + n % 7, Kind.STOP, stop=stop, group=group)
            if n > PATIENCE:
                yield Cancel(f"{symbol}-{n - PATIENCE}{side:+d}")


def _brackets(symbol: str, n: int, bar: Row, target: float, loss: float) -> Iterator[Ticket | Cancel]:
    if n % 4:
        return
    name, side, quantity = f"{symbol}-{n}", _with_the_day(bar), 5 + n % 7
    kind = (Kind.MARKET, Kind.LIMIT, Kind.STOP)[n // 4 % 3]
    entry = round(bar.close * (1 - side * 0.008), 2) if kind is Kind.LIMIT else None
    trigger = round(bar.close * (1 + side * 0.008), 2) if kind is Kind.STOP else None
    days = None if kind is Kind.MARKET else 9
    yield Ticket(name, symbol, side, quantity, kind, limit=entry, stop=trigger, days=days)
    stop, limit = round(bar.close * (1 - side * loss), 2), round(bar.close * (1 + side * target), 2)
    yield Ticket(f"{name}-stop", symbol, -side, quantity, Kind.STOP, stop=stop, parent=name, group=name)
    yield Ticket(f"{name}-target", symbol, -side, quantity, Kind.LIMIT, limit=limit, parent=name, group=name)


def _stop_limits(symbol: str, n: int, bar: Row, allowances: tuple[float, ...]) -> Iterator[Ticket | Cancel]:
    if n % 2 == 0:
        side = _with_the_day(bar)
        stop = round(bar.close * (1 + side * (0.01, 0.004, 0.02, -0.005)[n // 2 % 4]), 2)
        limit = round(stop * (1 + side * allowances[n // 2 % 3]), 2)
        yield Ticket(f"{symbol}-{n}", symbol, side, 5 + n % 7, Kind.STOP_LIMIT, limit=limit, stop=stop)
        yield from _cancel_old(symbol, n)


def _cancel_old(symbol: str, n: int) -> Iterator[Cancel]:
    if n > PATIENCE:
        yield Cancel(f"{symbol}-{n - PATIENCE}")


def _with_the_day(bar: Row) -> int:
    return BUY if bar.close >= bar.open else SELL


RULES: Final[dict[str, Rule]] = {
    rule.__name__: rule
    for rule in (
        market_entries,
        resting_limits,
        stop_entries,
        stop_limits_beyond,
        stop_limits_inside,
        wide_brackets,
        narrow_brackets,
        withdrawn_brackets,
        straddles,
    )
}
