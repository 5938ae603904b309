"""The simplest risk manager: it sizes signals and makes orders of them. It has no limits and refuses nothing."""

from __future__ import annotations

from typing import Final

from bus.runtime.component import Component, Handler, handles
from components.accounting.marks import middle
from components.risk.holdings import DUST, FINAL_STATES, Holdings, Working
from components.risk.order_making import bracket_for, clean, closing_order, order_on_terms
from components.risk.sizing import RiskStubParameters, Sizing
from schemas import Bar, CancelOrder, ClosePositions, Fill, Message, Order, OrderStatus, Quote, Signal, Trade

CLOSE_AT_END: Final = "close_at_end"
OVERTAKEN: Final = "overtaken by a signal in the other direction"

_MARKET_DATA: Final = (Bar, Quote, Trade)


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
        self._holdings = Holdings(self.context.run, valued=self.parameters.percent_of_equity is not None)
        self._working = self._holdings.working
        self._sizing = Sizing(self.parameters, self._holdings)
        self._orders_made = 0
        self._id_prefix = f"{self.name}-"
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
        """Keep positions and cash."""
        self._holdings.fill(fill)

    @handles(OrderStatus)
    def on_order_status(self, status: OrderStatus) -> None:
        """Keep the orders that are working."""
        if status.state in FINAL_STATES:
            self._working[status.symbol].pop(status.order_id, None)

    @handles(Signal)
    def on_signal(self, signal: Signal) -> None:
        """Order what is missing to the position that the signal wants."""
        if self._closing:
            return
        holdings, symbol, direction = self._holdings, signal.symbol, signal.direction
        expected, working, protected = holdings.positions.get(symbol, 0.0), holdings.working[symbol], False
        for order in working.values():
            if order.protects:
                protected = True
            elif order.waits and order.order.direction is not direction:
                self._cancel(order)
            elif not order.cancelling:
                expected += order.order.direction.sign * order.leaves
        held = expected * direction.sign if abs(expected) > DUST else 0.0
        if held > 0:
            return
        closing = -held if signal.quantity is None else self._sizing.closing(signal, -held)
        opening = self._sizing.opening(signal)
        if protected and closing > 0:
            for order in working.values():
                if order.protects:
                    self._cancel(order)
        self._order(signal, closing, opening)

    @handles(ClosePositions)
    def on_close_positions(self, _request: ClosePositions) -> None:
        """Cancel everything, close every position, and open no other."""
        self._closing = True
        now = self.clock.now_ns
        self.emit(CancelOrder("", now, reason=CLOSE_AT_END))
        for symbol, quantity in sorted(self._holdings.positions.items()):
            made = closing_order(symbol, quantity, self._next_id(), now, CLOSE_AT_END)
            self._holdings.add(made)
            self.emit(made)

    def _order(self, signal: Signal, closing: float, opening: float) -> None:
        """One order for both, unless the signal asks for a bracket around what opens."""
        now = self.clock.now_ns
        wants_bracket = signal.target_price is not None or signal.stop_loss_price is not None
        if wants_bracket and clean(opening) > 0:
            for made in bracket_for(signal, clean(closing), clean(opening), self._next_id, now):
                self._holdings.add(made)
                self.emit(made)
            return
        quantity = float(closing + opening)
        if not quantity.is_integer():
            quantity = clean(quantity)
        if quantity > 0:
            made = order_on_terms(signal, quantity, self._next_id(), now)
            self._holdings.add(made)
            self.emit(made)

    def _cancel(self, working: Working) -> None:
        if not working.cancelling:
            working.cancelling = True
            self.emit(CancelOrder(working.order.order_id, self.clock.now_ns, working.order.symbol, OVERTAKEN))

    def _next_id(self) -> str:
        self._orders_made = number = self._orders_made + 1
        return f"{self._id_prefix}{number}"
