"""Resting orders taken together: what a stretch of bars brings about of which none reaches an order.

A strategy that keeps orders away from the market, and a risk manager that hears only its signals, replace orders that
nobody has met. Then both can be handed what they take ahead of the others, and what becomes of their orders is the
same every time: they are routed and rest, or are cancelled. A stretch ends before the first bar that reaches an order,
and before all else that is not plain; the way of single messages, which is the definition, takes that.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from bus.express import Stretch
from bus.foresight import Foresight, can_be_foreseen
from bus.respondent import Respondent, can_respond
from bus.runtime.block import Block
from bus.runtime.component import Component
from bus.runtime.resting import Answered, Came, Cancelled, Request, RestingOrders
from bus.runtime.runner import emitted_types
from bus.stretch_records import Pattern
from bus.topics import Wiring
from components.broker.resting import Reach, RestingMatching
from components.order_manager.resting import RestingRouting
from deploy.parties import AHEAD, OURS, Patience, components_by_type, sources_by_type, symbol_of, take_nothing_else
from deploy.resting_patterns import form_of, patterns_of
from schemas import (
    Bar,
    BrokerReport,
    CancelOrder,
    Message,
    Order,
    OrderStatus,
    Signal,
    SubmitCancel,
    SubmitOrder,
)

_TAKERS: Final[dict[type[Message], frozenset[str]]] = {
    Bar: frozenset({"broker", "portfolio", "strategy"}),
    Signal: frozenset({"risk_manager"}),
    Order: frozenset({"order_manager"}),
    CancelOrder: frozenset({"order_manager"}),
    OrderStatus: frozenset({"coordinator"}),
    SubmitOrder: frozenset({"broker"}),
    SubmitCancel: frozenset({"broker"}),
    BrokerReport: frozenset({"order_manager"}),
}
"""All that resting orders bring about, and the types of the components that take it."""
_CLASSES: Final[dict[str, type[Component] | None]] = {
    **OURS,
    "strategy": None,
    "risk_manager": None,
}
_Admitted = TypeVar("_Admitted", Came, Cancelled)
_ENOUGH: Final = 12
"""So many orders and cancels at least are worth a stretch."""
_MOST_REQUESTS: Final = 8
"""So many orders and cancels may come with one bar."""
_ALIKE: Final = 6
"""So many bars at least, of each kind but two, are answered alike where there is a log: the records of those that are
alike are made together."""


def resting_express_of(wiring: Wiring) -> RestingExpress | None:
    """The express of a topology; None if its components are others than it knows, or not one of each."""
    components = components_by_type(wiring, _CLASSES)
    if components is None or not take_nothing_else(wiring, _TAKERS):
        return None
    strategy, risk = components["strategy"], components["risk_manager"]
    if not (can_be_foreseen(strategy) and can_respond(risk)):
        return None
    if any(Signal in emitted_types(m.component) for m in wiring.members if m.component is not strategy):
        return None  # one more who signals: whose turn is next would not be known
    return RestingExpress(strategy, risk, components, sources_by_type(wiring))


@dataclass
class RestingExpress:
    """Takes stretches of bars with resting orders. `components` and `sources` (their ids) are by component type."""

    strategy: Component
    respondent: Component
    components: dict[str, Any]
    sources: dict[str, int]
    untold = frozenset(_TAKERS)
    _foresight: Foresight = field(init=False)
    _respondent: Respondent = field(init=False)
    _is_logged: bool = False
    _patience: Patience = field(default_factory=Patience)

    def board(self, foresight: Foresight, respondent: Respondent | None, is_logged: bool) -> None:
        """The run begins."""
        assert respondent is not None, "it was asked for"
        self._foresight, self._respondent, self._is_logged = foresight, respondent, is_logged

    def stretch(self, bars: Block, start: int) -> Stretch | None:
        """Take the bars from `start` on, if many orders and cancels come of them and no bar reaches an order."""
        return self._patience.attempt(self._stretch, bars, start)

    def messages(self, _message_type: type[Message], _happened: RestingOrders) -> Iterator[Message]:
        """Nothing comes of a stretch that anybody could be told of."""
        return iter(())

    def patterns(self, stretches: Sequence[tuple[int, RestingOrders]]) -> list[Pattern]:
        """As `patterns_of` gives."""
        return patterns_of(stretches, self.sources, self.components["broker"].name)

    def _stretch(self, bars: Block, start: int) -> Stretch | None:
        symbol = symbol_of(bars, start)
        if symbol is None:
            return None
        broker = self.components["broker"].resting()
        if broker is None:
            return None
        sides = _Sides(self.components["order_manager"].resting(), broker)
        if not sides.are_ready(bars, start, symbol):
            return None
        foresight, respondent, most = self._foresight, self._respondent, self._patience.most
        foresight.look(bars, start, start + AHEAD)
        if not foresight.answers:
            return None
        respondent.look(itertools.islice(foresight.answers, most), bars)
        resting, end = _planned(sides, foresight, respondent, bars, start, most, symbol)
        answered, came, cancelled = resting.answered, resting.came, resting.cancelled
        signals = sum(len(each.signals) for each in answered)
        self._patience.heard(signals, to_the_end=end == foresight.known)
        if len(came) + len(cancelled) < _ENOUGH:
            return None
        if self._is_logged and _find_forms(answered) > max(2, len(answered) // _ALIKE):
            return None
        return self._take(sides, resting, signals, bars, start, end)

    def _take(self, sides: _Sides, resting: RestingOrders, signals: int, bars: Block, start: int, end: int) -> Stretch:
        """Let all components take the bars of a plan; so many signals come of them."""
        orders, cancels = len(resting.came), len(resting.cancelled)
        self._foresight.clock.now_ns = resting.end_ts
        sides.orders.take(resting, sides.broker.name)
        sides.broker.take(resting, bars, start, end)
        self.components["portfolio"].on_block(bars, start, end)
        self.components["coordinator"].take_orders(orders)
        self._foresight.pass_on(end, signals)
        self._respondent.pass_on(signals)
        counts: dict[type[Message], int] = {
            Signal: signals,
            Order: orders,
            OrderStatus: 3 * orders + cancels,
            SubmitOrder: orders,
            CancelOrder: cancels,
            SubmitCancel: cancels,
            BrokerReport: cancels,
        }
        return Stretch(end, resting.symbol, counts, resting)


class _Sides(NamedTuple):
    """The components, as far as they take resting orders together."""

    orders: RestingRouting
    broker: RestingMatching

    def are_ready(self, bars: Block, start: int, symbol: str) -> bool:
        """Whether orders in the symbol would rest, for all that is known before the bars."""
        return self.orders.is_ready() and self.broker.is_ready(bars, start, symbol)


class _Admission:
    """Admits orders and cancels of a symbol one after another, and tells a `reach` of them."""

    def __init__(self, sides: _Sides, reach: Reach, symbol: str) -> None:
        self._sides = sides
        self._reach = reach
        self._symbol = symbol
        self._accepts = sides.orders.acceptor(sides.broker.name)
        self._ended = sides.broker.ended
        self.came: dict[str, Came] = {}
        self.cancelled: dict[str, Cancelled] = {}
        """What was admitted, as `RestingOrders` has it."""

    def admits(self, bar: Answered) -> bool:
        """Whether the orders would rest, and the cancels end such as came before this bar; from now on they do.

        When they do not, nothing else is to be admitted: the reach has heard of part of them.
        """
        came, cancelled, ts = self.came, self.cancelled, bar.ts
        for request in bar.requests:
            order_id = request.order_id
            known = came.get(order_id)
            if type(request) is not Order:
                if order_id in cancelled or not (self._rests(order_id) if known is None else known.ts < ts):
                    return self._refuse(ts)
                cancelled[order_id] = Cancelled(request.reason, ts)
                self._reach.reached.pop(order_id, None)
            elif (
                known is not None
                or request.symbol != self._symbol
                or not self._accepts(request)
                or order_id in self._ended
            ):
                return self._refuse(ts)
            else:
                came[order_id] = Came(request, ts)
                self._reach.add(request, bar.at)
        return True

    def _refuse(self, ts: int) -> bool:
        """Admit nothing of what comes with the bar at `ts`."""
        _take_back(self.came, ts)
        _take_back(self.cancelled, ts)
        return False

    def _rests(self, order_id: str) -> bool:
        """Whether it is an order that came before the stretch and rests."""
        orders, broker = self._sides
        return orders.rests(order_id, broker.name) and broker.rests(order_id, self._symbol)


@np.errstate(all="ignore")  # as floats of Python's; a strategy may have said otherwise
def _planned(
    sides: _Sides, foresight: Foresight, respondent: Respondent, bars: Block, start: int, most: int, symbol: str
) -> tuple[RestingOrders, int]:
    """What is answered so many signals at most, and before which bar the stretch ends: the first that is not plain."""
    end = foresight.known if foresight.error is None else foresight.known - 1
    known = min(most, len(respondent.answers))
    if known < len(foresight.answers):
        end = foresight.answers[known][0]
    reach = sides.broker.reach(bars, start, end, symbol)
    admission, answered = _Admission(sides, reach, symbol), list[Answered]()
    heard = zip(foresight.answers, respondent.answers, strict=False)
    refused: Answered | None = None
    for each in _by_bar(itertools.islice(heard, known), bars):
        if each.at >= reach.first:
            break
        if len(each.requests) > _MOST_REQUESTS or not admission.admits(each):
            refused = each
            break
        answered.append(each)
    end = reach.first if refused is None else refused.at
    return RestingOrders(symbol, answered, bars[end - 1].ts, admission.came, admission.cancelled), end


def _by_bar(heard: Iterable[tuple[tuple[int, Signal], list[Request]]], bars: Block) -> Iterator[Answered]:
    """Signals, each with the index of its bar, and what they were answered, by bar."""
    each: Answered | None = None
    for (at, signal), requests in heard:
        if each is not None and each.at == at:
            each.signals.append(signal)
            each.answers.append(requests)
            each.requests = each.requests + requests
            continue
        if each is not None:
            yield each
        each = Answered(at, bars[at].ts, [signal], [requests], requests)
    if each is not None:
        yield each


def _take_back(admitted: dict[str, _Admitted], ts: int) -> None:
    """Take out those at `ts`, which are the last."""
    while admitted and next(reversed(admitted.values())).ts == ts:
        admitted.popitem()


def _find_forms(answered: list[Answered]) -> int:
    """Find out the form of each bar's answers; how many different ones there are."""
    for bar in answered:
        bar.form = form_of(bar)
    return len({bar.form for bar in answered})
