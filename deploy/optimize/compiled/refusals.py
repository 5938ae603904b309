"""What a compiled run cannot do, said before it runs: the event-driven engine can do all of it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from bus.runtime.component import Component
from bus.runtime.settings import Instrument, RunSettings
from components.broker.simulated import SimulatedBroker, SimulatedBrokerParameters
from components.coordinator.coordinator import BacktestCoordinator
from components.data.historical import HistoricalDataHandler
from components.models.commission import (
    CommissionModel,
    FixedCommissionModel,
    NoCommissionModel,
    PercentageCommissionModel,
    PerShareCommissionModel,
    make_commission,
)
from components.models.latency import FixedLatencyModel, NoLatencyModel, make_latency
from components.models.slippage import (
    FixedSlippageModel,
    NoSlippageModel,
    PercentageSlippageModel,
    SlippageModel,
    VolumeBasedSlippageModel,
    make_slippage,
)
from components.order_manager.order_manager import OrderManager
from components.portfolio.portfolio import Portfolio
from components.risk.stub import RiskStub
from components.strategy.array_strategy import ArrayStrategy
from components.strategy.moving_average import MovingAverageCrossover
from deploy.plan import Plan

KNOWN: dict[str, tuple[type[Component], ...]] = {
    "data_handler": (HistoricalDataHandler,),
    "strategy": (MovingAverageCrossover, ArrayStrategy),
    "risk_manager": (RiskStub,),
    "order_manager": (OrderManager,),
    "broker": (SimulatedBroker,),
    "portfolio": (Portfolio,),
    "coordinator": (BacktestCoordinator,),
}
SLIPPAGES: tuple[type[SlippageModel], ...] = (
    NoSlippageModel,
    FixedSlippageModel,
    PercentageSlippageModel,
    VolumeBasedSlippageModel,
)
COMMISSIONS: tuple[type[CommissionModel], ...] = (
    NoCommissionModel,
    FixedCommissionModel,
    PercentageCommissionModel,
    PerShareCommissionModel,
)
_PLACES = 22
"""So many decimals of a step can be computed exactly."""


def refusals(plan: Plan) -> list[str]:
    """Every reason why this topology cannot run compiled, each with its place; empty if it can."""
    run, reasons = plan.context.run, list(_component_refusals(plan))
    for entry in plan.entries:
        place, component = f"components.{entry.name}", entry.component
        if type(component) is SimulatedBroker:
            reasons += [f"{place}.{reason}" for reason in broker_refusals(component.parameters)]
        elif type(component) is Portfolio:
            reasons += [f"{place}.{reason}" for reason in _portfolio_refusals(component)]
        elif type(component) is HistoricalDataHandler:
            reasons += [f"{place}.{reason}" for reason in _data_refusals(component, run)]
    for instrument in run.instruments:
        reasons += [
            f"backtest.instruments.{instrument.symbol}.{r}" for r in instrument_refusals(instrument, run.currency)
        ]
    return reasons


def _component_refusals(plan: Plan) -> Iterator[str]:
    seen: dict[str, str] = {}
    for entry in plan.entries:
        place, kind = f"components.{entry.name}", entry.component.component_type
        if type(entry.component) not in KNOWN.get(kind, ()):
            known = ", ".join(cls.__name__ for cls in KNOWN.get(kind, ())) or "none of this type"
            yield f"{place}.class: {entry.class_name} has no compiled form; those that have one: {known}"
        elif kind in seen:
            yield f"{place}: a compiled run has one {kind}, and {seen[kind]} is one already"
        seen[kind] = entry.name


def broker_refusals(parameters: SimulatedBrokerParameters) -> list[str]:
    """Of the broker's configuration."""
    reasons = []
    slippage, commission = make_slippage(parameters.slippage), make_commission(parameters.commission)
    latency = make_latency(parameters.latency)
    if type(slippage) not in SLIPPAGES:
        reasons.append(
            f"slippage.model: {parameters.slippage.model} has no compiled form; none, fixed, percentage and volume have"
        )
    if type(commission) not in COMMISSIONS:
        reasons.append(
            f"commission.model: {parameters.commission.model} has no compiled form; none, fixed, percentage and "
            "per_share have"
        )
    if commission.extra_fees:
        reasons.append("commission.extra_fees: compiled runs charge one fee line only")
    if not (type(latency) is NoLatencyModel or (type(latency) is FixedLatencyModel and latency.ms == 0)):
        reasons.append(f"latency.model: {parameters.latency.model}: in a compiled run orders arrive at once")
    if parameters.intrabar.report_ambiguity:
        reasons.append("intrabar.report_ambiguity: a compiled run has market orders only, whose path does not matter")
    if parameters.symbols:
        reasons.append("symbols: the broker of a compiled run serves every symbol; leave it out")
    return reasons


def instrument_refusals(instrument: Instrument, currency: str) -> list[str]:
    """Of one instrument."""
    reasons = []
    if instrument.currency != currency:
        reasons.append(f"currency: {instrument.currency} is not the account's {currency}; compiled runs have one")
    for name, step in (("tick_size", instrument.tick_size), ("lot_size", instrument.lot_size)):
        if step and -int(Decimal(repr(step)).as_tuple().exponent) > _PLACES:
            reasons.append(f"{name}: {step} has more than {_PLACES} decimals")
    return reasons


def _portfolio_refusals(portfolio: Portfolio) -> Iterator[str]:
    parameters = portfolio.parameters
    if parameters.curve_interval_s:
        yield "curve_interval_s: the curve of a compiled run has a point for every timestamp"
    if parameters.rates:
        yield "rates: a compiled run has one currency"


def _data_refusals(handler: HistoricalDataHandler, run: RunSettings) -> Iterator[str]:
    known = {*run.symbols, *(i.symbol for i in run.instruments)}
    unknown = sorted(set(handler.parameters.symbols) - known) if run.symbols else []
    if unknown:
        yield f"symbols: {', '.join(unknown)} are not in backtest.symbols, and orders in them would be rejected"
