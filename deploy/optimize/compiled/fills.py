"""What a fill costs, and what everybody books of it, operation by operation as the components do."""

from __future__ import annotations

import numpy as np

from deploy.optimize.compiled.jit import compiled
from deploy.optimize.compiled.rounding import steps, tidy, tidy_difference
from deploy.optimize.compiled.state import (
    CLOSE,
    CONSERVATIVE,
    FIXED_SLIPPAGE,
    LATEST,
    PER_ORDER,
    PER_SHARE,
    PERCENTAGE,
    PERCENTAGE_SLIPPAGE,
    VOLUME_SLIPPAGE,
    VWAP,
    Records,
    Rules,
    State,
)

RISK_DUST = 0.5e-9
_BOOK_DUST = 1e-12
_REMAINDER = 1e-9


@compiled
def market_price(rules: Rules, bar: Records, sign: float) -> float:
    """A market order's price in a bar, before slippage."""
    how = rules.fill_price
    if how in (LATEST, CLOSE):
        return bar.close
    if how == VWAP:
        return (bar.open + bar.high + bar.low + bar.close) / 4.0 if bar.volume > 0 else bar.close
    if how == CONSERVATIVE:
        return bar.high if sign > 0 else bar.low
    return bar.open


@compiled
def _impact(rules: Rules, quantity: float, volume: float) -> float:
    """Slippage as a fraction of the price."""
    if rules.slippage == FIXED_SLIPPAGE:
        return rules.slippage_1
    if rules.slippage == PERCENTAGE_SLIPPAGE:
        return min(rules.slippage_1 + quantity * rules.slippage_2, rules.slippage_3)
    if rules.slippage == VOLUME_SLIPPAGE:
        share = rules.slippage_2
        if volume > 0:
            share = min(quantity / volume, share)
        return rules.slippage_1 * share * share
    return 0.0


@compiled
def _slipped(price: float, sign: float, fraction: float) -> float:
    if price <= 0:
        return price * (1.0 - fraction) if sign > 0 else price * (1.0 + fraction)
    return max(price * (1.0 + fraction) if sign > 0 else price * (1.0 - fraction), 0.0)


@compiled
def _paid(rules: Rules, instrument: Records, bar: Records, price: float, sign: float, quantity: float) -> float:
    """The market's price with slippage, on a tick against the trader, inside the bar if so configured."""
    price = _slipped(price, sign, _impact(rules, quantity, bar.volume))
    if instrument.tick != 0:
        ticks = price / instrument.tick
        whole = np.ceil(ticks - 1e-6) if sign > 0 else np.floor(ticks + 1e-6)
        price = steps(whole, instrument.tick_units, instrument.tick_scale)
    if rules.within_bar:
        price = min(max(price, bar.low), bar.high)
    return price


@compiled
def _charged(rules: Rules, order: Records, quantity: float, value: float) -> float:
    """The commission of a fill: what its order owes by now, less what it has paid."""
    order.value += value
    if rules.commission == PER_ORDER:
        order.cost = rules.rate
    elif rules.commission == PERCENTAGE:
        order.cost += rules.rate * value
    elif rules.commission == PER_SHARE:
        order.cost += rules.rate * quantity
    owed = order.cost
    if rules.minimum > 0:
        owed = max(owed, rules.minimum)
    owed = min(owed, rules.maximum)
    if rules.maximum_pct < np.inf:
        owed = min(owed, rules.maximum_pct * order.value)
    commission = owed - order.paid
    order.paid = owed
    return commission


