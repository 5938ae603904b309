"""The loop over the bars: the broker matches, the strategy's wish becomes risk's order, the portfolio takes a point."""

from __future__ import annotations

import numpy as np

from deploy.optimize.compiled.fills import RISK_DUST, fill, market_price
from deploy.optimize.compiled.jit import compiled
from deploy.optimize.compiled.rounding import EXACT, rounded, steps, tidy
from deploy.optimize.compiled.state import AT_NEXT_OPEN, KEEP, LATEST, Ints, Records, Rules, State

_DECIMALS = 9
"""Of an order's quantity."""


@compiled
def run(rules: Rules, instruments: Records, tape: Records, direction: Ints, state: State) -> None:
    """All bars, from the first to the end of the data. `direction` is what the strategy wants from a bar's close on."""
    books = state.books
    wants = np.zeros(len(books), np.int64)
    last = tape[-1].ts
    closing = False
    now = tape[0].ts
    for row in range(len(tape)):
        bar = tape[row]
        if bar.ts != now:
            _take_point(instruments, books, state.totals, state.curve)
            now = bar.ts
        if now == last and not closing and rules.close_at_end == AT_NEXT_OPEN:
            closing = True
            close_positions(rules, instruments, tape, state, now, False)
        symbol = bar.code
        books[symbol].row = row
        books[symbol].mark = bar.close
        if books[symbol].head >= 0:
            on_bar(rules, instruments, tape, state, row)
        if direction[row] != 0 and direction[row] != wants[symbol]:
            wants[symbol] = direction[row]
            if not closing:
                _on_signal(rules, instruments, tape, state, row, float(direction[row]))
        if books[symbol].head >= 0:
            forget_done(state, symbol)
    if rules.close_at_end != KEEP:
        close_positions(rules, instruments, tape, state, now, True)
    _take_point(instruments, books, state.totals, state.curve)


@compiled
def on_bar(rules: Rules, instruments: Records, tape: Records, state: State, row: int) -> None:
    """The symbol's orders meet the bar in the order of their arrival."""
    bar = tape[row]
    index = state.books[bar.code].head
    while index >= 0:
        order = state.orders[index]
        match(rules, instruments, state, order, bar, row, market_price(rules, bar, order.sign), bar.ts)
        index = order.following


@compiled
def match(
    rules: Rules,
    instruments: Records,
    state: State,
    order: Records,
    bar: Records,
    row: int,
    price: float,
    now: int,
) -> None:
    """Fill as much of an order as the bar's volume allows; what is left goes on working."""
    book = state.books[bar.code]
    capped = rules.limit_pct < np.inf
    if capped and book.budget_row != row:
        book.budget_row = row
        book.budget = _budget(bar.volume * rules.limit_pct, instruments[bar.code].lot)
    if capped and bar.volume <= 0:
        return
    quantity = _wanted(order, book)
    if capped:
        quantity = min(quantity, book.budget)
    if quantity > 0:
        if capped:
            book.budget = tidy(book.budget - quantity)
        fill(rules, instruments, state, order, bar, price, quantity, now)
    if order.reduces and -order.sign * book.at_broker <= 0:
        order.leaves = 0.0


@compiled
def _budget(volume: float, lot: float) -> float:
    """The whole lots, or units, in a volume."""
    if lot == 0:
        lot = 1.0
    return tidy(np.floor(volume / lot + 1e-9) * lot)


@compiled
def _wanted(order: Records, book: Records) -> float:
    """What is left of an order; of one that only reduces, no more than there is to reduce."""
    return min(order.leaves, max(-order.sign * book.at_broker, 0.0)) if order.reduces else order.leaves


@compiled
def _on_signal(rules: Rules, instruments: Records, tape: Records, state: State, row: int, sign: float) -> None:
    """Order what is missing to the position that the strategy wants."""
    bar = tape[row]
    held = _expected(state, bar.code) * sign
    if held > 0:
        return
    opening = 0.0
    if sign > 0 or rules.allow_short:
        opening = _opening(rules, instruments, state, bar)
    quantity = rounded(-held + opening, _DECIMALS)
    if quantity > 0:
        index = submit(instruments, state, bar.code, sign, quantity, False)
        if index >= 0 and rules.fill_price == LATEST:
            match(rules, instruments, state, state.orders[index], bar, row, bar.close, bar.ts)


