"""Positions, round trips, equity, and closing."""

from __future__ import annotations

from schemas.base import Float64Column, Int64Column, Message
from schemas.enums import CloseRule, Direction


class ClosePositions(Message, frozen=True, array_like=True, gc=False):
    """Coordinator to risk: cancel what works and close every position, priced by `rule`."""

    ts: int
    rule: CloseRule
    reason: str = ""


class PositionUpdate(Message, frozen=True, array_like=True, gc=False):
    """The account after a fill: `quantity` is signed (negative is short), `cash` and `realised_pnl` are totals.

    `average_price` is the average entry price of what is held, 0.0 when flat. `realised_pnl` is net of the fees of
    the round trips. Money is in the account's currency; where that of the instrument has no rate, it is in `currency`,
    which is empty otherwise.
    """

    ts: int
    symbol: str
    quantity: float
    average_price: float
    realised_pnl: float
    cash: float
    fees: float
    currency: str = ""


class ClosedTrade(Message, frozen=True, array_like=True, gc=False):
    """A round trip: some quantity opened and closed again.

    `direction` is that of the entry. `realised_pnl` is net of `fees`, which are the entry's and the exit's share.
    `slippage_cost` is in money, positive is a cost. `currency` as in `PositionUpdate`.
    """

    trade_id: str
    symbol: str
    direction: Direction
    quantity: float
    entry_ts: int
    entry_price: float
    exit_ts: int
    exit_price: float
    realised_pnl: float
    fees: float
    slippage_cost: float = 0.0
    entry_fill_id: str = ""
    exit_fill_id: str = ""
    currency: str = ""


class EquityCurve(Message, frozen=True, array_like=True, gc=False):
    """A block of the equity curve: equal-length columns, one entry a timestamp (ns UTC), in order of time.

    `equity` is cash plus the market value of positions; `exposure` is gross market value, `net_exposure` signed.
    A run has a point a timestamp: as columns they cost 40 bytes each, and nobody has to touch every one.
    """

    ts: Int64Column
    equity: Float64Column
    cash: Float64Column
    exposure: Float64Column
    net_exposure: Float64Column


class AccountReport(Message, frozen=True, array_like=True, gc=False):
    """The account's totals at the end of a run, all in the account's currency; `traded_value` is price x quantity.

    `realised_pnl` is net of the fees of all round trips, `unrealised_pnl` of the fees of what is still open:
    final_equity = initial_cash + realised_pnl + unrealised_pnl. `other_equity` is what was won or lost in currencies
    for which there is no rate, each in its own; of the other fields only `fills` and `open_positions` know of it.
    """

    ts: int
    initial_cash: float
    final_cash: float
    final_equity: float
    realised_pnl: float
    unrealised_pnl: float
    fees: float
    slippage_cost: float
    traded_value: float
    fills: int
    open_positions: dict[str, float]
    other_equity: tuple[tuple[str, float], ...] = ()


class AmbiguityReport(Message, frozen=True, array_like=True, gc=False):
    """How much a simulated broker's fills depend on which extreme of a bar came first.

    `bars` is the number of bars in which the orders that met them would have filled otherwise on the other path,
    `orders` how many orders that concerned, an order counted once for each such bar. The P&L of a bar's fills is valued
    at the bar's close, before commission; `better` (never negative) and `worse` (never positive) are what would have
    been won and lost in all if each bar had taken the more, or the less, favourable path. What would have followed
    from a different position later on is not in it.
    """

    ts: int
    broker: str
    bars: int
    orders: int
    better: float
    worse: float
