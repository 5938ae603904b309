"""Many limit orders at once that no bar reaches: each comes on the close of a bar, rests, and is perhaps cancelled.

What happens is what `feed`, `gateway` and `Desk.end` do one message after another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from bus.runtime.block import Block
from bus.runtime.plain import LARGE
from bus.runtime.resting import RestingOrders
from components.broker.book import Book
from components.broker.venue import Venue
from components.broker.working import Working
from schemas import Direction, Order, OrderState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bus.runtime.plain import Floats

_BUY: Final = Direction.BUY
_FEW_ORDERS: Final = 64
"""Of more orders that bars reach it is not worth the while to find out when each of them is."""


class Reach:
    """Which bars reach limit orders that work. Of the bars, the first at `start`, it has the lows and the highs."""

    def __init__(self, start: int, lows: Floats, highs: Floats) -> None:
        self.end = start + len(lows)
        """The index behind the last bar."""
        self.reached: dict[str, int] = {}
        """By the ids of orders that work and that a bar will reach, the index of the first one that does."""
        self._start = start
        self._lows = lows
        self._highs = highs
        self._lowest = lows.min(initial=math.inf).item()
        self._highest = highs.max(initial=-math.inf).item()

    @property
    def first(self) -> int:
        """The index of the first bar that reaches an order, as things are; `end` if none does."""
        return min(self.reached.values()) if self.reached else self.end

    def add(self, order: Order, at: int) -> None:
        """An order comes with the bar with this index."""
        limit = order.limit_price
        assert limit is not None, "it is a limit order"
        buys = order.direction is _BUY
        if limit < self._lowest if buys else limit > self._highest:
            return
        after = at + 1 - self._start
        is_reached = self._lows[after:] <= limit if buys else self._highs[after:] >= limit
        if is_reached.any():
            self.reached[order.order_id] = at + 1 + int(is_reached.argmax())

    def see_those_that_wait(self, book: Book) -> None:
        """Take in the orders of a book.

        Very many, and unusual ones, are not told apart: the bars end before the first that reaches one of them.
        """
        if self._lowest > book.floor and self._highest < book.ceiling:
            return
        orders = book.reached(self._lowest, self._highest)
        if len(orders) <= _FEW_ORDERS and all(order.plain for order in orders):
            for order in orders:
                self.add(order.order, self._start - 1)
            return
        count = int(((self._lows <= book.floor) | (self._highs >= book.ceiling)).argmax())
        self._lows, self._highs, self.end = self._lows[:count], self._highs[:count], self._start + count


class RestingMatching:
    """Works resting orders of one symbol ahead. `name` is the broker's."""

    def __init__(
        self, name: str, venue: Venue, on_idle_bars: Callable[[Block, int, int], None], settled: Callable[[bool], None]
    ) -> None:
        """`on_idle_bars` takes bars that fill no order.

        `settled` is called when all has been done, and told whether something was asked of the broker at last.
        """
        self.name = name
        self._venue = venue
        self._on_idle_bars = on_idle_bars
        self._settled = settled

    def is_ready(self, bars: Block, start: int, symbol: str) -> bool:
        """Whether plain limit orders that come between these bars, which are of one symbol, rest from the next one on.

        Those of the symbol that have come before do so, too, and nothing is due.
        """
        venue, book = self._venue, self._venue.desk.books[symbol]
        return (
            venue.opens_plainly
            and venue.settings.delay_ns is None
            and not (book.ticks or book.arriving or book.agenda or venue.desk.wake_ups)
            and book.floor < math.inf
            and (not book.fresh or book.arriving_by <= book.last_ts)
            and book.last_ts < bars[start].ts
        )

    @property
    def ended(self) -> Container[str]:
        """The ids of orders that are remembered as such that do not work any more."""
        return self._venue.desk.final

    def rests(self, order_id: str, symbol: str) -> bool:
        """Whether an order works that came as a plain limit order and is as it was then."""
        order = self._venue.desk.orders.get(order_id)
        return order is not None and order.plain and not order.filled and order.order.symbol == symbol

    def reach(self, bars: Block, start: int, end: int, symbol: str) -> Reach:
        """Which bars from `start` to before `end`, or to before the first unusual one, reach orders."""
        lows, highs = bars.array("low")[start:end], bars.array("high")[start:end]
        is_usual: NDArray[np.bool_] = ~(np.isnan(lows) | np.isnan(highs))
        if self._venue.settings.max_volume_pct is not None:
            volumes = bars.array("volume")[start:end]
            is_usual &= (volumes > 0) & (volumes < LARGE)
        count = len(lows) if is_usual.all() else int(is_usual.argmin())
        reach = Reach(start, lows[:count], highs[:count])
        reach.see_those_that_wait(self._venue.desk.books[symbol])
        return reach

    def take(self, resting: RestingOrders, bars: Block, start: int, end: int) -> None:
        """The bars from `start` to before `end` have come, and all this with them."""
        desk = self._venue.desk
        book, numbers = desk.books[resting.symbol], desk.numbers
        self._on_idle_bars(bars, start, end)
        for order_id in resting.cancelled:
            if order_id in desk.orders:
                book.remove(desk.orders.pop(order_id))
        desk.remember(resting.cancelled, OrderState.CANCELLED)
        taken = list(islice(numbers, len(resting.came)))
        for place, came in resting.left():
            working = desk.orders[came.order.order_id] = Working.of(came.order, taken[place], came.ts)
            book.place(working)
            if came.ts == resting.end_ts:
                book.fresh.append(working)
            else:
                working.arrived = working.rested = True
        if resting.came:
            book.arriving_by = next(reversed(resting.came.values())).ts
        self._settled(resting.answered[-1].ts == resting.end_ts)
