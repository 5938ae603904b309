"""The coordinator: starts the data, closes positions at the end, collects the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bus.runtime import component as runtime
from bus.runtime.component import Component, handles
from bus.runtime.plain import Trips
from components.coordinator.results import Results
from components.coordinator.statistics import Convention, Statistics, equity_analysis, trade_analysis
from schemas import (
    AccountReport,
    AmbiguityReport,
    ClosedTrade,
    ClosePositions,
    CloseRule,
    Drained,
    EndOfStream,
    EquityCurve,
    OrderState,
    OrderStatus,
    ReportRequested,
    RunCompleted,
    RunStarted,
    StartStream,
    StreamEnding,
)

_DAYS_PER_YEAR = 252.0
_S_PER_HOUR = 3600
_RECEIVED: Final = OrderState.RECEIVED
_REJECTED: Final = OrderState.REJECTED


class Parameters(runtime.Parameters):
    """`risk_convention` picks the definitions of volatility, Sharpe and Sortino ratio, see docs/statistics.md."""

    risk_convention: Convention = "specification"


class BacktestCoordinator(Component):
    """Takes a run from `RunStarted` to `RunCompleted`.

    It asks every data source for its stream. When all have ended it has positions closed by risk, orders and fills,
    as `close_at_end` says; when that has settled it asks for the account's report, and then publishes the result.
    `results` is that result, None until then.
    """

    component_type = "coordinator"
    undivided = "it sees to the end of the whole run"
    Parameters = Parameters
    emits = (StartStream, ClosePositions, ReportRequested, RunCompleted)
    optional = frozenset({AmbiguityReport})
    quiet = frozenset({OrderStatus, ClosedTrade, EquityCurve, AccountReport, AmbiguityReport})

    def reset(self) -> None:
        """Nothing started, nothing counted."""
        self.results: dict[str, Any] | None = None
        self._streaming = set(self.context.sources)
        self._not_ending = set(self.context.sources)
        self._report_requested = False
        self._collected = Results(self.context.run, self.parameters.risk_convention)

    @handles(RunStarted)
    def on_run_started(self, _message: RunStarted) -> None:
        """Ask every source to begin."""
        for source in self.context.sources:
            self.emit(StartStream(source))

    @handles(StreamEnding)
    def on_stream_ending(self, message: StreamEnding) -> None:
        """Have positions closed at the next open, once every source is about to send its last."""
        if message.source in self._not_ending:
            self._not_ending.discard(message.source)
            if not self._not_ending and self.context.run.close_at_end is CloseRule.NEXT_OPEN:
                self._close_positions(CloseRule.NEXT_OPEN)

    @handles(EndOfStream)
    def on_end_of_stream(self, message: EndOfStream) -> None:
        """Have what is still open closed at the last close, once every source has ended."""
        if message.source in self._streaming:
            self._streaming.discard(message.source)
            self._collected.bars += message.count
            if not self._streaming and self.context.run.close_at_end is not CloseRule.NONE:
                self._close_positions(CloseRule.LAST_CLOSE)

    @handles(OrderStatus)
    def on_order_status(self, status: OrderStatus) -> None:
        """Count orders, and those among them that were rejected."""
        state = status.state
        if state is _RECEIVED:
            if status.previous is None:
                self._collected.orders += 1
        elif state is _REJECTED and status.previous is not _REJECTED:
            self._collected.rejected += 1

    @handles(ClosedTrade)
    def on_closed_trade(self, trade: ClosedTrade) -> None:
        """Keep the round trip."""
        self._collected.add_trade(trade)

    @handles(EquityCurve)
    def on_equity_curve(self, block: EquityCurve) -> None:
        """Keep the next block of the curve."""
        self._collected.add_curve(block)

    @handles(AccountReport)
    def on_account_report(self, report: AccountReport) -> None:
        """Keep the account's totals."""
        self._collected.add_report(report)

    @handles(AmbiguityReport)
    def on_ambiguity_report(self, report: AmbiguityReport) -> None:
        """Keep what a broker says of the path inside bars."""
        self._collected.add_ambiguity(report)

    @handles(Drained)
    def on_drained(self, _message: Drained) -> None:
        """First ask for the report; when that has arrived as well, the run is complete."""
        if not self._report_requested:
            self._report_requested = True
            self.emit(ReportRequested(self.clock.now_ns))
        elif self.results is None:
            self.results = {"statistics": self._collected.statistics(), "counts": self._collected.counts()}
            self.emit(RunCompleted(**self.results))

    def analyze_trades(self, trades: Sequence[Mapping[str, Any]]) -> Statistics:
        """Trade analysis of dicts with `realized_pnl`, `quantity` and, as datetimes, `entry_time` and `exit_time`."""
        if not trades:
            return {}
        pnl = [float(trade["realized_pnl"]) for trade in trades]
        return trade_analysis(pnl, [float(trade["quantity"]) for trade in trades], _hours(trades))

    def analyze_equity_curve(self, equity_curve: Sequence[Mapping[str, Any]]) -> Statistics:
        """Equity analysis of dicts with `portfolio_value`; daily unless `periods_per_year` is configured."""
        if not equity_curve:
            return {}
        values = [float(point["portfolio_value"]) for point in equity_curve]
        per_year = self.context.run.periods_per_year or _DAYS_PER_YEAR
        convention = self.parameters.risk_convention
        return equity_analysis((), values, periods_per_year=per_year, convention=convention)

    def take_orders(self, count: int) -> None:
        """So many orders more, of which none was rejected."""
        self._collected.orders += count

    def take_trips(self, trips: Trips) -> None:
        """More round trips."""
        if trips.ids:
            self._collected.add_trips(trips)

    def _close_positions(self, rule: CloseRule) -> None:
        self.emit(ClosePositions(self.clock.now_ns, rule, "close_at_end"))


def _hours(trades: Sequence[Mapping[str, Any]]) -> list[float]:
    timed = [trade for trade in trades if "entry_time" in trade and "exit_time" in trade]
    return [(trade["exit_time"] - trade["entry_time"]).total_seconds() / _S_PER_HOUR for trade in timed]
