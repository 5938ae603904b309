"""What a log needs to know of plain orders that were taken together: the messages that they would have been."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.runtime.plain import Accounts, PlainFills, PlainOrders, Trips, direction_of
from bus.stretch_records import (
    PAYLOAD,
    Column,
    Part,
    Pattern,
    alike,
    codes_of,
    equally_long,
    lengths,
    lengths_in_counter,
    lengths_of,
    numbered,
    texts,
)
from components.order_manager.record import first_steps
from schemas import (
    ClosedTrade,
    FeeLine,
    Fill,
    Liquidity,
    Message,
    Order,
    OrderState,
    OrderStatus,
    PositionUpdate,
    Signal,
    SubmitOrder,
)
from schemas.codec import encode

_TAKER: Final = Liquidity.TAKER
_ROUTED: Final = OrderState.ROUTED
_FILLED: Final = OrderState.FILLED
_BAR: Final = 0
_NONE: Final = -1
"""The number of no fill, signal, order or round trip."""

Numbers = NDArray[np.int64]


class Happened(NamedTuple):
    """All that a stretch brought about. `signals_at` are indexes in the block, as `at` of orders and fills.

    Of the orders the first `known` were made before the stretch, of the fills the first so many are theirs. `sources`
    are ids by component type, `broker` is the broker's name and `rule` that of its fills.
    """

    signals: Sequence[Signal]
    signals_at: Sequence[int]
    orders: PlainOrders
    known: int
    fills: PlainFills
    accounts: Accounts
    trips: Trips
    sources: dict[str, int]
    broker: str
    rule: str


class _Rows(NamedTuple):
    """Bars that were answered alike: their indexes, and of each its fill, signal, order and round trip."""

    at: Numbers
    fills: Numbers
    signals: Numbers
    orders: Numbers
    trips: Numbers


def joined(stretches: Sequence[tuple[int, Happened]]) -> Happened:
    """What stretches that followed each other brought about; the number of each is taken from its bars' indexes."""
    shift, first = stretches[0]
    if len(stretches) == 1 and not shift:
        return first
    happened = [each for _, each in stretches]
    signals_at = [at - shift for shift, each in stretches for at in each.signals_at]
    orders_at = [each.orders.at - shift for shift, each in stretches]
    fills_at = [each.fills.at - shift for shift, each in stretches]
    # What waited when a stretch began is the last order of the one before.
    begins = [0 if each is first else each.known for each in happened]
    orders = [
        (each.orders.ids[begin:], at[begin:], *(column[begin:] for column in each.orders[3:]))
        for each, at, begin in zip(happened, orders_at, begins, strict=True)
    ]
    fills = [(each.fills.ids, at, *each.fills[2:]) for each, at in zip(happened, fills_at, strict=True)]
    filled = itertools.accumulate((len(each.fills.ids) for each in happened), initial=0)
    trips = [
        (each.trips.ids, each.trips.fills + before, *each.trips[2:])
        for each, before in zip(happened, filled, strict=False)
    ]
    return first._replace(
        signals=[signal for each in happened for signal in each.signals],
        signals_at=signals_at,
        orders=PlainOrders(first.orders.symbol, *_chained(orders)),
        fills=PlainFills(*_chained(fills)),
        accounts=Accounts(*_chained([each.accounts for each in happened])),
        trips=Trips(*_chained(trips)),
    )


