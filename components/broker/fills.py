"""What a fill costs, and the message that says so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from components.broker.book import Book
from components.broker.market import Budget
from components.broker.working import Working, tidy
from schemas import Bar, Direction, FeeLine, Fill, Liquidity

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


class FillWriter:
    """Prices fills and numbers them: `<broker>-1`, `<broker>-2`, and so on."""

    def __init__(self, broker: str, costs: Costs) -> None:
        self.commission: Final = None if costs.commission is FREE.commission else costs.commission
        """To be told when an order is final; None when nothing is charged."""
        self._broker = broker
        self._prefix = f"{broker}-"
        self._slippage = None if costs.slippage is FREE.slippage else costs.slippage
        self._within_bar = costs.within_bar
        self._is_dear = self._slippage is not None or costs.within_bar
        self._count = 0

    def write(
        self,
        order: Working,
        quantity: float,
        leaves: float,
        reference: float,
        rule: str,
        liquidity: Liquidity,
        budget: Budget,
        ts: int,
        bar: Bar | None,
        book: Book,
        now: int,
    ) -> Fill:
        """Take `quantity` from the market's budget and describe it. `leaves` is what is left of the order after it."""
        terms = order.order
        order_id, direction = terms.order_id, terms.direction
        left = before = budget.left
        if before is not None:
            left = before - quantity
            budget.left = left = left if left.is_integer() else tidy(left)
        price = reference
        if self._is_dear or book.tick_size or terms.limit_price is not None:
            price = self._price(order, reference, liquidity, quantity, bar, book.tick_size)
        fees: tuple[FeeLine, ...] = ()
        if self.commission is not None:
            multiplier = book.instrument.multiplier
            fees = self.commission.fees(price, quantity, direction, order_id, liquidity, now, multiplier)
        self._count += 1
        # By position, because there are so many: names would take three times as long.
        return Fill(
            f"{self._prefix}{self._count}",
            order_id,
            terms.symbol,
            direction,
            quantity,
            price,
            _total(fees) if fees else 0.0,
            now,
            self._broker,
            rule,
            reference,
            0.0 if price == reference else _tidy_difference(order.sign * (price - reference), price),
            ts,
            leaves,
            liquidity,
            before,
            left,
            fees,
        )

    def _price(
        self, order: Working, reference: float, liquidity: Liquidity, quantity: float, bar: Bar | None, tick_size: float
    ) -> float:
        """The market's price with slippage, on a tick, inside the bar if so configured, and never beyond the limit."""
        price, terms = reference, order.order
        if liquidity is _TAKER:
            if self._slippage is not None:
                symbol = terms.symbol
                price = self._slippage.apply_slippage(price, terms.direction, quantity, bar=bar, symbol=symbol)
            if tick_size:
                price = round_against(price, tick_size, order.sign)
            if self._within_bar and bar is not None:
                price = min(max(price, bar.low), bar.high)
        limit = terms.limit_price
        if limit is not None and order.sign * (price - limit) > 0:
            return limit
        return price


def round_against(price: float, tick_size: float, sign: int) -> float:
    """The next price on a tick that is not better for the trader: up for a buy (`sign` +1), down for a sell (-1).

    `tick_size` is above 0.
    """
    ticks = price / tick_size
    whole = math.ceil(ticks - 1e-6) if sign > 0 else math.floor(ticks + 1e-6)
    return float(whole * Decimal(repr(tick_size)))


def _total(fees: tuple[FeeLine, ...]) -> float:
    return fees[0].amount if len(fees) == 1 else math.fsum([line.amount for line in fees])


def _tidy_difference(difference: float, price: float) -> float:
    """A difference of prices, without the dust of binary fractions, which is small beside the price."""
    places = 10
    if price and -1.0 < price < 1.0:
        places -= math.floor(math.log10(abs(price)))
    return round(difference, places) + 0.0
