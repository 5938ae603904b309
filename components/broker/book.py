"""The working orders of one symbol, found by the price at which they could do something.

Every order that waits for a price waits for it to fall to a level or to rise to one: stop orders that sell, and all
others that buy, for a fall. Two indexes hold them by that
level, so that a bar looks at no order that its range does not reach: far-away orders cost it nothing.
"""

from __future__ import annotations

import heapq
import math
from typing import Final

import msgspec

from bus.runtime.block import Block
from bus.runtime.settings import Instrument
from components.broker.levels import Levels
from components.broker.market import Market
from components.broker.working import Working
from schemas import Bar, Order, OrderType, Quote, Trade

_LIMIT: Final = OrderType.LIMIT
_BY_STOP = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_TRIGGERED = _BY_STOP | {OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED}

ARRIVE, CANCEL, REPLACE, EXPIRE = range(4)
REQUESTS = frozenset({CANCEL, REPLACE})


class Action(msgspec.Struct, order=True, gc=False):
    """Something that happens to an order at a time (ns UTC), such as its arrival. Sorted by time, then number.

    Numbers differ, so that orders are never compared.

    `oco_cut` is the order's when the action was scheduled: an amendment does not know what was taken off since.
    """

    ts: int
    number: int
    what: int
    order: Working
    amended: Order | None = None
    reason: str = ""
    oco_cut: float = 0.0


