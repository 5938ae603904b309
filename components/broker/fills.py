"""What a fill costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from msgspec.structs import replace

from bus.runtime.settings import Instrument
from schemas import Bar, Direction, FeeLine, Fill, Liquidity, Order

_TAKER: Final = Liquidity.TAKER


class Slippage(Protocol):
    """What is needed of a slippage model."""

    def apply_slippage(
        self, price: float, direction: Direction, quantity: float, *, bar: Bar | None, symbol: str
    ) -> float:
        """The price after slippage."""


class Commission(Protocol):
    """What is needed of a commission model."""

    def fees(
        self,
        fill_price: float,
        quantity: float,
        direction: Direction,
        order_id: str,
        liquidity: Liquidity,
        ts: int,
        multiplier: float,
    ) -> tuple[FeeLine, ...]:
        """The fee lines of a fill."""

    def forget(self, order_id: str) -> None:
        """The order is final."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What makes a fill dearer than the market's price. `within_bar` keeps slippage inside the bar's range."""

    slippage: Slippage
    commission: Commission
    within_bar: bool = False

    def charge(self, fill: Fill, order: Order, instrument: Instrument, bar: Bar | None) -> Fill:
        """The fill, made at the market's price without costs, with them."""
        price = self._price(fill, order, instrument.tick_size, bar)
        at = fill.direction, fill.order_id, fill.liquidity, fill.ts, instrument.multiplier
        fees = self.commission.fees(price, fill.quantity, *at)
        difference = fill.direction.sign * (price - fill.reference_price)
        slippage = _tidy_difference(difference, price) if difference else 0.0
        return replace(fill, price=price, slippage=slippage, commission=_total(fees), fees=fees)

    def _price(self, fill: Fill, order: Order, tick_size: float, bar: Bar | None) -> float:
        """The market's price with slippage, on a tick, inside the bar if so configured, and never beyond the limit."""
        price, direction = fill.price, fill.direction
        if fill.liquidity is _TAKER:
            price = self.slippage.apply_slippage(price, direction, fill.quantity, bar=bar, symbol=fill.symbol)
            if tick_size:
                price = round_against(price, tick_size, direction.sign)
            if self.within_bar and bar is not None:
                price = min(max(price, bar.low), bar.high)
        limit = order.limit_price
        if limit is not None and direction.sign * (price - limit) > 0:
            return limit
        return price


class _NoSlippage:
    def apply_slippage(
        self,
        price: float,
        _direction: Direction,
        _quantity: float,
        *,
        bar: Bar | None,  # noqa: ARG002
        symbol: str,  # noqa: ARG002
    ) -> float:
        return price


class _NoCommission:
    def fees(self, *_fill: object) -> tuple[FeeLine, ...]:
        return ()

    def forget(self, order_id: str) -> None:
        """There is nothing to forget."""


FREE = Costs(_NoSlippage(), _NoCommission())
"""No costs at all."""


def round_against(price: float, tick_size: float, sign: int) -> float:
    """The next price on a tick that is not better for the trader: up for a buy (`sign` +1), down for a sell (-1).

    `tick_size` is above 0.
    """
    ticks = price / tick_size
    whole = math.ceil(ticks - 1e-6) if sign > 0 else math.floor(ticks + 1e-6)
    return float(whole * Decimal(repr(tick_size)))


def _total(fees: tuple[FeeLine, ...]) -> float:
    return fees[0].amount if len(fees) == 1 else math.fsum(line.amount for line in fees)


def _tidy_difference(difference: float, price: float) -> float:
    """A difference of prices, without the dust of binary fractions, which is small beside the price."""
    places = 10
    if price and -1.0 < price < 1.0:
        places -= math.floor(math.log10(abs(price)))
    return round(difference, places) + 0.0
