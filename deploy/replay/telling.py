"""The story of an order, a fill or a trade in sentences that a trader reads."""

from __future__ import annotations

from collections.abc import Iterator

from bus.record import Record
from components.broker.rules import RULES
from components.data.file_format import VALUE_COLUMNS
from deploy.log_tools import format_time
from deploy.replay.why import Chain, OrderStory, Story
from schemas import Bar, ClosedTrade, Direction, Fill, Message, Order, Quote, Signal, Trade
from schemas.codec import to_builtins


def sentences(story: Story) -> Iterator[str]:
    """The story, a line a thought; what belongs to the line before is indented."""
    if story.trade is not None:
        yield from _trade(story.trade)
    for order in story.orders:
        fills = [item for item in order.fills if story.only_fill in ("", item[0].fill_id)]
        if not story.only_fill:
            yield from _order(order)
        for fill, chain in fills:
            yield from _fill(fill, chain)
        if story.only_fill:
            yield from _order(order)
        yield from _life(order)
    for described in story.chain:
        values = ", ".join(f"{key} {value}" for key, value in described["message"].items())
        what = f"{described['source']} published {described['type']}"
        yield f"seq {described['seq']} at {described['time']}: {what}: {values}"


def _trade(trade: ClosedTrade) -> Iterator[str]:
    yield (
        f"Trade {trade.trade_id}: {_side(trade.direction)} {_n(trade.quantity)} {trade.symbol}, "
        f"in at {_n(trade.entry_price)} on {format_time(trade.entry_ts)} (fill {trade.entry_fill_id}), "
        f"out at {_n(trade.exit_price)} on {format_time(trade.exit_ts)} (fill {trade.exit_fill_id})."
    )
    gross = trade.realised_pnl + trade.fees
    yield (
        f"  It made {trade.realised_pnl:+,.2f}: {gross:+,.2f} by its prices, less {trade.fees:,.2f} of fees; "
        f"{trade.slippage_cost:,.2f} of slippage is in the prices."
    )


def _side(direction: Direction) -> str:
    return "long" if direction is Direction.BUY else "short"


def _order(story: OrderStory) -> Iterator[str]:
    if not story.chain:
        yield f"Order {story.order_id}: the log does not hold the order itself."
        return
    record, order = story.chain[0]
    assert isinstance(order, Order)
    yield f"Order {order.order_id}: {_wish(order)}, made at {format_time(record.ts)} (seq {record.seq})."
    if order.reason:
        yield f"  Its reason: {order.reason}."
    for cause, message in story.chain[1:]:
        yield f"  because of {_cause(cause, message)}"
    for amendment in story.amendments:
        yield f"  amended at {format_time(amendment.ts)} to {_wish(amendment.order)}"


def _wish(order: Order) -> str:
    kind = order.order_type.replace("_", " ").lower()
    prices = "".join(
        f", {name} {_n(value)}"
        for name, value in (("limit", order.limit_price), ("stop", order.stop_price), ("trail", order.trail_amount))
        if value is not None
    )
    group = f", {order.group_type} group {order.group_id}" if order.group_id else ""
    parent = f", active once {order.parent_id} fills" if order.parent_id else ""
    what = f"{order.direction.lower()} {_n(order.quantity)} {order.symbol}"
    return f"{what}, {kind}{prices}, {order.time_in_force}{group}{parent}"


def _cause(record: Record, message: Message) -> str:
    at = f"at {format_time(record.ts)} (seq {record.seq})"
    if isinstance(message, Signal):
        reason = f", for {message.reason}" if message.reason else ""
        return (
            f"the signal to {message.direction.lower()} {message.symbol} with strength {message.strength:g}, seen at a "
            f"price of {_n(message.price)}{reason}, {at}"
        )
    if isinstance(message, Bar):
        return f"the bar of {_bar(message)}, {at}"
    if isinstance(message, Quote | Trade):
        return f"the {type(message).__name__.lower()} of {message.symbol} {at}: {_values(message)}"
    if isinstance(message, Fill):
        return (
            f"fill {message.fill_id} of order {message.order_id}, {_n(message.quantity)} at {_n(message.price)}, {at}"
        )
    return f"{type(message).__name__} {at}: {_values(message)}"


def _bar(bar: Bar) -> str:
    prices = ", ".join(f"{name} {_n(getattr(bar, name))}" for name in VALUE_COLUMNS)
    return f"{bar.symbol} that closed at {format_time(bar.ts)}: {prices}"


def _values(message: Message) -> str:
    text = ", ".join(f"{key} {value}" for key, value in to_builtins(message).items() if value not in ("", None))
    return text if len(text) <= 160 else f"{text[:157]}..."


def _fill(fill: Fill, chain: Chain) -> Iterator[str]:
    did = "bought" if fill.direction == "BUY" else "sold"
    left = f"{_n(fill.leaves_quantity)} still working" if fill.leaves_quantity else "nothing left to fill"
    yield (
        f"Fill {fill.fill_id}: {fill.broker} {did} {_n(fill.quantity)} {fill.symbol} at {_n(fill.price)} on "
        f"{format_time(fill.ts)} for order {fill.order_id}; {left}."
    )
    yield f"  Rule {fill.rule}: {RULES.get(fill.rule, 'not known to this version.')}"
    market = next((m for _, m in chain if isinstance(m, Bar | Quote | Trade)), None)
    if isinstance(market, Bar) and market.ts == fill.bar_ts:
        yield f"  The bar of {_bar(market)}."
    else:
        yield f"  Priced on the bar of {fill.symbol} that closed at {format_time(fill.bar_ts)}."
    yield f"  {_price(fill)}"
    if fill.budget_before is not None and fill.budget_after is not None:
        yield (
            f"  Volume: {_n(fill.budget_before)} units of that bar could still be had in {fill.symbol}, "
            f"{_n(fill.budget_after)} after this fill."
        )
    else:
        yield "  Volume: no cap applied."
    lines = ", ".join(f"{line.name} {line.amount:,.4f}" for line in fill.fees) or "none"
    yield f"  Fees {fill.commission:,.4f}: {lines}. As {fill.liquidity.lower()} of liquidity."


def _price(fill: Fill) -> str:
    if not fill.slippage:
        return f"Price: {_n(fill.reference_price)} in the market, no slippage."
    against = fill.slippage * fill.direction.sign
    bps = abs(fill.slippage / fill.reference_price) * 10_000 if fill.reference_price else 0.0
    return (
        f"Price: {_n(fill.reference_price)} in the market {'+' if against >= 0 else '-'} {abs(fill.slippage):,.6g} "
        f"of slippage = {_n(fill.price)} ({bps:,.2f} bps, {fill.slippage * fill.quantity:,.2f} in all, "
        f"{'against' if fill.slippage > 0 else 'in favour of'} the order)."
    )


def _life(story: OrderStory) -> Iterator[str]:
    for ts, _, status in story.steps:
        refused = status.previous == status.state
        what = f"stays {status.state}" if refused else f"is {status.state}"
        filled = (
            f", {_n(status.filled_quantity)} filled at {_n(status.average_price)}" if status.filled_quantity else ""
        )
        why = " ".join(part for part in (status.code, status.reason) if part)
        yield f"  {format_time(ts)} {story.order_id} {what}{filled}{f': {why}' if why else ''}"
    for report in story.reports:
        why = " ".join(part for part in (report.code, report.reason) if part)
        yield f"  {format_time(report.ts)} {report.broker} reported {report.report}{f': {why}' if why else ''}"


def _n(value: float) -> str:
    """A number without exponent and without trailing zeros."""
    return f"{value:,.10g}"
