"""Plain orders taken together: what a stretch of bars brings about, worked out as columns.

In most topologies one strategy has market orders made in one symbol, and each fills whole at the next bar's open. What
becomes of them is then the same every time, but for its numbers. So the components work on all of a stretch's orders,
one component after another, instead of all components on one message after another; and the messages themselves are
made only where a log keeps them (`deploy.express_patterns`).

The way of single messages (`bus.local_order`) is the definition, and all that is not plain goes that way: a stretch
ends before the first bar at which anything else would happen. State, messages and log are the same, byte by byte.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.express import Express, Stretch
from bus.foresight import Foresight, can_be_foreseen
from bus.respondent import Respondent
from bus.runtime.block import Block
from bus.runtime.component import Component
from bus.runtime.plain import LARGE, PlainOrders
from bus.stretch_records import Pattern
from bus.topics import Wiring
from components.broker.plain import PlainMatching
from components.coordinator.coordinator import BacktestCoordinator
from components.order_manager.plain import PlainRouting
from components.portfolio.plain import PlainBooking
from components.risk.plain import PlainSizing
from components.risk.stub import RiskStub
from deploy.express_patterns import Happened, joined, patterns_of
from deploy.parties import (
    AHEAD,
    OURS,
    TIMES,
    Patience,
    components_by_type,
    sources_by_type,
    symbol_of,
    take_nothing_else,
)
from deploy.resting_express import resting_express_of
from schemas import Bar, ClosedTrade, Fill, Message, Order, OrderStatus, PositionUpdate, Signal, SubmitOrder

_TAKERS: Final[dict[type[Message], frozenset[str]]] = {
    Bar: frozenset({"broker", "portfolio", "strategy"}),
    Signal: frozenset({"risk_manager"}),
    Order: frozenset({"order_manager"}),
    OrderStatus: frozenset({"risk_manager", "coordinator"}),
    SubmitOrder: frozenset({"broker"}),
    Fill: frozenset({"order_manager", "portfolio", "risk_manager"}),
    PositionUpdate: frozenset(),
    ClosedTrade: frozenset({"coordinator"}),
}
"""All that plain orders bring about, and the types of the components that take it; one of each type, and no others."""
_CLASSES: Final[dict[str, type[Component] | None]] = {
    **OURS,
    "strategy": None,
    "risk_manager": RiskStub,
}
_ENOUGH: Final = 24
"""So many signals and fills at least are worth a stretch."""
_MOST_LENGTHS: Final = 6
"""Of reasons, in a log: each makes records of other lengths, which are made together, and few are no quicker so."""


def express_of(wiring: Wiring) -> Express | None:
    """The express of a topology; None if its components are others than are known, or not one of each."""
    return _order_express_of(wiring) or resting_express_of(wiring)


def _order_express_of(wiring: Wiring) -> OrderExpress | None:
    components = components_by_type(wiring, _CLASSES)
    if components is None or not take_nothing_else(wiring, _TAKERS):
        return None
    strategy = components.pop("strategy")
    return OrderExpress(strategy, components, sources_by_type(wiring)) if can_be_foreseen(strategy) else None


class _Sides(NamedTuple):
    """The components, as far as they take plain orders together."""

    risk: PlainSizing
    orders: PlainRouting
    broker: PlainMatching
    portfolio: PlainBooking
    coordinator: BacktestCoordinator

    def are_ready(self, bars: Block, start: int, symbol: str) -> bool:
        """Whether orders in the symbol would be plain, for all that is known before the bars."""
        if not (self.broker.is_ready(bars, start, symbol) and self.portfolio.is_ready(bars, start, symbol)):
            return False
        entry_ts = self.portfolio.entry_ts(symbol)
        if not (entry_ts is None or entry_ts in TIMES):
            return False
        waiting = self.broker.waiting(symbol)
        return self.risk.is_ready(waiting, symbol) and self.orders.is_ready(waiting, symbol, self.broker.name)


class _Plan(NamedTuple):
    """What comes of a stretch: of signals, orders, and fills in the bars at `fills_at`, which have these `budgets`.

    `columns` of the orders are those of `PlainOrders` from `at` on; the first one is that which waits, if one does.
    """

    symbol: str
    end: int
    waiting: Order | None
    signals: list[Signal]
    at: list[int]
    columns: tuple[Any, ...]
    fills_at: NDArray[Any]
    budgets: NDArray[Any] | None


@dataclass
class OrderExpress:
    """Takes stretches of bars with plain orders. `components` and `sources` (their ids) are by component type."""

    strategy: Component
    components: dict[str, Any]
    sources: dict[str, int]
    untold = frozenset(_TAKERS.keys() - {ClosedTrade})
    respondent = None
    _foresight: Foresight = field(init=False)
    _is_logged: bool = False
    _patience: Patience = field(default_factory=Patience)

    def board(self, foresight: Foresight, _respondent: Respondent | None, is_logged: bool) -> None:
        """The run begins."""
        self._foresight = foresight
        self._is_logged = is_logged

    def stretch(self, bars: Block, start: int) -> Stretch | None:
        """Take the bars from `start` on, if many signals or fills come of them and all are plain."""
        return self._patience.attempt(self._stretch, bars, start)

    def messages(self, message_type: type[Message], happened: Happened) -> Iterator[Message]:
        """The round trips that came of a stretch."""
        assert message_type is ClosedTrade
        return happened.trips.messages(happened.orders.symbol)

    def patterns(self, stretches: Sequence[tuple[int, Happened]]) -> list[Pattern]:
        """As `patterns_of` gives."""
        return patterns_of(joined(stretches))

    def _stretch(self, bars: Block, start: int) -> Stretch | None:
        symbol = symbol_of(bars, start)
        if symbol is None or len(bars) - start < _ENOUGH:
            return None
        sides = self._sides()
        if sides is None or not sides.are_ready(bars, start, symbol):
            return None
        self._foresight.look(bars, start, start + AHEAD)
        if 2 * len(self._foresight.answers) < _ENOUGH:
            return None
        plan = _planned(sides, self._foresight, bars, start, self._patience.most, symbol)
        self._patience.heard(len(plan.signals), to_the_end=plan.end == self._foresight.known)
        if len(plan.signals) + len(plan.fills_at) < _ENOUGH:
            return None
        if self._is_logged and len({len(signal.reason) for signal in plan.signals}) > _MOST_LENGTHS:
            return None
        return self._take(sides, plan, bars, start)

    def _sides(self) -> _Sides | None:
        """The components' own parts in this; None if one of them has none now."""
        components = self.components
        kinds = ("risk_manager", "order_manager", "broker", "portfolio")
        risk, orders, broker, portfolio = (components[kind].plain() for kind in kinds)
        if risk is None or broker is None or portfolio is None:
            return None
        return _Sides(risk, orders, broker, portfolio, components["coordinator"])

    @np.errstate(all="ignore")  # as floats of Python's; a strategy may have said otherwise
    def _take(self, sides: _Sides, plan: _Plan, bars: Block, start: int) -> Stretch:
        """Let all components take the bars of a plan."""
        end, waiting, known = plan.end, plan.waiting, 0 if plan.waiting is None else 1
        self._foresight.clock.now_ns = bars[end - 1].ts
        ids = [] if waiting is None else [waiting.order_id]
        ids += sides.risk.take_ids(len(plan.columns[0]) - known)
        orders = PlainOrders(plan.symbol, ids, *plan.columns)
        fills = sides.broker.fill(orders, plan.fills_at, plan.budgets, bars)
        count, made = len(fills.ids), len(orders.ids) - known
        accounts, trips = sides.portfolio.take(orders, fills, bars, start, end)
        last = orders.order(count) if len(orders.ids) > count else None
        sides.risk.take(waiting, orders, fills, last)
        sides.orders.take(waiting, orders, fills, last, sides.broker.name)
        sides.broker.take(orders, fills, bars, start, end)
        sides.coordinator.take_orders(made)
        sides.coordinator.take_trips(trips)
        self._foresight.pass_on(end, len(plan.signals))
        counts: dict[type[Message], int] = {
            Signal: len(plan.signals),
            Order: made,
            OrderStatus: 3 * made + count,
            SubmitOrder: made,
            Fill: count,
            PositionUpdate: count,
            ClosedTrade: len(trips.ids),
        }
        names = sides.broker.name, sides.broker.rule
        happened = Happened(plan.signals, plan.at, orders, known, fills, accounts, trips, self.sources, *names)
        return Stretch(end, plan.symbol, counts, happened)


