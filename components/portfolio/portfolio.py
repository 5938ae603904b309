"""The portfolio: books every fill, values what is held, and reports at the end."""

from __future__ import annotations

from itertools import count
from typing import Annotated

from pydantic import Field

from bus.runtime import component as runtime
from bus.runtime.block import Block
from bus.runtime.component import Component, handles, query
from components.accounting.ledger import Account
from components.accounting.marks import middle
from components.portfolio.curve import Curve
from components.portfolio.plain import PlainBooking
from schemas import (
    AccountReport,
    Bar,
    Checkpoint,
    ClosedTrade,
    EquityCurve,
    Fill,
    PositionUpdate,
    Quote,
    ReportRequested,
    Trade,
)

_NS_PER_S = 1_000_000_000
_BEFORE_ALL_TIME = -(2**63)


class Parameters(runtime.Parameters):
    """`rates` is account currency per unit of another currency, constant over the run.

    `curve_interval_s` thins out the equity curve to at most one point in so many seconds; 0 keeps one a timestamp.
    """

    rates: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    curve_interval_s: float = Field(default=0.0, ge=0)


class Portfolio(Component):
    """Keeps positions, cash, round trips and the equity curve of one account.

    What is held is valued at the last close of a bar, the middle of a two-sided quote or the price of a trade,
    whichever came last; before any of them at the price of the fill. A point of the curve is taken when time moves on,
    so it has seen everything of its timestamp.
    """

    component_type = "portfolio"
    undivided = "its cash, its equity and the numbers of its round trips are of all symbols together"
    Parameters = Parameters
    emits = (PositionUpdate, ClosedTrade, EquityCurve, AccountReport)
    quiet = frozenset({Bar, Quote, Trade})

    def reset(self) -> None:
        """An account with nothing but its initial cash."""
        run = self.context.run
        trade_ids = (f"{self.name}-{n}" for n in count(1))
        self.account = Account(run.initial_cash, run.currency, run.instrument, self.parameters.rates, trade_ids)
        self.marks: dict[str, float] = {}
        self.curve = Curve(run.initial_cash)
        self._held = self.account.main.open
        self._interval = round(self.parameters.curve_interval_s * _NS_PER_S)
        self._move_on = self._end_interval if self._interval else self._take_point
        self._ts = _BEFORE_ALL_TIME

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        """Value the symbol at the bar's close. On the hot path: a few dict and array operations."""
        ts = bar.ts
        if ts > self._ts:
            self._move_on(ts)
        self.marks[bar.symbol] = bar.close

    def on_block(self, messages: Block, start: int, end: int) -> None:
        """As the handlers, one message after another; many bars at once where that is the same."""
        if messages.message_type is not Bar or not self._took(messages, start, end):
            handler = getattr(self, self._handler_names[messages.message_type])
            for message in messages[start:end]:
                handler(message)

    @handles(Quote)
    def on_quote(self, quote: Quote) -> None:
        """Value the symbol at the middle of a two-sided quote."""
        if quote.ts > self._ts:
            self._move_on(quote.ts)
        price = middle(quote)
        if price is not None:
            self.marks[quote.symbol] = price

    @handles(Trade)
    def on_trade(self, trade: Trade) -> None:
        """Value the symbol at the market's last price."""
        if trade.ts > self._ts:
            self._move_on(trade.ts)
        self.marks[trade.symbol] = trade.price

    @handles(Fill)
    def on_fill(self, fill: Fill) -> None:
        """Book the fill; say what the position is now, and the round trip if it closed one."""
        symbol, ts, main = fill.symbol, fill.ts, self.account.main
        if ts > self._ts:
            self._move_on(ts)
        if symbol not in self.marks:
            self.marks[symbol] = fill.price
        ledger, position, trip = self.account.apply(fill)
        self.curve.runs.extend((len(self.curve.times), main.cash, 1.0 if main.open else 0.0, 1.0))
        self.emit(
            PositionUpdate(
                ts,
                symbol,
                position.quantity,
                position.average_price,
                ledger.realised_pnl,
                ledger.cash,
                ledger.fees,
                ledger.currency,
            )
        )
        if trip is not None:
            self.emit(trip)

    @handles(Checkpoint)
    def on_checkpoint(self, _checkpoint: Checkpoint) -> None:
        """Publish the full blocks of the equity curve, so that it takes no more room however long the run."""
        for block in self.curve.take_blocks():
            self.emit(block)

    @handles(ReportRequested)
    def on_report_requested(self, request: ReportRequested) -> None:
        """Publish the rest of the equity curve, then the totals."""
        if self._ts != _BEFORE_ALL_TIME:
            self._take_point(self._ts)
        for block in self.curve.take_blocks(rest=True):
            self.emit(block)
        self.emit(self._report(request.ts))

    @query
    def positions(self) -> dict[str, float]:
        """Symbol to quantity, of all that is held; short positions are negative."""
        return {p.symbol: p.quantity for ledger in self.account.ledgers() for p in ledger.open.values()}

    @query
    def equity(self) -> float:
        """Cash and the value of what is held, in the account's currency."""
        return self.account.main.equity(self.marks)

    def plain(self) -> PlainBooking | None:
        """How it books many plain fills at once; None when it does not: its curve is thinned out."""
        if self._interval:
            return None
        return PlainBooking(self.account, self.curve, self.marks, self._ts, self._is_now)

    def _is_now(self, ts: int) -> None:
        self._ts = ts

    def _took(self, bars: Block, start: int, end: int) -> bool:
        """Take bars at once, if that is the same as one by one: while flat, or holding only them."""
        symbol, together, held, curve = bars.only("symbol"), 0 in bars.gaps, self._held, self.curve
        if self._interval or (held and (together or len(held) > 1 or symbol not in held)):
            return False
        times = bars.column("ts")[start:end]
        if times[0] > self._ts:
            self._take_point(times[0])
        if held:
            position, cash, closes = held[symbol], self.account.main.cash, bars.column("close")[start:end]
            curve.runs.extend((len(curve.times), cash, position.quantity, position.point_value))
            self.marks[symbol] = closes.pop()
            curve.runs.extend((len(curve.times) + len(closes), cash, 1.0, 1.0))
            curve.values.extend(closes)
        elif symbol is not None:
            self.marks[symbol] = bars[end - 1].close
        else:
            self.marks.update({bar.symbol: bar.close for bar in bars[start:end]})
        curve.times[-1:] = dict.fromkeys(times) if together else times
        self._ts = times[-1]
        return True

    def _take_point(self, ts: int) -> None:
        """The time before `ts` is over: take its point."""
        held = self._held
        if held:
            if len(held) == 1:
                (position,) = held.values()
                self.curve.values.append(position.quantity * self.marks[position.symbol] * position.point_value)
            else:
                self.curve.add(*self.account.main.exposure(self.marks))
        self.curve.times.append(ts)
        self._ts = ts

    def _end_interval(self, ts: int) -> None:
        """The time before `ts` is over: take its point if its interval is over as well."""
        if ts // self._interval != self._ts // self._interval:
            self._take_point(ts)
        self.curve.times[-1:] = [ts]
        self._ts = ts

    def _report(self, ts: int) -> AccountReport:
        ledger = self.account.main
        books = self.account.ledgers()
        return AccountReport(
            ts=ts,
            initial_cash=self.context.run.initial_cash,
            final_cash=ledger.cash,
            final_equity=ledger.equity(self.marks),
            realised_pnl=ledger.realised_pnl,
            unrealised_pnl=ledger.unrealised_pnl(self.marks),
            fees=ledger.fees,
            slippage_cost=ledger.slippage_cost,
            traded_value=ledger.traded_value,
            fills=sum(book.fills for book in books),
            open_positions={p.symbol: p.quantity for book in books for p in book.open.values()},
            other_equity=tuple((book.currency, book.equity(self.marks)) for book in books[1:]),
        )
