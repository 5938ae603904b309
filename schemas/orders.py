"""Signals, orders, and what becomes of them.

The path of an order: strategy `Signal` -> risk `Order` -> order manager `SubmitOrder` -> broker `BrokerReport` and
`Fill` -> order manager `OrderStatus`. The execution side never takes a `Signal`, and only risk publishes an `Order`.
"""

from __future__ import annotations

from schemas.base import Message
from schemas.enums import Direction, GroupType, Liquidity, OrderState, OrderType, ReportType, TimeInForce


class Signal(Message, frozen=True, array_like=True, gc=False):
    """What a strategy would like: BUY to be long, SELL to be out or short, in `symbol`.

    `strength` is between 0 and 1 and scales the size. `price` is the price that the strategy saw (its reference,
    not an order price). The remaining fields ask risk for a kind of order other than a market order; `quantity`
    asks for a size, which risk may refuse. `target_price` and `stop_loss_price` ask for a bracket.
    """

    ts: int
    symbol: str
    direction: Direction
    strength: float
    price: float
    order_type: OrderType = OrderType.MARKET
    limit_price: float | None = None
    stop_price: float | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    quantity: float | None = None
    target_price: float | None = None
    stop_loss_price: float | None = None
    reason: str = ""


class Order(Message, frozen=True, array_like=True, gc=False):
    """An instruction to trade, from risk to the order manager.

    `order_id` is unique in the run. `ts` is when it was made (ns UTC). `limit_price` and `stop_price` are given
    exactly for the order types that need them; `trail_amount` (price units) or `trail_pct` (fraction of the price,
    0.01 is one per cent) for TRAILING_STOP. `expire_ts` (ns UTC) goes with GTD. Orders with the same `group_id`
    depend on each other as `group_type` says; `parent_id` names the order whose fill makes this one active.
    """

    order_id: str
    symbol: str
    direction: Direction
    quantity: float
    order_type: OrderType
    ts: int
    limit_price: float | None = None
    stop_price: float | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_ts: int | None = None
    trail_amount: float | None = None
    trail_pct: float | None = None
    post_only: bool = False
    reduce_only: bool = False
    group_id: str = ""
    group_type: GroupType = GroupType.NONE
    parent_id: str = ""
    reason: str = ""


class CancelOrder(Message, frozen=True, array_like=True, gc=False):
    """Ask the order manager to cancel `order_id`; with an empty id every working order (of `symbol`, if given)."""

    order_id: str
    ts: int
    symbol: str = ""
    reason: str = ""


class ReplaceOrder(Message, frozen=True, array_like=True, gc=False):
    """Ask the order manager to amend a working order. What is None stays as it is; `quantity` is the new total."""

    order_id: str
    ts: int
    quantity: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None
    reason: str = ""


class SubmitOrder(Message, frozen=True, array_like=True, gc=False):
    """Order manager to broker: execute this validated order. `broker` is the name of the broker routed to."""

    order: Order
    broker: str


class SubmitCancel(Message, frozen=True, array_like=True, gc=False):
    """Order manager to broker: cancel what is left of this order."""

    order_id: str
    broker: str
    ts: int
    reason: str = ""


class SubmitReplace(Message, frozen=True, array_like=True, gc=False):
    """Order manager to broker: replace the working order by `order`, which carries the same id and all new terms."""

    order: Order
    broker: str
    ts: int


class BrokerReport(Message, frozen=True, array_like=True, gc=False):
    """What a broker says of an order, other than that it filled; `code` is for machines, `reason` for people.

    `quantity` is the order's total quantity from now on; given with REPLACED.
    """

    order_id: str
    broker: str
    report: ReportType
    ts: int
    code: str = ""
    reason: str = ""
    quantity: float | None = None


class FeeLine(Message, frozen=True, array_like=True, gc=False):
    """One line of a fill's costs, in the account's currency; negative for a rebate."""

    name: str
    amount: float


class Fill(Message, frozen=True, array_like=True, gc=False):
    """An execution, with everything that explains it.

    `fill_id` is unique in the run. `price` is what was paid per unit; `reference_price` the market's price before
    slippage; `slippage` is (price - reference_price) x direction sign, per unit: positive is a cost. `commission` is
    the sum of `fees`. `rule` names the rule that priced it and `bar_ts` the bar (its close, ns UTC) that it used.
    `budget_before` and `budget_after` are the units of that bar's volume still to be had in this symbol, None when
    there is no cap. `leaves_quantity` is what is still working after this fill.
    """

    fill_id: str
    order_id: str
    symbol: str
    direction: Direction
    quantity: float
    price: float
    commission: float
    ts: int
    broker: str
    rule: str
    reference_price: float
    slippage: float
    bar_ts: int
    leaves_quantity: float
    liquidity: Liquidity = Liquidity.TAKER
    budget_before: float | None = None
    budget_after: float | None = None
    fees: tuple[FeeLine, ...] = ()


class OrderStatus(Message, frozen=True, array_like=True, gc=False):
    """One step in the life of an order, published by the order manager.

    `filled_quantity` is cumulative and `average_price` is over all fills so far (0.0 when nothing filled). A refused
    transition has `previous` equal to `state` and a `code`: the state did not change.
    """

    order_id: str
    symbol: str
    previous: OrderState | None
    state: OrderState
    filled_quantity: float
    average_price: float
    ts: int
    code: str = ""
    reason: str = ""
