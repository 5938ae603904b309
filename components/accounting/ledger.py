"""Cash, positions and totals of an account in one currency, and an account in several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bus.errors import AdmfError
from bus.runtime.settings import Instrument
from components.accounting.position import Position
from components.accounting.recent import RecentIds
from schemas import ClosedTrade, Direction, Fill

_BUY: Final = Direction.BUY


class LedgerError(AdmfError):
    """The books do not add up: a fault of ours, so the run must end."""


class Ledger:
    """Books in one currency. Positions are net: a fill against a holding closes it before it opens anything.

    `open` has the positions that are not flat. `fees`, `slippage_cost` and `traded_value` (price x quantity) are
    totals in money. At any time, with every position valued at any one price,
    equity = initial cash + realised_pnl + unrealised_pnl.
    """

    def __init__(self, initial_cash: float = 0.0, currency: str = "") -> None:
        self.currency = currency
        self.cash = initial_cash
        self.realised_pnl = 0.0
        self.fees = 0.0
        self.slippage_cost = 0.0
        self.traded_value = 0.0
        self.fills = 0
        self.positions: dict[str, Position] = {}
        self.open: dict[str, Position] = {}

    def position(self, symbol: str, point_value: float = 1.0) -> Position:
        """That of a symbol, one of which is worth `point_value` money of this ledger per point of price and unit."""
        position = self.positions.get(symbol)
        if position is None:
            position = self.positions[symbol] = Position(symbol, point_value, currency=self.currency)
        return position

    def apply(self, fill: Fill, position: Position, rate: float = 1.0, trade_id: str = "") -> ClosedTrade | None:
        """Book a fill in its position and return the round trip that it closed, if any, under the name `trade_id`.

        `rate` is money of this ledger per unit of the fill's currency.

        Raises:
            LedgerError: the position is not the sum of its fills any more.
        """
        quantity, point_value, fees = fill.quantity, position.point_value, fill.commission * rate
        slippage = fill.slippage * quantity * point_value
        value = fill.price * quantity * point_value
        self.cash -= value + fees if fill.direction is _BUY else fees - value
        self.fees += fees
        self.slippage_cost += slippage
        self.traded_value += abs(value)
        self.fills += 1
        trip = position.apply(fill, fees, slippage, trade_id)
        if trip is not None:
            self.realised_pnl += trip.realised_pnl
        held = position.quantity
        if held != position.bought - position.sold and not position.is_sum_of_fills():
            raise LedgerError(
                f"position {position.symbol}: {held} is held, but {position.bought} was bought and {position.sold} sold"
            )
        if held:
            self.open[fill.symbol] = position
        else:
            self.open.pop(fill.symbol, None)
        return trip

    def exposure(self, marks: Mapping[str, float]) -> tuple[float, float]:
        """Gross and net market value of what is held, at the prices in `marks`."""
        gross = net = 0.0
        for symbol, position in self.open.items():
            value = position.quantity * marks[symbol] * position.point_value
            net += value
            gross += abs(value)
        return gross, net

    def equity(self, marks: Mapping[str, float]) -> float:
        """Cash plus the market value of what is held, at the prices in `marks`."""
        return self.cash + self.exposure(marks)[1]

    def unrealised_pnl(self, marks: Mapping[str, float]) -> float:
        """Profit or loss of what is held at the prices in `marks`, net of the fees of its entry."""
        pnl = 0.0
        for symbol, position in self.open.items():
            pnl += position.unrealised_pnl(marks[symbol])
        return pnl


class Account:
    """Instruments of several currencies in one account.

    A currency with a rate (account currency per unit of it, constant over the run) is converted when it is booked. One
    without a rate has a ledger of its own, which begins at zero; it is reported beside the account, not in it.
    `instrument` gives what is known of a symbol. A fill that is among the last ones booked is not booked again.
    """

    def __init__(
        self,
        initial_cash: float,
        currency: str,
        instrument: Callable[[str], Instrument],
        rates: Mapping[str, float] | None = None,
    ) -> None:
        self.main = Ledger(initial_cash)
        self.others: dict[str, Ledger] = {}
        self._instrument = instrument
        self._rates = {**(rates or {}), currency: 1.0}
        self._terms: dict[str, tuple[Ledger, Position, float]] = {}
        self._booked = RecentIds()

    def apply(self, fill: Fill, trade_id: str = "") -> tuple[Ledger, Position, ClosedTrade | None]:
        """Book a fill in the ledger of its instrument's currency, and the round trip that it closed as `trade_id`.

        Gives that ledger, the position, and the round trip if there is one. Raises LedgerError as `Ledger.apply` does.
        """
        symbol = fill.symbol
        try:
            ledger, position, rate = self._terms[symbol]
        except KeyError:
            ledger, position, rate = self._terms[symbol] = self._terms_for(self._instrument(symbol))
        if self._booked.is_new(fill.fill_id):
            return ledger, position, ledger.apply(fill, position, rate, trade_id)
        return ledger, position, None

    def ledgers(self) -> list[Ledger]:
        """The account's own ledger first, then those of other currencies by name."""
        return [self.main, *(self.others[currency] for currency in sorted(self.others))]

    def _terms_for(self, instrument: Instrument) -> tuple[Ledger, Position, float]:
        symbol, rate = instrument.symbol, self._rates.get(instrument.currency)
        if rate is not None:
            return self.main, self.main.position(symbol, instrument.multiplier * rate), rate
        other = self.others.setdefault(instrument.currency, Ledger(currency=instrument.currency))
        return other, other.position(symbol, instrument.multiplier), 1.0
