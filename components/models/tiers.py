"""Tiers of a fee table, and the traded volume that they are picked by."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections import deque
from typing import Final

from pydantic import Field

from bus.runtime.settings import StrictModel
from schemas import Liquidity

_DAY_NS = 86_400_000_000_000
_EPOCH = dt.date(1970, 1, 1).toordinal()
_DAYS_KEPT = 31
_TAKER: Final = Liquidity.TAKER


def pick_rate(rate: float, maker_rate: float | None, liquidity: Liquidity) -> float:
    """`maker_rate`, if there is one, for a fill that gave liquidity, else `rate`."""
    return rate if maker_rate is None or liquidity is _TAKER else maker_rate


class Tier(StrictModel):
    """The rates from a volume of `at_least` on, up to where the next tier begins; `maker_rate` is `rate` if None."""

    at_least: float = Field(default=0.0, ge=0)
    rate: float
    maker_rate: float | None = None

    def rate_for(self, liquidity: Liquidity) -> float:
        """The rate of a fill that took, or gave, liquidity."""
        return pick_rate(self.rate, self.maker_rate, liquidity)


def tier_at(tiers: tuple[Tier, ...], volume: float) -> Tier:
    """The tier in which `volume` lies."""
    return max((tier for tier in tiers if tier.at_least <= volume), key=lambda tier: tier.at_least)


def average_rate(tiers: tuple[Tier, ...], before: float, amount: float, liquidity: Liquidity) -> float:
    """The rate of `amount` more on top of `before`, each part of it at the rate of the tier it lies in."""
    if amount <= 0:
        return tier_at(tiers, before).rate_for(liquidity)
    ends = [*(tier.at_least for tier in tiers[1:]), math.inf]
    # Measured from `before`, so that a small amount on a large volume loses no digits.
    parts = (
        tier.rate_for(liquidity) * max(min(end - before, amount) - max(tier.at_least - before, 0.0), 0.0)
        for tier, end in zip(tiers, ends, strict=True)
    )
    return math.fsum(parts) / amount


def ascending(tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
    """The tiers, if they begin at zero and each begins above the one before.

    Raises:
        ValueError: they do not.
    """
    starts = [tier.at_least for tier in tiers]
    if not starts or starts[0] != 0 or any(b <= a for a, b in itertools.pairwise(starts)):
        raise ValueError(f"tiers must begin with at_least 0 and ascend; found {starts}")
    return tiers


class TradedVolume:
    """Volume by day (UTC) over the last 31 days."""

    def __init__(self) -> None:
        self.last_ts = 0
        self._days: deque[list[float]] = deque(maxlen=_DAYS_KEPT)

    def add(self, ts: int, amount: float) -> None:
        """Count `amount` as traded at `ts` (ns UTC)."""
        self.last_ts = ts
        day = ts // _DAY_NS
        if not self._days or self._days[-1][0] != day:
            self._days.append([day, 0.0])
        self._days[-1][1] += amount

    def this_month(self, ts: int) -> float:
        """Volume since the beginning of the calendar month of `ts`."""
        day = ts // _DAY_NS
        return self._between(day - dt.date.fromordinal(_EPOCH + day).day + 1, day)

    def last_30_days(self, ts: int) -> float:
        """Volume of the day of `ts` and of the 29 days before it."""
        day = ts // _DAY_NS
        return self._between(day - 29, day)

    def previous_30_days(self, ts: int) -> float:
        """Volume of the 30 days before the day of `ts`."""
        day = ts // _DAY_NS
        return self._between(day - 30, day - 1)

    def _between(self, first: int, last: int) -> float:
        return math.fsum(volume for day, volume in self._days if first <= day <= last)
