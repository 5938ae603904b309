"""Cash, positions and totals of an account in one currency, and an account in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bus.errors import AdmfError
from bus.runtime.settings import Instrument
from components.accounting.position import UNNAMED, Position
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

    def __init__(self, initial_cash: float = 0.0, currency: str = "", trade_ids: Iterator[str] = UNNAMED) -> None:
        self.currency = currency
        self._trade_ids = trade_ids
        self.cash = initial_cash
        self.realised_pnl = 0.0
        self.fees = 0.0
        self.slippage_cost = 0.0
        self.traded_value = 0.0
        self.fills = 0
        self.positions: dict[str, Position] = {}
        self.open: dict[str, Position] = {}

    def position(self, symbol: str, point_value: float = 1.0, rate: float = 1.0) -> Position:
        """That of a symbol, one of which is worth `point_value` money of this ledger per point of price and unit.

        `rate` is money of this ledger per unit of the currency of its fees.
        """
        position = self.positions.get(symbol)
        if position is None:
            position = self.positions[symbol] = Position(
                symbol, point_value, rate, currency=self.currency, trade_ids=self._trade_ids
            )
        return position

    def apply(self, fill: Fill, position: Position) -> ClosedTrade | None:
        """Book a fill in its position and return the round trip that it closed, if any.

        Raises:
            LedgerError: the position is not the sum of its fills any more.
        """
        quantity, point_value, fees = fill.quantity, position.point_value, fill.commission * position.rate
        if fill.direction is _BUY:
            signed = quantity
            position.bought += quantity
        else:
            signed = -quantity
            position.sold += quantity
        value = fill.price * signed * point_value
        slippage = fill.slippage * quantity * point_value
        self.cash -= value + fees
        self.fees += fees
        self.slippage_cost += slippage
        self.traded_value += abs(value)
        self.fills += 1
        trip = position.apply(fill, signed, fees, slippage)
        if trip is None:
            self.open[fill.symbol] = position
        else:
            self.realised_pnl += trip.realised_pnl
            if not position.quantity:
                del self.open[fill.symbol]
        if position.quantity != position.bought - position.sold:
            check(position)
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


def check(position: Position) -> None:
    """Make sure that a position is the sum of its fills.

    Raises:
        LedgerError: it is not.
    """
    if not position.is_sum_of_fills():
        raise LedgerError(
            f"position {position.symbol}: {position.quantity} is held, "
            f"but {position.bought} was bought and {position.sold} sold"
        )


class Account:
    """Instruments of several currencies in one account.

    A currency with a rate (account currency per unit of it, constant over the run) is converted when it is booked. One
    without a rate has a ledger of its own, which begins at zero; it is reported beside the account, not in it.
    `instrument` gives what is known of a symbol, `trade_ids` what round trips are called. A fill that is among the last
    ones booked is not booked again.
    """

    def __init__(
        self,
        initial_cash: float,
        currency: str,
        instrument: Callable[[str], Instrument],
        rates: Mapping[str, float] | None = None,
        trade_ids: Iterator[str] = UNNAMED,
    ) -> None:
        self.main = Ledger(initial_cash, trade_ids=trade_ids)
        self.others: dict[str, Ledger] = {}
        self._instrument = instrument
        self._rates = {**(rates or {}), currency: 1.0}
        self._trade_ids = trade_ids
        self.books: dict[str, tuple[Ledger, Position]] = {}
        self.booked = RecentIds()

    def apply(self, fill: Fill) -> tuple[Ledger, Position, ClosedTrade | None]:
        """Book a fill in the ledger of its instrument's currency, and the round trip that it closed.

        Gives that ledger, the position, and the round trip if there is one. Raises LedgerError as `Ledger.apply` does.
        """
        try:
            ledger, position = self.books[fill.symbol]
        except KeyError:
            ledger, position = self.books[fill.symbol] = self._books_of(self._instrument(fill.symbol))
        if self.booked.is_new(fill.fill_id):
            return ledger, position, ledger.apply(fill, position)
        return ledger, position, None

    def ledgers(self) -> list[Ledger]:
        """The account's own ledger first, then those of other currencies by name."""
        return [self.main, *(self.others[currency] for currency in sorted(self.others))]

    def _books_of(self, instrument: Instrument) -> tuple[Ledger, Position]:
        symbol, rate = instrument.symbol, self._rates.get(instrument.currency)
        if rate is not None:
            return self.main, self.main.position(symbol, instrument.multiplier * rate, rate)
        other = self.others.setdefault(instrument.currency, Ledger(0.0, instrument.currency, self._trade_ids))
        return other, other.position(symbol, instrument.multiplier)
