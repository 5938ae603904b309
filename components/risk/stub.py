"""The simplest risk manager: it sizes signals and makes orders of them. It has no limits and refuses nothing."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import Final

from bus.runtime.component import Component, Handler, handles
from components.accounting.marks import middle
from components.accounting.recent import RecentIds
from components.risk.holdings import DUST, Holdings, Working
from components.risk.order_making import closing_order, orders_for
from components.risk.plain import PlainSizing
from components.risk.sizing import RiskStubParameters, Sizing
from schemas import (
    Bar,
    CancelOrder,
    ClosePositions,
    Direction,
    Fill,
    Message,
    Order,
    OrderState,
    OrderStatus,
    OrderType,
    Quote,
    Signal,
    Trade,
)

CLOSE_AT_END: Final = "close_at_end"
OVERTAKEN: Final = "overtaken by a signal in the other direction"

_MARKET_DATA: Final = (Bar, Quote, Trade)
_FINAL_STATES: Final = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED})
_SURE_TO_FILL: Final = frozenset({OrderType.MARKET, OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE})


class RiskStub(Component):
    """Makes orders of signals.

    BUY takes the position from short or flat to long, covering and buying in one order; SELL closes a long position,
    and opens a short one when `allow_short`. A signal in the direction in which the position is already, or will be
    when working orders fill, makes no order. One in the other direction cancels working orders that wait for a price,
    and with a position that it closes, even in part, the target and stop loss that protected it.

    A signal's `quantity` replaces the configured size; a SELL that may not go short sells that much of a long position.
    After `ClosePositions` signals are ignored.
    """

    component_type = "risk_manager"
    Parameters = RiskStubParameters
    emits = (Order, CancelOrder)
    undivided = "it numbers its orders over all symbols, and sizes them by the equity of the whole account"
    quiet = frozenset({*_MARKET_DATA, Fill, OrderStatus})

    parameters: RiskStubParameters

    def handlers(self) -> dict[type[Message], Handler]:
        """Market data is taken only when the equity has to be known."""
        taken = super().handlers()
        if self.parameters.percent_of_equity is None:
            for message_type in _MARKET_DATA:
                del taken[message_type]
        return taken

    def reset(self) -> None:
        """Flat, with the run's initial cash."""
        self._holdings = Holdings(self.context.run)
        self._valued = self.parameters.percent_of_equity is not None
        self._fill_ids = RecentIds()
        self._working: defaultdict[str, dict[str, Working]] = defaultdict(dict)
        """By symbol, the orders that are not final by their ids, oldest first."""
        self._sizing = Sizing(self.parameters, self._holdings)
        ids = map(f"{self.name}-".__add__, map(str, count(1)))
        self._next_id = ids.__next__
        self._plain = PlainSizing(self._holdings, self._sizing, self._working, ids, self._fill_ids)
        self._closing = False

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        """Remember the price at which a position is valued."""
        self._holdings.marks[bar.symbol] = bar.close

    @handles(Quote)
    def on_quote(self, quote: Quote) -> None:
        """Remember the middle of a two-sided quote."""
        price = middle(quote)
        if price is not None:
            self._holdings.marks[quote.symbol] = price

    @handles(Trade)
    def on_trade(self, trade: Trade) -> None:
        """Remember the market's last price."""
        self._holdings.marks[trade.symbol] = trade.price

    @handles(Fill)
    def on_fill(self, fill: Fill) -> None:
        """Take a fill into position, cash and order. One of the last that is told again changes nothing."""
        if not self._fill_ids.is_new(fill.fill_id):
            return
        symbol, quantity, positions = fill.symbol, fill.quantity, self._holdings.positions
        signed = fill.direction.sign * quantity
        if self._valued:
            self._holdings.pay(fill, signed)
        held = positions.pop(symbol, 0.0) + signed
        if abs(held) > DUST:
            positions[symbol] = held
        working = self._working[symbol]
        order = working.get(fill.order_id)
        if order is None:
            return
        if quantity < order.leaves:
            order.leaves -= quantity
        elif order.order.order_type in _SURE_TO_FILL:  # and nobody has to cancel it, so it counts for nothing any more
            del working[fill.order_id]
        else:
            order.leaves = 0.0

    @handles(OrderStatus)
    def on_order_status(self, status: OrderStatus) -> None:
        """Keep the orders that are working."""
        if status.state in _FINAL_STATES:
            self._working[status.symbol].pop(status.order_id, None)

    @handles(Signal)
    def on_signal(self, signal: Signal) -> None:
        """Order what is missing to the position that the signal wants."""
        if self._closing:
            return
        symbol, direction = signal.symbol, signal.direction
        expected, working = self._holdings.positions.get(symbol, 0.0), self._working[symbol]
        if working:
            expected = self._expected(expected, direction, working)
        held = expected * direction.sign
        if held > 0:
            return
        closing = -held if signal.quantity is None else self._sizing.closing(signal, -held)
        opening = self._sizing.opening(signal)
        if working and closing > 0:
            for order in working.values():
                if order.order.parent_id:
                    self._cancel(order)
        for made in orders_for(signal, closing, opening, self._next_id, self.clock.now_ns):
            working[made.order_id] = Working(made, made.quantity)
            self.emit(made)

    @handles(ClosePositions)
    def on_close_positions(self, _request: ClosePositions) -> None:
        """Cancel everything, close every position, and open no other."""
        self._closing = True
        now = self.clock.now_ns
        self.emit(CancelOrder("", now, reason=CLOSE_AT_END))
        for symbol, quantity in sorted(self._holdings.positions.items()):
            made = closing_order(symbol, quantity, self._next_id(), now, CLOSE_AT_END)
            self._working[symbol][made.order_id] = Working(made, made.quantity)
            self.emit(made)

    def plain(self) -> PlainSizing | None:
        """How it takes many plain signals at once; None when it does not, as when the equity has to be known."""
        return None if self._closing or self._valued else self._plain

    def _expected(self, position: float, direction: Direction, working: dict[str, Working]) -> float:
        """The position when working orders have filled, without those the other way that wait for a price: they go.

        Neither do the target and the stop loss of a bracket count, which are its children.
        """
        for order in working.values():
            terms = order.order
            if terms.parent_id:
                continue
            if terms.direction is not direction and terms.order_type not in _SURE_TO_FILL:
                self._cancel(order)
            elif not order.cancelling:
                position += terms.direction.sign * order.leaves
        return position if abs(position) > DUST else 0.0

    def _cancel(self, working: Working) -> None:
        if not working.cancelling:
            working.cancelling = True
            self.emit(CancelOrder(working.order.order_id, self.clock.now_ns, working.order.symbol, OVERTAKEN))
