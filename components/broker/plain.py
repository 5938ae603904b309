"""Many plain market orders at once: each meets the next bar at its open, and is filled whole there.

What happens is what `feed`, `openings.meet_plainly` and `Desk.fill` do one bar after another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from math import inf, nan
from typing import TYPE_CHECKING, Final

import numpy as np

from bus.runtime.block import Block
from bus.runtime.plain import PlainFills, PlainOrders, whole_sum
from components.broker import gateway
from components.broker.market import bar_budget
from components.broker.venue import Venue
from components.broker.working import tidy
from schemas import Bar, Fill, Liquidity, Order, OrderState, OrderType

if TYPE_CHECKING:
    from bus.runtime.plain import Floats, Ints

_MARKET: Final = OrderType.MARKET
_TAKER: Final = Liquidity.TAKER
_RULE: Final = "market_open"


class PlainMatching:
    """Fills plain orders of one symbol ahead. `name` is the broker's."""

    rule = _RULE

    def __init__(self, name: str, venue: Venue, settled: Callable[[], None]) -> None:
        """`settled` is called when all that the broker has to do is done."""
        self.name = name
        self._venue = venue
        self._settled = settled

    def is_ready(self, bars: Block, start: int, symbol: str) -> bool:
        """Whether plain orders that come between these bars, which are of one symbol, fill at the next one's open.

        No order is there but one, at most, that waits for the next bar, and nothing is due.
        """
        venue, book = self._venue, self._venue.desk.books[symbol]
        return (
            venue.opens_plainly
            and venue.settings.delay_ns is None
            and venue.settings.terms.fill_price == "next_open"
            and len(book.arriving) == len(venue.desk.orders) <= 1
            and (not book.arriving or book.arriving[0].kind is _MARKET)
            and not (book.ticks or book.fresh or book.agenda or book.at_close or venue.desk.wake_ups)
            and (book.floor, book.ceiling) == (-inf, inf)
            and (not book.arriving or book.arriving_by <= book.last_ts)
            and book.last_ts < bars[start].ts
        )

    def waiting(self, symbol: str) -> Order | None:
        """The order that waits for the next bar, if there is one."""
        arriving = self._venue.desk.books[symbol].arriving
        return arriving[0].order if arriving else None

    def budgets(self, bars: Block, at: Ints, symbol: str) -> Floats | None:
        """What bars with these indexes have for all orders together, NaN if that is no number; None for no cap."""
        pct, lot_size = self._venue.settings.max_volume_pct, self._venue.desk.books[symbol].lot_size
        if pct is None:
            return None
        if lot_size:
            return np.array([_in_lots(bars[index], pct, lot_size) for index in at.tolist()], np.float64)
        budgets: Floats = np.floor(bars.array("volume")[at] * pct + 1e-9)
        return budgets

    def fill(self, orders: PlainOrders, at: Ints, budgets: Floats | None, bars: Block) -> PlainFills:
        """Fill the first of the orders, each whole, in bars with these indexes, which have these budgets."""
        desk, count = self._venue.desk, len(at)
        first = desk.fills + 1
        desk.fills += count
        ids = list(map(f"{self.name}-".__add__, map(str, range(first, first + count))))
        opens, free = bars.array("open")[at], np.zeros(count)
        both = None if budgets is None else (budgets, _tidied(budgets - orders.quantities[:count]))
        ts = bars.times[at]
        fills = PlainFills(ids, at, ts, opens, opens, free, free, both, None)
        if not (desk.is_dear or desk.books[orders.symbol].tick_size):
            return fills
        return self._charged(fills, orders, bars)

    def take(self, orders: PlainOrders, fills: PlainFills, bars: Block, start: int, end: int) -> None:
        """The bars from `start` to before `end` have come, and the first of the orders have filled so.

        The last one, if it has not filled, is submitted now.
        """
        venue = self._venue
        desk, count, book = venue.desk, len(fills.ids), venue.desk.books[orders.symbol]
        numbered = len(book.arriving)
        desk.orders.clear()
        book.arriving.clear()
        total = whole_sum(book.position, orders.signed[:count])
        if total is None:
            for signed in orders.signed[:count].tolist():
                held = book.position + signed
                book.position = held if held.is_integer() else tidy(held)
        else:
            book.position = total
        deque(islice(desk.numbers, count - numbered), maxlen=0)
        desk.remember(orders.ids[:count], OrderState.FILLED)
        book.observe_all(bars, start, end)
        venue.data_ts = book.last_ts
        if count > numbered:
            book.arriving_by = max(book.arriving_by, orders.ts[count - 1].item())
        if len(orders.ids) > count:
            gateway.submit(venue, orders.order(count))
        self._settled()

    def _charged(self, fills: PlainFills, orders: PlainOrders, bars: Block) -> PlainFills:
        """The fills with what they cost."""
        desk, symbol, broker = self._venue.desk, orders.symbol, self.name
        instrument = desk.books[symbol].instrument
        charged = []
        columns = (fills.at.tolist(), fills.ts.tolist(), fills.prices.tolist())
        for number, (fill_id, index, ts, price) in enumerate(zip(fills.ids, *columns, strict=True)):
            order = orders.order(number)
            fill = Fill(
                fill_id,
                order.order_id,
                symbol,
                order.direction,
                order.quantity,
                price,
                0.0,
                ts,
                broker,
                _RULE,
                price,
                0.0,
                ts,
                0.0,
                _TAKER,
            )
            charged.append(desk.costs.charge(fill, order, instrument, bars[index]))
        return fills._replace(
            prices=np.array([fill.price for fill in charged]),
            slippages=np.array([fill.slippage for fill in charged]),
            commissions=np.array([fill.commission for fill in charged]),
            fees=[fill.fees for fill in charged],
        )


def _in_lots(bar: Bar, pct: float, lot_size: float) -> float:
    try:
        return bar_budget(bar, pct, lot_size).left or 0.0
    except (ValueError, OverflowError):  # of a volume that is not finite: the broker fails when its turn comes
        return nan


def _tidied(quantities: Floats) -> Floats:
    """As `tidy`; whole numbers, the usual case, are tidy."""
    if (np.floor(quantities) == quantities).all():
        return quantities
    return np.array([quantity if quantity.is_integer() else tidy(quantity) for quantity in quantities.tolist()])
