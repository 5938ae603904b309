"""What risk must know to size an order: positions, orders on their way, cash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bus.runtime.settings import Instrument, RunSettings
from schemas import Direction, Fill, Order, OrderState, OrderStatus, OrderType

QUANTITY_DECIMALS: Final = 9
"""Quantities are sums of floats; beyond this many decimals there is only rounding error."""

_DUST: Final = 0.5 * 10.0**-QUANTITY_DECIMALS
_FINAL: Final = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED})
_SURE_TO_FILL: Final = frozenset({OrderType.MARKET, OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE})


@dataclass(slots=True)
class Working:
    """An order that is not final. `leaves` is what has not filled; `cancelling` says that its cancel was asked for."""

    order: Order
    leaves: float
    cancelling: bool = False

    @property
    def protects(self) -> bool:
        """Whether it is the target or the stop loss of a bracket."""
        return bool(self.order.parent_id)

    def waits_against(self, direction: Direction) -> bool:
        """Whether it waits for a price, to open or close the other way than `direction`."""
        is_sure = self.order.order_type in _SURE_TO_FILL
        return not self.protects and not is_sure and self.order.direction is not direction

    def counts_for(self, direction: Direction) -> bool:
        """Whether its fill is to be reckoned with when a signal in `direction` is sized."""
        return not self.protects and not self.cancelling and not self.waits_against(direction)


class Holdings:
    """Positions and cash by fills, and the orders that are still working, by symbol."""

    def __init__(self, run: RunSettings) -> None:
        self.cash = run.initial_cash
        self.marks: dict[str, float] = {}
        """Last known price by symbol."""
        self.positions: dict[str, float] = {}
        """Signed quantity by symbol, without symbols that are flat."""
        self._run = run
        self._working: dict[str, dict[str, Working]] = {}
        self._fill_ids: set[str] = set()
        self._instruments: dict[str, Instrument] = {}

    def instrument(self, symbol: str) -> Instrument:
        """The declared instrument, or one without restrictions."""
        instrument = self._instruments.get(symbol)
        if instrument is None:
            instrument = self._instruments[symbol] = self._run.instrument(symbol)
        return instrument

    def equity(self) -> float:
        """Cash plus the market value of all positions, in the account's currency."""
        value = self.cash
        for symbol, quantity in self.positions.items():
            value += quantity * self.marks[symbol] * self.instrument(symbol).multiplier
        return value

    def expected(self, symbol: str, direction: Direction) -> float:
        """The signed position once the orders that count for a signal in `direction` have filled."""
        quantity = self.positions.get(symbol, 0.0)
        for working in self.working(symbol):
            if working.counts_for(direction):
                quantity += working.order.direction.sign * working.leaves
        return quantity if abs(quantity) > _DUST else 0.0

    def working(self, symbol: str) -> list[Working]:
        """The orders of a symbol that are not final, oldest first."""
        return list(self._working.get(symbol, {}).values())

    def add(self, order: Order) -> None:
        """An order that was just made."""
        self._working.setdefault(order.symbol, {})[order.order_id] = Working(order, order.quantity)

    def fill(self, fill: Fill) -> None:
        """Take a fill into position and cash. One that was told before (same fill id) changes nothing."""
        if fill.fill_id in self._fill_ids:
            return
        self._fill_ids.add(fill.fill_id)
        symbol = fill.symbol
        signed = fill.direction.sign * fill.quantity
        self.cash -= signed * fill.price * self.instrument(symbol).multiplier + fill.commission
        self.marks.setdefault(symbol, fill.price)
        quantity = self.positions.pop(symbol, 0.0) + signed
        if abs(quantity) > _DUST:
            self.positions[symbol] = quantity
        working = self._working.get(symbol, {}).get(fill.order_id)
        if working is not None:
            working.leaves = max(0.0, working.leaves - fill.quantity)

    def status(self, status: OrderStatus) -> None:
        """Forget an order that has become final."""
        if status.state in _FINAL:
            self._working.get(status.symbol, {}).pop(status.order_id, None)
