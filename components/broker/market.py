"""What orders are matched against at one moment: a bar, a quote, a trade, or the latest price."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
from msgspec.structs import replace

from components.broker.path import Path, PathStyle, Place, bar_path, flat_path
from components.broker.working import tidy
from schemas import Bar, Quote, Trade

Where = Literal["bar", "quote", "trade", "latest"]


class Budget(msgspec.Struct, gc=False):
    """Units still to be had from a record of `ts` (ns UTC), and the bar if it is one; None: as many as one likes."""

    left: float | None
    ts: int = 0
    bar: Bar | None = None

    def offer(self, wanted: float) -> float:
        """How much of `wanted` there is."""
        left = self.left
        return wanted if left is None or wanted <= left else left


class Side(msgspec.Struct, gc=False):
    """What buyers, or sellers, meet: a price path, and the units still to be had.

    Of an `absent` side, which a quote does not show, the path means nothing and there is nothing to be had.
    """

    path: Path
    budget: Budget
    absent: bool = False


class Market(msgspec.Struct, gc=False):
    """One record of market data, as orders see it.

    `buy` and `sell` have the same budget where both directions share one. `opens` and `closes` say
    whether this is the first, or the last, bar of a session; they are worked out only when an order asks for it.
    """

    ts: int
    where: Where
    buy: Side
    sell: Side
    bar: Bar | None = None
    opens: bool = False
    closes: bool = False

    def side(self, buys: bool) -> Side:
        """The side that an order meets."""
        return self.buy if buys else self.sell

    def place(self, buys: bool, position: float) -> Place:
        """Where an order is on its side's path."""
        return (self.buy if buys else self.sell).path.at(position)

    def moment(self, position: float) -> str:
        """How rules call a place at which an order meets the market without having waited for a price."""
        if self.where != "bar":
            return self.where
        return "arrival" if position > 0 else "open"

    @property
    def untraded(self) -> bool:
        """A bar without volume, where volume counts: nobody traded, so nothing triggers and nothing fills."""
        return self.bar is not None and self.bar.volume <= 0 and self.buy.budget.left is not None

    def is_void(self, buys: bool) -> bool:
        """Whether there is no price for an order to meet: nobody traded, or a quote does not show its side."""
        return self.side(buys).absent or self.untraded


def bar_market(bar: Bar, style: PathStyle, budget: Budget) -> Market:
    """A bar with its one budget for both directions."""
    side = Side(bar_path(bar, style), budget)
    return Market(bar.ts, "bar", side, side, bar)


def tick_market(tick: Quote | Trade, capped: bool, lot_size: float = 0.0) -> Market:
    """A quote: buyers meet the ask, sellers the bid, each for what is shown. A trade: both meet it and share it.

    If `capped`, what is shown counts in whole lots, as it is without a lot size.
    """
    if isinstance(tick, Quote):
        buy = _quoted(tick.ask, tick.ask_quantity, capped, lot_size, tick.ts)
        sell = _quoted(tick.bid, tick.bid_quantity, capped, lot_size, tick.ts)
        return Market(tick.ts, "quote", buy, sell)
    side = Side(flat_path(tick.price), Budget(_in_lots(tick.quantity, lot_size) if capped else None, tick.ts))
    return Market(tick.ts, "trade", side, side)


def is_quoted(price: float, quantity: float) -> bool:
    """Whether a quote shows a side: price 0 for 0 units is how feeds say that nobody is there."""
    return price != 0 or quantity > 0


def _quoted(price: float, quantity: float, capped: bool, lot_size: float, ts: int) -> Side:
    if not is_quoted(price, quantity):
        return Side(flat_path(price), Budget(0.0, ts), absent=True)
    return Side(flat_path(price), Budget(_in_lots(quantity, lot_size) if capped else None, ts))


def latest_market(market: Market) -> Market:
    """The end of `market`, with the same budgets: what an order meets that comes just after it."""
    buy = replace(market.buy, path=flat_path(market.buy.path.end))
    sell = replace(market.sell, path=flat_path(market.sell.path.end))
    return Market(market.ts, "latest", buy, sell, market.bar)


def price_market(ts: int, buy: float, sell: float, bar: Bar | None = None) -> Market:
    """A price for buyers and one for sellers, for any quantity."""
    budget = Budget(None, ts, bar)
    return Market(ts, "latest", Side(flat_path(buy), budget), Side(flat_path(sell), budget), bar)


def bar_budget(bar: Bar, max_volume_pct: float | None, lot_size: float) -> Budget:
    """Units of a bar's volume that all orders together may take: whole lots, or whole units where there is no lot size.

    An instrument that trades in fractions of a unit says so by its lot size.
    """
    if max_volume_pct is None:
        return Budget(None, bar.ts, bar)
    quantity = bar.volume * max_volume_pct
    return Budget(_in_lots(quantity, lot_size) if lot_size else (quantity + 1e-9) // 1.0, bar.ts, bar)


def _in_lots(quantity: float, lot_size: float) -> float:
    """The whole lots in a quantity; all of it where there is no lot size."""
    return tidy(math.floor(quantity / lot_size + 1e-9) * lot_size) if lot_size else float(quantity)