@compiled
def fill(
    rules: Rules,
    instruments: Records,
    state: State,
    order: Records,
    bar: Records,
    reference: float,
    quantity: float,
    now: int,
) -> None:
    """Execute `quantity` of an order against a bar, at the market's price `reference`, and let everybody book it."""
    symbol, sign = bar.code, order.sign
    instrument, book, totals = instruments[symbol], state.books[symbol], state.totals[0]
    order.filled = tidy(order.filled + quantity)
    left = tidy(order.quantity - order.filled)
    order.leaves = 0.0 if left <= _REMAINDER * order.quantity else left
    book.at_broker = tidy(book.at_broker + sign * quantity)
    price = _paid(rules, instrument, bar, reference, sign, quantity)
    value = price * quantity * instrument.multiplier
    commission = _charged(rules, order, quantity, abs(value))
    slippage_cost = tidy_difference(sign * (price - reference), price) * quantity * instrument.multiplier
    if totals.fills < len(state.fills):
        kept = state.fills[totals.fills]
        kept.ts = now
        kept.symbol = symbol
        kept.order = order.number
        kept.quantity = sign * quantity
        kept.price = price
        kept.commission = commission
    totals.fills += 1
    totals.cash -= value * sign + commission
    totals.fees += commission
    totals.slippage_cost += slippage_cost
    totals.traded += abs(value)
    _book(state, instrument, symbol, sign, quantity, price, commission, now)
    _tell_risk(state, order, symbol, quantity)


@compiled
def _tell_risk(state: State, order: Records, symbol: int, quantity: float) -> None:
    """Risk keeps its position, and the symbols that it holds in the order of their last fill."""
    books, totals = state.books, state.totals[0]
    order.expected = max(0.0, order.expected - quantity)
    position = books[symbol].at_risk + order.sign * quantity
    totals.held = _without(books.held, totals.held, symbol)
    if abs(position) > RISK_DUST:
        books[symbol].at_risk = position
        books[totals.held].held = symbol
        totals.held += 1
    else:
        books[symbol].at_risk = 0.0


@compiled
def _without(listed: Records, size: int, symbol: int) -> int:
    """Take a symbol out of a list; the new size."""
    kept = 0
    for index in range(size):
        if listed[index] != symbol:
            listed[kept] = listed[index]
            kept += 1
    return kept


@compiled
def _book(
    state: State,
    instrument: Records,
    symbol: int,
    sign: float,
    quantity: float,
    price: float,
    fees: float,
    now: int,
) -> None:
    """What is held the other way is closed before anything is opened; costs are split by quantity."""
    books, totals = state.books, state.totals[0]
    book = books[symbol]
    was_open = book.quantity != 0
    if book.quantity * sign >= 0:
        _open(book, sign, quantity, price, fees, now)
    else:
        closed = min(abs(book.quantity), quantity)
        share = closed / quantity
        _close(state, instrument, book, sign, closed, price, fees * share, now)
        rest = quantity - closed
        if rest > _BOOK_DUST * quantity:
            _open(book, sign, rest, price, fees - fees * share, now)
    if book.quantity == 0:
        totals.open = _without(books.open, totals.open, symbol)
    elif not was_open:
        books[totals.open].open = symbol
        totals.open += 1


@compiled
def _open(book: Records, sign: float, quantity: float, price: float, fees: float, now: int) -> None:
    held = abs(book.quantity)
    if held == 0:
        book.entry_ts = now
    book.average = (book.average * held + price * quantity) / (held + quantity)
    book.quantity += quantity * sign
    book.entry_fees += fees


@compiled
def _close(
    state: State,
    instrument: Records,
    book: Records,
    sign: float,
    closed: float,
    price: float,
    fees: float,
    now: int,
) -> None:
    """Close part of a holding: a round trip."""
    totals, before = state.totals[0], abs(book.quantity)
    share = closed / before
    entry_fees = book.entry_fees * share
    gain = (price - book.average) * -sign * closed * instrument.multiplier
    pnl = gain - (entry_fees + fees)
    if totals.trades < len(state.trades):
        trade = state.trades[totals.trades]
        trade.pnl = pnl
        trade.quantity = closed
        trade.entry_ts = book.entry_ts
        trade.exit_ts = now
    totals.trades += 1
    totals.realised += pnl
    book.quantity -= closed * -sign
    book.entry_fees -= entry_fees
    if abs(book.quantity) <= _BOOK_DUST * before:
        book.quantity = 0.0
        book.average = 0.0
        book.entry_fees = 0.0