@np.errstate(all="ignore")
def _planned(sides: _Sides, foresight: Foresight, bars: Block, start: int, most: int, symbol: str) -> _Plan:
    """What comes of so many signals at most, to before the first bar at which not all is plain."""
    at, signals, end = _heard(foresight, most)
    waiting = sides.broker.waiting(symbol)
    wanted = sides.risk.quantities(signals, waiting, symbol)
    refused = {units for units in set(wanted) if units and sides.orders.refuses(symbol, abs(units))}
    if refused:
        wanted = list(itertools.takewhile(lambda units: units not in refused, wanted))
    if len(wanted) < len(at):
        end = at[len(wanted)]
    signed, made_at = np.array(wanted), np.array(at[: len(wanted)], np.int64)
    reasons = [signal.reason for signal, units in zip(signals, wanted, strict=False) if units]
    made_at, signed = made_at[signed != 0.0], signed[signed != 0.0]
    ts = bars.times[made_at]
    if waiting is not None:
        made_at, ts = np.append(start - 1, made_at), np.append(waiting.ts, ts)
        signed = np.append(waiting.direction.sign * waiting.quantity, signed)
        reasons.insert(0, waiting.reason)
    fills_at = made_at[made_at + 1 < end] + 1
    budgets = sides.broker.budgets(bars, fills_at, symbol)
    whole = sides.portfolio.count(symbol, signed.tolist(), _whole(bars, fills_at, signed, budgets))
    if whole < len(fills_at):
        end, fills_at = fills_at[whole].item(), fills_at[:whole]
        budgets = None if budgets is None else budgets[:whole]
    heard, made = bisect_left(at, end), int(made_at.searchsorted(end))
    columns = (made_at[:made], ts[:made], signed[:made], np.abs(signed[:made]), reasons[:made])
    return _Plan(symbol, end, waiting, signals[:heard], at[:heard], columns, fills_at, budgets)


def _heard(foresight: Foresight, most: int) -> tuple[list[int], list[Signal], int]:
    """Bars that were answered and so many signals, up to the first bar that was answered with more than one."""
    end = foresight.known if foresight.error is None else foresight.known - 1
    if len(foresight.answers) > most:
        end = foresight.answers[most][0]
    answers = list(itertools.islice(foresight.answers, most))
    at, signals = [at for at, _ in answers], [signal for _, signal in answers]
    if len(set(at)) < len(at):
        end = next(before for before, after in itertools.pairwise(at) if before == after)
    heard = bisect_left(at, end)
    return at[:heard], signals[:heard], end


def _whole(bars: Block, at: NDArray[Any], signed: NDArray[Any], budgets: NDArray[Any] | None) -> int:
    """How many fills, from the first on, the bars have enough volume for, and a price."""
    is_whole = np.abs(bars.array("open")[at]) < LARGE
    if budgets is not None:
        is_whole &= (np.abs(signed[: len(at)]) <= budgets) & (budgets < np.inf)
    return len(at) if is_whole.all() else int(is_whole.argmin())
