"""What the compiled loop works on: numbers, and arrays of records whose types never change."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Records = Any
"""A structured array, of one of the types below."""

NEXT_OPEN, LATEST, CONSERVATIVE, VWAP, CLOSE = range(5)
FILL_PRICES: Final = {
    "next_open": NEXT_OPEN,
    "latest": LATEST,
    "conservative": CONSERVATIVE,
    "vwap": VWAP,
    "close": CLOSE,
}
NO_SLIPPAGE, FIXED_SLIPPAGE, PERCENTAGE_SLIPPAGE, VOLUME_SLIPPAGE = range(4)
NO_COMMISSION, PER_ORDER, PERCENTAGE, PER_SHARE = range(4)
KEEP, AT_LAST_CLOSE, AT_NEXT_OPEN = range(3)


class Rules(NamedTuple):
    """How orders are sized, filled and charged. `limit_pct` is infinite without a cap, `percent` 0 with `quantity`."""

    cash: float
    close_at_end: int
    quantity: float
    percent: float
    allow_short: bool
    fill_price: int
    limit_pct: float
    slippage: int
    slippage_1: float
    slippage_2: float
    slippage_3: float
    within_bar: bool
    commission: int
    rate: float
    minimum: float
    maximum: float
    maximum_pct: float


def _type(floats: str = "", ints: str = "", flags: str = "") -> np.dtype[Any]:
    kinds = ((floats, np.float64), (ints, np.int64), (flags, np.int64))
    return np.dtype([(name, kind) for names, kind in kinds for name in names.split()], align=True)


TAPE: Final = _type("open high low close volume", "ts code")
"""A bar. Bars are in order of (time, symbol); `code` is the symbol's place in the order of names."""

INSTRUMENT: Final = _type("tick tick_units tick_scale lot lot_units lot_scale minimum maximum multiplier")
"""What a symbol trades in. A step is `units / scale`, the decimal number as it is written; 0 where there is none."""

ORDER: Final = _type("sign quantity filled leaves expected value cost paid", "number following", "reduces")
"""An order. `leaves` is the broker's, `expected` risk's; `value`, `cost` and `paid` are its commission's so far.

The orders of a symbol that risk knows to be working are a list in the order of arrival, linked by `following`.
"""

BOOK: Final = _type(
    "budget mark at_broker at_risk quantity average entry_fees",
    "head tail row budget_row wants entry_ts held open",
)
"""A symbol's. The broker, risk and the portfolio each keep a position of their own, and each rounds in its own way.

`held` and `open` are no property of the symbol: read down the array they are the symbols with a position, in the order
in which risk and the portfolio add them up.
"""

TOTALS: Final = _type(
    "cash realised fees slippage_cost traded", "orders rejected fills trades held open points", "too_many_lots"
)
FILL: Final = _type("quantity price commission", "ts symbol order")
TRADE: Final = _type("pnl quantity", "entry_ts exit_ts")
POINT: Final = _type("equity exposure")


class State(NamedTuple):
    """All that changes during a run. More fills or trades than there is room for are counted, but not kept."""

    orders: Records
    books: Records
    totals: Records
    fills: Records
    trades: Records
    curve: Records


def new_state(symbols: int, orders: int, fills: int, points: int, cash: float) -> State:
    """Room for so much, with nothing in it but cash."""
    books, totals = np.zeros(symbols, BOOK), np.zeros(1, TOTALS)
    for name in ("head", "tail", "row", "budget_row"):
        books[name] = -1
    totals["cash"] = cash
    kept = (np.zeros(size, kind) for size, kind in ((fills, FILL), (fills, TRADE), (points, POINT)))
    return State(np.zeros(orders, ORDER), books, totals, *kept)