@compiled
def _expected(state: State, symbol: int) -> float:
    """The position once the working orders have filled, as risk knows them."""
    quantity, index = state.books[symbol].at_risk, state.books[symbol].head
    while index >= 0:
        order = state.orders[index]
        quantity += order.sign * order.expected
        index = order.following
    return quantity if abs(quantity) > RISK_DUST else 0.0


@compiled
def _opening(rules: Rules, instruments: Records, state: State, bar: Records) -> float:
    """The size of a new position."""
    instrument = instruments[bar.code]
    wanted = rules.quantity
    if rules.percent > 0:
        if bar.close <= 0:
            return 0.0
        value = _equity_at_risk(instruments, state) * rules.percent / 100
        wanted = value / (bar.close * instrument.multiplier)
        if instrument.lot == 0:
            return max(0.0, np.floor(wanted + 1e-9))
    elif instrument.lot == 0:
        return wanted
    lots = max(0.0, np.floor(wanted / instrument.lot + 1e-9))
    if not lots * instrument.lot_units < EXACT:
        state.totals[0].too_many_lots = 1
    return steps(lots, instrument.lot_units, instrument.lot_scale)


@compiled
def _equity_at_risk(instruments: Records, state: State) -> float:
    """Cash and what is held, added up as risk does."""
    books, totals = state.books, state.totals[0]
    value = totals.cash
    for index in range(totals.held):
        symbol = books[index].held
        value += books[symbol].at_risk * books[symbol].mark * instruments[symbol].multiplier
    return value


@compiled
def submit(instruments: Records, state: State, symbol: int, sign: float, quantity: float, reduces: bool) -> int:
    """A new market order, that waits for the symbol's next bar; -1 if the order manager refuses it."""
    totals, instrument = state.totals[0], instruments[symbol]
    index = totals.orders
    totals.orders += 1
    smallest = 0.0 if reduces else instrument.minimum
    if quantity < smallest or quantity > instrument.maximum:
        totals.rejected += 1
        return -1
    order = state.orders[index]
    order.number = index
    order.sign = sign
    order.quantity = quantity
    order.leaves = quantity
    order.expected = quantity
    order.reduces = reduces
    _append(state, symbol, index)
    return index


@compiled
def _append(state: State, symbol: int, index: int) -> None:
    """Put an order at the end of its symbol's list."""
    book = state.books[symbol]
    state.orders[index].following = -1
    if book.head < 0:
        book.head = index
    else:
        state.orders[book.tail].following = index
    book.tail = index


@compiled
def forget_done(state: State, symbol: int) -> None:
    """Take the orders that have nothing left out of the symbol's list."""
    book = state.books[symbol]
    index = book.head
    book.head = -1
    while index >= 0:
        following = state.orders[index].following
        if state.orders[index].leaves > 0:
            _append(state, symbol, index)
        index = following


@compiled
def close_positions(rules: Rules, instruments: Records, tape: Records, state: State, now: int, ended: bool) -> None:
    """Cancel all orders and close all positions; once the data have ended, at the last price and without a cap."""
    for symbol in range(len(state.books)):
        state.books[symbol].head = -1
    for symbol in range(len(state.books)):
        book = state.books[symbol]
        if book.at_risk == 0:
            continue
        sign = -1.0 if book.at_risk > 0 else 1.0
        index = submit(instruments, state, symbol, sign, rounded(abs(book.at_risk), _DECIMALS), True)
        if index < 0:
            continue
        order, bar = state.orders[index], tape[book.row]
        if ended:
            fill_at_last_price(rules, instruments, state, order, bar, now)
        elif rules.fill_price == LATEST:
            match(rules, instruments, state, order, bar, book.row, bar.close, now)


@compiled
def fill_at_last_price(
    rules: Rules, instruments: Records, state: State, order: Records, bar: Records, now: int
) -> None:
    """After the end of the data: in full, at the close of the symbol's last bar."""
    quantity = _wanted(order, state.books[bar.code])
    if quantity > 0:
        fill(rules, instruments, state, order, bar, bar.close, quantity, now)


@compiled
def _take_point(instruments: Records, books: Records, all_totals: Records, curve: Records) -> None:
    """A point of the equity curve: cash, and the portfolio's positions at their last prices."""
    totals = all_totals[0]
    gross = 0.0
    net = 0.0
    for index in range(totals.open):
        symbol = books[index].open
        value = books[symbol].quantity * books[symbol].mark * instruments[symbol].multiplier
        net += value
        gross += abs(value)
    point = curve[totals.points]
    point.equity = totals.cash + net
    point.exposure = gross
    totals.points += 1
