"""What a run leaves behind, and the statistics that are made of it."""

from __future__ import annotations

import math
import struct

import numpy as np

from bus.runtime.plain import Trips
from bus.runtime.settings import RunSettings
from components.coordinator.curve import CurveAnalysis
from components.coordinator.statistics import (
    Convention,
    Statistics,
    account_analysis,
    curve_statistics,
    frequency,
    trade_statistics,
)
from components.coordinator.trades import TradeAnalysis
from schemas import AccountReport, AmbiguityReport, ClosedTrade, EquityCurve

_NS_PER_HOUR = 3_600_000_000_000
_TRADE = np.dtype([("pnl", "f8"), ("quantity", "f8"), ("held_ns", "i8")])
_pack_trade = struct.Struct("=ddq").pack
"""A trade as `_TRADE` has it. Made of it when it comes: a little later it would be out of the core's cache."""
_MOST_WAITING = 65_536 * _TRADE.itemsize


class Results:
    """Collects trades, the equity curve and the account's report; `bars`, `orders` and `rejected` orders are counted.

    Neither the curve nor the trades cost any memory.
    """

    def __init__(self, run: RunSettings, convention: Convention) -> None:
        self.bars = 0
        self.orders = 0
        self.rejected = 0
        self._run = run
        self._convention = convention
        self._report: AccountReport | None = None
        self._ambiguity: dict[str, int | float] = {}
        self._foreign_trades = 0
        self._waiting = bytearray()
        """Trades that are not analysed yet."""
        self._analysis = TradeAnalysis()
        self._curve = CurveAnalysis()

    def add_trade(self, trade: ClosedTrade) -> None:
        """The next trade; those in a currency that has no rate are counted only."""
        if trade.currency:
            self._foreign_trades += 1
            return
        waiting = self._waiting
        waiting += _pack_trade(trade.realised_pnl, trade.quantity, trade.exit_ts - trade.entry_ts)
        if len(waiting) >= _MOST_WAITING:
            self._gather()

    def add_trips(self, trips: Trips) -> None:
        """The next trades, in the account's currency or converted to it."""
        columns = (trips.realised, np.abs(trips.closed), trips.exit_ts - trips.entry_ts)
        trades = np.empty(len(trips.ids), _TRADE)
        for name, column in zip(_TRADE.names or (), columns, strict=True):
            trades[name] = column
        self._waiting += trades.tobytes()
        if len(self._waiting) >= _MOST_WAITING:
            self._gather()

    def add_curve(self, block: EquityCurve) -> None:
        """The next block of the curve."""
        ts = np.frombuffer(block.ts, "<i8")
        equity, exposure = np.frombuffer(block.equity, "<f8"), np.frombuffer(block.exposure, "<f8")
        if len(equity) and not self._curve.points and equity[0] != self._run.initial_cash:
            # The account traded in its first timestamp: the first return is measured from the initial cash.
            self._curve.add(ts[:1], np.array([self._run.initial_cash]), np.zeros(1))
        self._curve.add(ts, equity, exposure)

    def add_report(self, report: AccountReport) -> None:
        """The account's totals."""
        self._report = report

    def add_ambiguity(self, report: AmbiguityReport) -> None:
        """How much one broker's fills depend on the path inside bars; several brokers' are summed."""
        figures = {
            "ambiguous_bars": report.bars,
            "ambiguous_orders": report.orders,
            "ambiguity_better": report.better,
            "ambiguity_worse": report.worse,
        }
        for name, value in figures.items():
            self._ambiguity[name] = self._ambiguity.get(name, 0) + value

    def counts(self) -> dict[str, int]:
        """The number of things that happened."""
        self._gather()
        fills = self._report.fills if self._report is not None else 0
        return {
            "bars": self.bars,
            "orders": self.orders,
            "rejected": self.rejected,
            "fills": fills,
            "trades": self._analysis.count + self._foreign_trades,
        }

    def statistics(self) -> Statistics:
        """Everything by name. Totals of the account are missing if nobody reported them."""
        self._gather()
        per_year = self._run.periods_per_year or frequency(self._curve.calendar)
        statistics = {
            **curve_statistics(self._curve, per_year, self._convention),
            **trade_statistics(self._analysis),
        }
        if self._report is not None:
            statistics |= account_analysis(self._report, self._curve.equity.mean())
        statistics |= self._ambiguity
        return {name: None if _not_finite(value) else value for name, value in statistics.items()}

    def _gather(self) -> None:
        """Analyse the trades that wait."""
        trades = np.frombuffer(self._waiting, _TRADE)
        self._waiting = bytearray()
        # Python divides whole numbers of any size exactly, and rounds once.
        hours = np.array([held / _NS_PER_HOUR for held in trades["held_ns"].tolist()], np.float64)
        self._analysis.add(trades["pnl"], trades["quantity"], hours)


def _not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