def _chained(rows: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """Column by column, the values of all rows: lists or arrays, tuples of these, or None."""
    for columns in zip(*rows, strict=True):
        if isinstance(columns[0], np.ndarray):
            yield np.concatenate(columns)
        elif isinstance(columns[0], list):
            yield list(itertools.chain.from_iterable(columns))
        else:
            yield None if columns[0] is None else tuple(_chained(columns))


def patterns_of(happened: Happened) -> list[Pattern]:
    """The patterns of the answers to the stretch's bars."""
    columns = _Columns(happened)
    return [_pattern(happened, columns, rows) for rows in _alike(_rows_of(happened), _kinds(happened, columns))]


def _rows_of(happened: Happened) -> _Rows:
    """All bars that were answered."""
    fills, trips = happened.fills, happened.trips
    signals_at, orders_at = np.array(happened.signals_at, np.int64), happened.orders.at[happened.known :]
    bars = 1 + max(int(at.max(initial=0)) for at in (signals_at, fills.at))
    fill, signal, order = (_by_bar(bars, at) for at in (fills.at, signals_at, orders_at))
    trip_of_fill = _by_bar(len(fills.ids) + 1, trips.fills)
    at = np.flatnonzero((fill != _NONE) | (signal != _NONE))
    order[order != _NONE] += happened.known
    return _Rows(at, fill[at], signal[at], order[at], trip_of_fill[fill[at]])


def _by_bar(bars: int, at: Numbers) -> Numbers:
    """By index of a bar, the number of what is there, `_NONE` if nothing is."""
    numbers = np.full(bars, _NONE)
    numbers[at] = np.arange(len(at))
    return numbers


class _Kinds(NamedTuple):
    """Of each fill, signal, order and round trip a number; with equal ones, messages differ in nothing but columns."""

    fills: Column
    signals: Column
    orders: Column
    trips: Column


def _kinds(happened: Happened, columns: _Columns) -> _Kinds:
    orders, fills, trips = happened.orders, happened.fills, happened.trips
    count, buys = len(fills.ids), orders.signed > 0
    fees = numbered(tuple(line.name for line in lines) for lines in fills.fees or ())
    return _Kinds(
        codes_of(buys[:count], lengths_in_counter(orders.ids[:count]), lengths_in_counter(fills.ids), fees),
        lengths(columns.signals),
        codes_of(buys, lengths_in_counter(orders.ids), lengths_of(orders.reasons)),
        codes_of(trips.closed > 0, lengths_in_counter(trips.ids), lengths_in_counter(trips.entry_fills)),
    )


def _kind(happened: Happened, columns: _Columns, rows: _Rows) -> tuple[Any, ...]:
    """What the answers to these bars have in common, and those to others need not."""
    orders, fills, trips = happened.orders, happened.fills, happened.trips
    fill, signal, order, trip = (int(column[0]) for column in rows[1:])
    kind: list[Any] = [orders.symbol, None if signal == _NONE else len(columns.signals[signal])]
    if fill != _NONE:
        names = tuple(line.name for line in fills.fees[fill]) if fills.fees else ()
        kind += [orders.signed[fill] > 0, len(orders.ids[fill]), len(fills.ids[fill]), names, fills.budgets is None]
    kind.append(None)
    if order != _NONE:
        kind += [orders.signed[order] > 0, len(orders.ids[order]), len(orders.reasons[order].encode())]
    kind.append(None)
    if trip != _NONE:
        kind += [trips.closed[trip] > 0, len(trips.ids[trip]), len(trips.entry_fills[trip])]
    return tuple(kind)


def _alike(rows: _Rows, kinds: _Kinds) -> Iterator[_Rows]:
    """The rows, sorted into those that are alike."""
    for these in alike(len(rows.at), *map(_by_row, rows[1:], kinds)):
        yield _Rows(*(column[these] for column in rows))


def _by_row(numbers: Numbers, kind: Column) -> NDArray[Any]:
    """The kind of what has these numbers, above 0; 0 for nothing."""
    return numbers != _NONE if kind is None else np.append(kind, _NONE)[numbers] + 1


_ORDER: Final = ("ts", "quantity")
_FILL: Final = ("ts", "quantity", "price", "reference_price", "slippage", "commission", "budget_before", "budget_after")
_ACCOUNT: Final = ("held", "average_price", "realised_pnl", "cash", "fees", "average_fill_price")
_TRIP: Final = (
    "quantity",
    "entry_ts",
    "entry_price",
    "exit_ts",
    "exit_price",
    "realised_pnl",
    "fees",
    "slippage_cost",
)
"""What the words of orders, fills with the account after them, and round trips are."""


class _Columns:
    """The words of a stretch, and its ids."""

    def __init__(self, happened: Happened) -> None:
        orders, fills, trips, signals = happened.orders, happened.fills, happened.trips, happened.signals
        count = len(fills.ids)
        budgets = fills.budgets or (np.zeros(count), np.zeros(count))
        costs = (fills.prices, fills.references, fills.slippages, fills.commissions, *budgets)
        self.orders = _words(orders.ts, orders.quantities)
        self.fills = _words(fills.ts, orders.quantities[:count], *costs, *happened.accounts, 0.0 + fills.prices)
        self.signals = list(map(encode, signals))
        """Their payloads."""
        prices = (trips.entry_prices, trips.exit_ts, trips.exit_prices)
        paid = (trips.realised, trips.fees, trips.slippages)
        self.trips = _words(np.abs(trips.closed), trips.entry_ts, *prices, *paid)
        self.order_ids, self.fill_ids, self.trip_ids = _Ids(orders.ids), _Ids(fills.ids), _Ids(trips.ids)
        self.entry_ids, self.exit_ids = _Ids(trips.entry_fills), _Ids(trips.exit_fills)


def _words(*columns: NDArray[Any]) -> NDArray[np.int64]:
    """A row for each column."""
    return np.array([column.view(np.int64) for column in columns])


class _Ids:
    """Ids of a counter, of which columns are made."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._all = texts(ids) if ids and len(ids[0]) == len(ids[-1]) else None

    def __getitem__(self, numbers: Numbers) -> NDArray[np.void]:
        """A column of those with these numbers, which are equally long."""
        if self._all is not None:
            return self._all[numbers]
        return texts([self._ids[number] for number in numbers.tolist()])


def _pattern(happened: Happened, columns: _Columns, rows: _Rows) -> Pattern:
    words: list[NDArray[np.int64]] = [np.zeros((0, len(rows.at)), np.int64)]
    column_of: dict[str, NDArray[np.void]] = {}
    if rows.fills[0] != _NONE:
        words += [columns.fills[:, rows.fills], _fee_words(happened, rows.fills)]
        column_of |= {"fill": columns.fill_ids[rows.fills], "filled": columns.order_ids[rows.fills]}
    if rows.signals[0] != _NONE:
        column_of["signal"] = equally_long([columns.signals[number] for number in rows.signals.tolist()])
    if rows.orders[0] != _NONE:
        words.append(columns.orders[:, rows.orders])
        column_of["order"] = columns.order_ids[rows.orders]
        if happened.orders.reasons[rows.orders[0]]:
            column_of["reason"] = texts([happened.orders.reasons[number] for number in rows.orders.tolist()])
    if rows.trips[0] != _NONE:
        words.append(columns.trips[:, rows.trips])
        column_of["trip"] = columns.trip_ids[rows.trips]
        column_of |= {"entry": columns.entry_ids[rows.trips], "exit": columns.exit_ids[rows.trips]}
    parts = partial(_parts, happened, rows, list(column_of))
    return Pattern(rows.at, _kind(happened, columns, rows), np.concatenate(words), list(column_of.values()), parts)


def _fee_words(happened: Happened, numbers: Numbers) -> NDArray[np.int64]:
    """A row for each fee line of these fills."""
    fees = happened.fills.fees
    amounts = [] if fees is None else [[line.amount for line in fees[number]] for number in numbers.tolist()]
    return np.array(amounts, np.float64).reshape(len(numbers), -1).T.copy().view(np.int64)


def _parts(happened: Happened, rows: _Rows, ids: Sequence[str]) -> list[Part]:
    """The answers to bars that were answered alike, in the order in which they are given, made of the first of them."""
    fill, signal, order, trip = (int(column[0]) for column in rows[1:])
    fees = happened.fills.fees[fill] if fill != _NONE and happened.fills.fees else ()
    fee_names = tuple(f"fees.{line}.amount" for line in range(len(fees)))
    words: dict[type[Message], dict[str, int]] = {}
    begin = 0
    for kind, number, names in (
        (Fill, fill, _FILL),
        (PositionUpdate, fill, _ACCOUNT),
        (FeeLine, fill, fee_names),
        (Order, order, _ORDER),
        (ClosedTrade, trip, _TRIP),
    ):
        if number != _NONE:
            words[kind] = dict(zip(names, range(begin, begin + len(names)), strict=True))
            begin += len(names)
    make = _Maker(happened, words, dict(zip(ids, range(len(ids)), strict=True)))
    parts = [make.fill(fill)] if fill != _NONE else []
    if signal != _NONE:
        parts.append(make.signal(signal))
    said = len(parts)
    if fill != _NONE:
        parts += make.fill_answers(fill)
    if trip != _NONE:
        parts.append(make.trip(trip))
    return parts if order == _NONE else [*parts, *make.order(order, said, len(parts) + 1)]


@dataclass
class _Maker:
    """Makes the parts of a pattern. `words` and `texts` say which of the pattern's are which fields."""

    happened: Happened
    words: dict[type[Message], dict[str, int]]
    texts: dict[str, int]

    def fill(self, number: int) -> Part:
        """A fill."""
        happened, orders, fills = self.happened, self.happened.orders, self.happened.fills
        direction, ts = direction_of(orders.signed[number]), fills.ts[number].item()
        budget, fees = None if fills.budgets is None else 0.0, fills.fees[number] if fills.fees else ()
        costs = (0.0, ts, happened.broker, happened.rule, 0.0, 0.0, ts, 0.0, _TAKER, budget, budget, fees)
        message = Fill(fills.ids[number], orders.ids[number], orders.symbol, direction, 0.0, 0.0, *costs)
        words = {**self.words[Fill], "bar_ts": self.words[Fill]["ts"], **self.words[FeeLine]}
        if budget is None:
            del words["budget_before"], words["budget_after"]
        texts = {"fill_id": self.texts["fill"], "order_id": self.texts["filled"]}
        return Part(happened.sources["broker"], _BAR, message, words, texts)

    def signal(self, number: int) -> Part:
        """A signal."""
        message = self.happened.signals[number]
        return Part(self.happened.sources["strategy"], _BAR, message, {}, {PAYLOAD: self.texts["signal"]})

    def fill_answers(self, number: int) -> Iterator[Part]:
        """What a fill, part 1, is answered by the order manager and the portfolio."""
        happened, orders, ts = self.happened, self.happened.orders, self.happened.fills.ts[number].item()
        fill, account = self.words[Fill], dict(self.words[PositionUpdate])
        average = {"filled_quantity": fill["quantity"], "average_price": account.pop("average_fill_price")}
        status = OrderStatus(orders.ids[number], orders.symbol, _ROUTED, _FILLED, 0.0, 0.0, ts)
        texts = {"order_id": self.texts["filled"]}
        yield Part(happened.sources["order_manager"], 1, status, {"ts": fill["ts"], **average}, texts)
        update = PositionUpdate(ts, orders.symbol, 0.0, 0.0, 0.0, 0.0, 0.0)
        words = {"ts": fill["ts"], "quantity": account.pop("held"), **account}
        yield Part(happened.sources["portfolio"], 1, update, words, {})

    def trip(self, number: int) -> Part:
        """A round trip, which a fill, part 1, has closed."""
        message = self.happened.trips.message(number, self.happened.orders.symbol)
        names = {"trade_id": "trip", "entry_fill_id": "entry", "exit_fill_id": "exit"}
        texts = {name: self.texts[text] for name, text in names.items()}
        return Part(self.happened.sources["portfolio"], 1, message, self.words[ClosedTrade], texts)

    def order(self, number: int, cause: int, own: int) -> Iterator[Part]:
        """An order, which is part `own`, and what the order manager answers it."""
        happened, words, manager = self.happened, self.words[Order], self.happened.sources["order_manager"]
        message, ids = happened.orders.order(number), {"order_id": self.texts["order"]}
        texts = {**ids, "reason": self.texts["reason"]} if message.reason else ids
        yield Part(happened.sources["risk_manager"], cause, message, words, texts)
        for step in first_steps(message, message.ts):
            yield Part(manager, own, step, {"ts": words["ts"]}, ids)
        inner_words = {f"order.{name}": word for name, word in words.items()}
        inner_texts = {f"order.{name}": text for name, text in texts.items()}
        yield Part(manager, own, SubmitOrder(message, happened.broker), inner_words, inner_texts)
