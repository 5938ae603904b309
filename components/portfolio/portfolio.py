"""The portfolio: books every fill, values what is held, and reports at the end."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bus.runtime import component as runtime
from bus.runtime.block import Block
from bus.runtime.component import Component, handles, query
from components.accounting.ledger import Account
from components.accounting.marks import middle
from components.portfolio.curve import Curve
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
        self.account = Account(run.initial_cash, run.currency, run.instrument, self.parameters.rates)
        self.marks: dict[str, float] = {}
        self.curve = Curve()
        self._held = self.account.main.open
        self._interval = round(self.parameters.curve_interval_s * _NS_PER_S)
        self._move_on = self._end_interval if self._interval else self._take_point
        self._ts = _BEFORE_ALL_TIME
        self._trades = 1
        self._trade_prefix = f"{self.name}-"
        self._next_trade = f"{self._trade_prefix}1"

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        """Value the symbol at the bar's close. On the hot path: a few dict and array operations."""
        ts = bar.ts
        if ts > self._ts:
            self._move_on(ts)
        self.marks[bar.symbol] = bar.close

    def on_block(self, messages: Block, start: int, end: int) -> None:
        """As the handlers, one message after another; many bars at once where that is the same."""
        first = messages[start]
        if type(first) is Bar:
            self.on_bar(first)
            if self._took_rest(messages, start, end):
                return
            rest, handler = start + 1, self.on_bar
        else:
            rest, handler = start, getattr(self, self._handler_names[type(first)])
        for message in messages[rest:end]:
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
        account, symbol, ts = self.account, fill.symbol, fill.ts
        if ts > self._ts:
            self._move_on(ts)
        self.curve.settle(account.main.cash, self._held)
        if symbol not in self.marks:
            self.marks[symbol] = fill.price
        ledger, position, trip = account.apply(fill, self._next_trade)
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
            self._trades += 1
            self._next_trade = f"{self._trade_prefix}{self._trades}"
            self.emit(trip)

    @handles(Checkpoint)
    def on_checkpoint(self, _checkpoint: Checkpoint) -> None:
        """Publish the full blocks of the equity curve, so that it takes no more room however long the run."""
        self.curve.settle(self.account.main.cash, self._held)
        for block in self.curve.take_blocks():
            self.emit(block)

    @handles(ReportRequested)
    def on_report_requested(self, request: ReportRequested) -> None:
        """Publish the rest of the equity curve, then the totals."""
        self._take_point(self._ts)
        self.curve.settle(self.account.main.cash, self._held)
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

    def _took_rest(self, bars: Block, start: int, end: int) -> bool:
        """Take bars after the first at once, if that is the same as one by one: while flat, or holding only them."""
        if self._interval:
            return False
        symbol, times, held, curve = bars.only("symbol"), bars.column("ts")[start:end], self._held, self.curve
        if not held:
            curve.times.extend(dict.fromkeys(times) if 0 in bars.gaps else times)
            if symbol is not None:
                self.marks[symbol] = bars[end - 1].close
            else:
                self.marks.update({bar.symbol: bar.close for bar in bars[start:end]})
        elif len(held) > 1 or symbol not in held or 0 in bars.gaps:
            return False
        else:
            position, prices = held[symbol], bars.column("close")[start:end]
            quantity, point_value = position.quantity, position.point_value
            curve.times.extend(times)
            curve.values.extend([quantity * price * point_value for price in prices[:-1]])
            self.marks[symbol] = prices[-1]
        # The last time is not over yet, so it is not in the curve.
        self._ts = curve.times.pop()
        return True

    def _take_point(self, ts: int) -> None:
        """The time before `ts` is over: take its point."""
        held, curve = self._held, self.curve
        if len(held) == 1:
            (position,) = held.values()
            curve.times.append(self._ts)
            curve.values.append(position.quantity * self.marks[position.symbol] * position.point_value)
        elif held:
            curve.add(self._ts, *self.account.main.exposure(self.marks))
        elif self._ts != _BEFORE_ALL_TIME:
            curve.times.append(self._ts)
        self._ts = ts

    def _end_interval(self, ts: int) -> None:
        """The time before `ts` is over: take its point if its interval is over as well."""
        if ts // self._interval != self._ts // self._interval:
            self._take_point(ts)
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