class Book:
    """Working orders of a symbol, its actions to come, and what was last seen of its market."""

    __slots__ = (
        "_falls",
        "_rises",
        "agenda",
        "arriving",
        "arriving_by",
        "ask",
        "at_close",
        "bid",
        "ceiling",
        "floor",
        "fresh",
        "instrument",
        "interval",
        "last",
        "last_ts",
        "lot_size",
        "market",
        "position",
        "previous_ts",
        "quoted",
        "restless",
        "tick_size",
        "ticks",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.lot_size = instrument.lot_size
        self.tick_size = instrument.tick_size
        self.restless: dict[str, Working] = {}
        """Orders that every bar must look at, by id: market, market-on-open, trailing stop and new limit orders."""
        self.at_close: dict[str, Working] = {}
        """Market-on-close orders, by id."""
        self.agenda: list[Action] = []
        """A heap."""
        self.arriving: list[Working] = []
        """Plain market orders that come with the next record and are neither filed nor on the agenda."""
        self.fresh: list[Working] = []
        """Plain limit orders that do so; they are filed already, as if they rested."""
        self.arriving_by = 0
        """All of them have come by then (ns UTC)."""
        self.position = 0.0
        """The net position that the broker's own fills made."""
        self.last: Bar | Quote | Trade | None = None
        """The record that orders last met, or would have met."""
        self.ask: float | None = None
        self.bid: float | None = None
        """The last price that was quoted on each side; None for never."""
        self.market: Market | None = None
        """What was made of `last`, with what is left of its budget; None when no order has walked along it."""
        self.last_ts = 0
        self.previous_ts = 0
        """When `last`, and the record before it, were seen (ns UTC); 0 for never."""
        self.interval = 0
        """The shortest time between two bars so far, taken for the length of a bar; 0 while not known."""
        self.ticks = False
        """Whether the symbol has quotes or trades, which go before bars."""
        self.quoted = False
        """Whether it has quotes, which go before trades."""
        self.floor = -math.inf
        self.ceiling = math.inf
        """Prices strictly between them reach no order. While there is one that every record must look at, none does."""
        self._falls = Levels()
        self._rises = Levels()

    def observe(self, record: Bar | Quote | Trade) -> None:
        """Remember what the market did last, and learn the length of bars."""
        ts, last_ts = record.ts, self.last_ts
        gap = ts - last_ts
        if gap != self.interval and (0 < gap < self.interval or (not self.interval and last_ts)):
            self.interval = gap
        self.previous_ts = last_ts
        self.last_ts = ts
        self.last = record
        self.market = None

    def observe_all(self, bars: Block, start: int, end: int) -> None:
        """Remember the bars from `start` to before `end` at once, as `observe` would one after another."""
        interval, first_gap = self.interval, bars[start].ts - self.last_ts
        if first_gap != interval or bars.gaps != {interval}:
            gaps = {interval, *bars.gaps_between(start, end)}
            if self.last_ts:
                gaps.add(first_gap)
            gaps.discard(0)
            self.interval = min(gaps, default=0)
        last = bars[end - 1]
        self.previous_ts = bars[end - 2].ts if end - start > 1 else self.last_ts
        self.last, self.last_ts, self.market = last, last.ts, None

    def is_idle(self, low: float, high: float, ts: int) -> bool:
        """Whether no order can do anything when prices go from `low` to `high` until `ts`."""
        is_due = self.agenda and self.agenda[0].ts <= ts
        return not (self.is_reached(low, high) or self.arriving or self.fresh or is_due)

    def is_reached(self, low: float, high: float) -> bool:
        """Whether `reached` would find any order."""
        return low <= self.floor or high >= self.ceiling

    def place(self, order: Working) -> None:
        """File an order by the price that it waits for as what it works as now.

        Every record must look at one that waits for none, and at a limit order that has come and does not rest.
        """
        assert order.level is None, "an order is filed once"
        kind = order.kind
        if kind is _LIMIT:
            level = None if order.arrived and not order.rested else order.order.limit_price
        else:
            level = order.stop if kind in _TRIGGERED else None
        if level is None:
            kept = self.at_close if kind is OrderType.MARKET_ON_CLOSE else self.restless
            kept[order.order.order_id] = order
            order.level = self.floor = math.inf
        elif (order.sign > 0) != (kind in _BY_STOP):
            order.level = -level
            self._falls.add(-level, order)
            if level > self.floor:
                self.floor = level
        else:
            order.level = level
            self._rises.add(level, order)
            if level < self.ceiling:
                self.ceiling = level

    def remove(self, order: Working) -> None:
        """Take an order out; one that is not filed anywhere is let be."""
        level = order.level
        if level is None:
            return
        order.level = None
        if level == math.inf:
            self.restless.pop(order.order.order_id, None)
            self.at_close.pop(order.order.order_id, None)
        else:
            levels = self._falls if (order.sign > 0) != (order.kind in _BY_STOP) else self._rises
            levels.remove(level, order)
        self.floor = math.inf if self.restless or self.at_close else -self._falls.nearest
        self.ceiling = self._rises.nearest

    def reached(self, low: float, high: float) -> list[Working]:
        """Orders that wait for a price in this range, or one beyond it, then those that wait for none."""
        return [
            *self._falls.up_to(-low),
            *self._rises.up_to(high),
            *self.restless.values(),
            *self.at_close.values(),
        ]

    def schedule(self, action: Action) -> None:
        """Put an action on the agenda; `Desk.schedule` also sees to it that it happens if the market stands still."""
        heapq.heappush(self.agenda, action)

    def expect(self, order: Working) -> None:
        """A plain order is on its way, and usually there when the next bar opens."""
        if order.arrival_ts > self.arriving_by:
            self.arriving_by = order.arrival_ts
        if order.kind is _LIMIT:
            self.place(order)
            self.fresh.append(order)
        else:
            self.arriving.append(order)

    def rest(self) -> None:
        """The limit orders that came with the last record have met it."""
        for order in self.fresh:
            order.rested = order.arrived = True
        self.fresh.clear()

    def schedule_arriving(self) -> None:
        """Put the plain orders that arrive on the agenda, among all else that happens."""
        for order in (*self.arriving, *self.fresh):
            self.remove(order)
            self.schedule(Action(order.arrival_ts, order.number, ARRIVE, order))
        self.arriving.clear()
        self.fresh.clear()

    def due(self, ts: int, arrivals: bool) -> list[Action]:
        """Take what is due at `ts` (ns UTC) or before from the agenda, in order; with or without the arrivals."""
        if arrivals:
            self.schedule_arriving()
        actions: list[Action] = []
        kept: list[Action] = []
        while self.agenda and self.agenda[0].ts <= ts:
            action = heapq.heappop(self.agenda)
            (actions if arrivals or action.what != ARRIVE else kept).append(action)
        for action in kept:
            heapq.heappush(self.agenda, action)
        return actions
