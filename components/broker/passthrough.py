"""The passthrough broker: fills everything at once and free of costs, for the development of strategies."""

from __future__ import annotations

from typing import NamedTuple

from bus.runtime.component import handles, query
from components.broker.base import BrokerBase
from components.broker.desk import Desk
from components.broker.fills import FREE
from components.broker.market import Budget, is_quoted
from components.broker.requests import amend, cancel
from components.broker.working import Working
from schemas import Bar, Liquidity, Message, Order, OrderState, Quote, Trade

_MARKET_DATA: frozenset[type[Message]] = frozenset({Bar, Quote, Trade})


class _Latest(NamedTuple):
    """The latest prices of a symbol, for buyers and for sellers (None for never quoted), and their time (ns UTC)."""

    buy: float | None
    sell: float | None
    ts: int

    def price(self, buys: bool) -> float | None:
        """The price that an order meets."""
        return self.buy if buys else self.sell


_NEVER = _Latest(None, None, 0)


class PassthroughBroker(BrokerBase):
    """Fills an order when it comes, in full, without slippage or commission.

    The price is the one that the caller names, else the order's limit price, else its stop price, else the latest
    market price (a bar's close, a trade's price, the other side of a quote). With none of them the order waits.
    """

    def reset(self) -> None:
        """Forget all orders and prices."""
        self._desk = Desk(self.name, self.clock, self.emit, FREE, self.context.run.instrument)
        self._latest: dict[str, _Latest] = {}
        self._waiting: dict[str, list[Working]] = {}
        self.quiet = _MARKET_DATA

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        """Remember the close."""
        self._price_is(bar.symbol, _Latest(bar.close, bar.close, bar.ts))

    @handles(Quote)
    def on_quote(self, quote: Quote) -> None:
        """Remember ask and bid; of a side that is not shown the price from before."""
        buy, sell, _ = self._latest.get(quote.symbol, _NEVER)
        if is_quoted(quote.ask, quote.ask_quantity):
            buy = quote.ask
        if is_quoted(quote.bid, quote.bid_quantity):
            sell = quote.bid
        self._price_is(quote.symbol, _Latest(buy, sell, quote.ts))

    @handles(Trade)
    def on_trade(self, trade: Trade) -> None:
        """Remember the price."""
        self._price_is(trade.symbol, _Latest(trade.price, trade.price, trade.ts))

    def execute_order(self, order: Order, price: float | None = None) -> None:
        """Fill an order, or let it wait for a price. One whose id is known already is a repeat and changes nothing."""
        entered = self._desk.enter(order)
        if entered is not None:
            self._fill_or_wait(entered, price)

    def cancel_order(self, order_id: str, reason: str = "") -> None:
        """Cancel an order that waits for a price."""
        cancel(self._desk, order_id, reason)

    def replace_order(self, order: Order) -> None:
        """Amend an order that waits for a price."""
        amend(self._desk, order)

    @query
    def get_order_status(self, order_id: str) -> OrderState | None:
        """ROUTED while the order waits, or a final state; None for an order that is not known (any more)."""
        return self._desk.status(order_id)

    def _price_is(self, symbol: str, latest: _Latest) -> None:
        self._latest[symbol] = latest
        if self.quiet:
            return
        for order in self._waiting.pop(symbol, ()):
            if order.alive:
                self._fill_at_latest(order, latest)
        if not self._waiting:
            self.quiet = _MARKET_DATA

    def _fill_or_wait(self, order: Working, price: float | None) -> None:
        terms, now = order.order, self.clock.now_ns
        if price is not None:
            self._fill(order, price, now, "passthrough_given")
        elif terms.limit_price is not None:
            self._fill(order, terms.limit_price, now, "passthrough_limit")
        elif terms.stop_price is not None:
            self._fill(order, terms.stop_price, now, "passthrough_stop")
        else:
            self._fill_at_latest(order, self._latest.get(terms.symbol, _NEVER))

    def _fill_at_latest(self, order: Working, latest: _Latest) -> None:
        price = latest.price(order.buys)
        if price is not None:
            self._fill(order, price, latest.ts, "passthrough_latest")
        else:
            self._waiting.setdefault(order.order.symbol, []).append(order)
            self.quiet = frozenset()

    def _fill(self, order: Working, price: float, ts: int, rule: str) -> None:
        self._desk.fill(order, order.leaves, price, rule, Liquidity.TAKER, Budget(None, ts))
