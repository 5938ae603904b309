"""The simulated broker: matches orders against bars, quotes and trades. Rules: docs/execution-rules.md."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bus.runtime.block import Block
from bus.runtime.component import Handler, handles, query
from bus.runtime.settings import StrictModel
from components.broker import feed, gateway
from components.broker.ambiguity import Ambiguity
from components.broker.base import BrokerBase, BrokerParameters
from components.broker.desk import Desk
from components.broker.fills import FREE, Costs
from components.broker.path import PathStyle
from components.broker.pricing import FillPrice, Terms
from components.broker.session import SessionConfig, make_session
from components.broker.venue import MatchSettings, Venue
from components.models.commission import CommissionConfig, make_commission
from components.models.latency import LatencyConfig, NoLatencyModel, make_latency
from components.models.slippage import SlippageConfig, make_slippage
from schemas import (
    AmbiguityReport,
    Bar,
    BrokerReport,
    EndOfStream,
    Fill,
    Message,
    Order,
    OrderState,
    Quote,
    ReportRequested,
    StreamEnding,
    Trade,
)

if TYPE_CHECKING:
    from components.broker.plain import PlainMatching
    from components.broker.resting import RestingMatching

_MARKET_DATA: frozenset[type[Message]] = frozenset({Bar, Quote, Trade})
_NOTHING: frozenset[type[Message]] = frozenset()


class IntrabarConfig(StrictModel):
    """The path inside a bar: open, high, low, close; or low before high; or the extreme nearer to the open first.

    With `report_ambiguity` the broker also counts what would have been different on the other path.
    """

    path: PathStyle = "adaptive"
    report_ambiguity: bool = False


class SimulatedBrokerParameters(BrokerParameters):
    """How orders are filled, and what it costs.

    `fill_price` says how market orders are priced. `limit_touch`: whether a bar that only touches a limit fills it, or
    must trade through it. `max_volume_pct` is the fraction of a bar's volume that all orders in its symbol together
    may take; null for no cap. `slippage_within_bar` keeps slippage inside the bar's range.
    """

    fill_price: FillPrice = "next_open"
    limit_touch: Literal["touch", "through"] = "touch"
    intrabar: IntrabarConfig = IntrabarConfig()
    max_volume_pct: float | None = Field(default=0.1, gt=0, le=1)
    slippage: SlippageConfig = SlippageConfig()
    slippage_within_bar: bool = False
    commission: CommissionConfig = CommissionConfig()
    latency: LatencyConfig = LatencyConfig()
    session: SessionConfig = SessionConfig()


class SimulatedBroker(BrokerBase):
    """Fills orders from market data, with slippage, commission, limited volume and latency as configured."""

    emits: ClassVar[tuple[type[Message], ...]] = (Fill, BrokerReport, AmbiguityReport)
    Parameters = SimulatedBrokerParameters
    parameters: SimulatedBrokerParameters

    def reset(self) -> None:
        """Forget all orders, positions and market data; models have learnt nothing."""
        parameters = self.parameters
        slippage = self._slippage = make_slippage(parameters.slippage)
        self._learns = slippage.learns
        commission = self._commission = make_commission(parameters.commission)
        costs = Costs(
            FREE.slippage if slippage.is_free else slippage,
            FREE.commission if commission.is_free else commission,
            parameters.slippage_within_bar,
        )
        desk = self._desk = Desk(self.name, self.clock, self.emit, costs, self.context.run.instrument)
        rng = Random(f"{self.context.run.seed}/{self.name}")  # noqa: S311 - a seeded simulation
        settings = _settings(parameters, rng)
        ambiguity = self._ambiguity = Ambiguity(settings, self._slippage, parameters.slippage_within_bar)
        compare = partial(ambiguity.compare, self.clock) if parameters.intrabar.report_ambiguity else None
        self._venue = Venue(desk, self.clock, settings, compare)
        self._ended: set[str] = set()
        self.quiet = _MARKET_DATA

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        """Match orders against a bar, then let models learn from it."""
        feed.on_bar(self._venue, bar)
        if self._learns:
            self._slippage.on_bar(bar)
        desk = self._desk
        if not (desk.orders or desk.in_flight):
            self.quiet = _MARKET_DATA

    @handles(Quote)
    def on_quote(self, quote: Quote) -> None:
        """Match orders against a quote."""
        feed.on_quote(self._venue, quote)
        if not self.quiet:
            self._set_quiet()

    @handles(Trade)
    def on_trade(self, trade: Trade) -> None:
        """Match orders against a trade."""
        feed.on_trade(self._venue, trade)
        if not self.quiet:
            self._set_quiet()

    def unanswered(self, messages: Block, start: int, most: int) -> int:
        """How many bars, from `start` on, meet no order and see nothing due; 0 for quotes and trades."""
        return feed.untouched(self._venue, messages, start, most) if messages.message_type is Bar else 0

    def on_block(self, messages: Block, start: int, end: int) -> None:
        """Many market data of one type at once, which fill no order."""
        if messages.message_type is not Bar:
            handler: Handler = self.on_quote if messages.message_type is Quote else self.on_trade
            for message in messages[start:end]:
                handler(message)
            return
        feed.on_idle_bars(self._venue, messages, start, end)
        if self._learns:
            for bar in messages[start:end]:
                self._slippage.on_bar(bar)
        if not self.quiet:
            self._set_quiet()

    @handles(StreamEnding, EndOfStream)
    def on_end(self, message: StreamEnding | EndOfStream) -> None:
        """A source's next timestamp is its last, or it has ended: see `Venue.ending` and `Venue.ended`."""
        if isinstance(message, StreamEnding):
            self._venue.end_is_near()
            return
        self._ended.add(message.source)
        if self._ended.issuperset(self.context.sources):
            feed.end_of_data(self._venue)

    @handles(ReportRequested)
    def on_report_requested(self, _request: ReportRequested) -> None:
        """Publish how much depends on the path inside bars."""
        self.emit(self._ambiguity.report(self.name, self.clock.now_ns))

    def handlers(self) -> dict[type[Message], Handler]:
        """As of every component; nobody is asked for a report that was not configured."""
        handlers = super().handlers()
        if not self.parameters.intrabar.report_ambiguity:
            del handlers[ReportRequested]
        return handlers

    def execute_order(self, order: Order, price: float | None = None) -> None:
        """Work an order; with a `price`, fill it at once at that price, with slippage and commission."""
        if price is None:
            gateway.submit(self._venue, order)
        else:
            gateway.submit_at(self._venue, order, price)
        self.quiet = _NOTHING

    def cancel_order(self, order_id: str, reason: str = "") -> None:
        """Cancel what is left of an order, once the request has reached the market."""
        gateway.request_cancel(self._venue, order_id, reason)

    def replace_order(self, order: Order) -> None:
        """Amend a working order, once the request has reached the market."""
        gateway.request_replace(self._venue, order)

    @query
    def get_order_status(self, order_id: str) -> OrderState | None:
        """ROUTED, PARTIAL or a final state; None for an order that is not known (any more)."""
        return self._desk.status(order_id)

    def plain(self) -> PlainMatching | None:
        """How it fills many plain orders at once; None when it does not: a model learns, or is not one of ours."""
        from components.broker.plain import PlainMatching  # and with it numpy, which a broker elsewhere does not need

        if self._learns or not _are_ours(self._slippage, self._commission):
            return None
        return PlainMatching(self.name, self._venue, self._set_quiet)

    def resting(self) -> RestingMatching | None:
        """How it works many resting orders at once; None when it does not: a model is not one of ours."""
        from components.broker.resting import RestingMatching

        if not _are_ours(self._slippage, self._commission):
            return None
        return RestingMatching(self.name, self._venue, self.on_block, self._set_quiet)

    def _set_quiet(self, was_asked: bool = False) -> None:
        """When all has been done; whether something was asked of it behind the last market data."""
        desk = self._desk
        self.quiet = _NOTHING if was_asked or desk.orders or desk.in_flight else _MARKET_DATA


def _are_ours(*models: object) -> bool:
    return all(type(model).__module__.startswith("components.") for model in models)


def _settings(parameters: SimulatedBrokerParameters, rng: Random) -> MatchSettings:
    latency = make_latency(parameters.latency)
    return MatchSettings(
        Terms(parameters.fill_price, strict=parameters.limit_touch == "through"),
        parameters.intrabar.path,
        parameters.max_volume_pct,
        make_session(parameters.session),
        None if isinstance(latency, NoLatencyModel) else lambda kind: latency.delay_ns(kind, rng),
    )
