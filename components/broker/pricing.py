"""When and at what price an order meets the market. Pure functions: nothing here changes an order or a market.

Each function answers with the order's next `Event` on the path, from a place on: a match, or for an order that only
becomes a limit order, its trigger. The price is the market's, before slippage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from components.broker.market import Market
from components.broker.path import CLOSE, Path, Place
from components.broker.working import Working
from schemas import Bar, Liquidity, OrderType

FillPrice = Literal["next_open", "latest", "conservative", "vwap", "close"]
_AT_CLOSE = frozenset({"latest", "close"})

MARKET_RANK, STOP_RANK, LIMIT_RANK = range(3)
"""At one place on the path market orders go first, then stops, then limits: of a bracket the stop wins."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """What happens to an order at a place on the path.

    Events are handled in the order of `position`, `rank`, `depth`, then arrival. `depth` is minus the distance by
    which the order's price is through the market's: who offers more goes first. An event without a rule is a trigger.
    """

    position: float
    rank: int
    depth: float
    price: float
    rule: str
    liquidity: Liquidity = Liquidity.TAKER


class Terms(msgspec.Struct, frozen=True, gc=False):
    """The broker's choices that pricing depends on; `strict` is limit_touch: through."""

    fill_price: FillPrice
    strict: bool


class View(msgspec.Struct, frozen=True, gc=False):
    """A market as one order sees it, from a place on the path on. `moment` names that place in rules."""

    market: Market
    path: Path
    here: Place
    moment: str
    terms: Terms

    @property
    def conservative(self) -> bool:
        """Whether the bar's worst price counts."""
        return self.terms.fill_price == "conservative" and self.market.where == "bar"


def next_event(order: Working, view: View) -> Event | None:
    """The order's next event in this market, None when it has none. Trailing stops have `trail` instead."""
    return _BY_KIND[order.kind](order, view)


def _market(order: Working, view: View) -> Event | None:
    position, price, rule = _market_price(order, view)
    return Event(position, MARKET_RANK, 0.0, price, rule)


def _market_price(order: Working, view: View) -> tuple[float, float, str]:
    bar, here, how = view.market.bar, view.here, view.terms.fill_price
    if view.market.where != "bar" or bar is None or how == "next_open":
        return here.position, here.price, f"market_{view.moment}"
    price, rule = whole_bar_price(how, order, bar)
    return CLOSE if how in _AT_CLOSE else here.position, price, rule


def whole_bar_price(how: FillPrice, order: Working, bar: Bar) -> tuple[float, str]:
    """Price and rule of a market order that is not priced by its place on the bar's path."""
    match how:
        case "vwap":
            return vwap(bar), "market_vwap"
        case "conservative":
            return _worst(order, bar), "market_conservative"
        case _:
            return bar.close, f"market_{how}"


def _limit(order: Working, view: View) -> Event | None:
    limit, here = _price(order.order.limit_price), view.here
    position = view.path.reach(limit, here, -order.sign, view.terms.strict)
    if position is None:
        return None
    if position > here.position:
        rule = "limit_conservative" if view.conservative else "limit_price"
        return Event(position, LIMIT_RANK, 0.0, limit, rule, Liquidity.MAKER)
    liquidity = Liquidity.MAKER if order.rested else Liquidity.TAKER
    depth = order.sign * (here.price - limit)
    if view.conservative:
        return Event(position, LIMIT_RANK, depth, limit, "limit_conservative", liquidity)
    price = limit if order.rested and view.moment == "trade" else here.price
    return Event(position, LIMIT_RANK, depth, price, f"limit_{view.moment}", liquidity)


def _stop(order: Working, view: View) -> Event | None:
    return _at_trigger(order, view, order.sign, "stop")


def _touched(order: Working, view: View) -> Event | None:
    return _at_trigger(order, view, -order.sign, "touched")


def _at_trigger(order: Working, view: View, sign: int, kind: str) -> Event | None:
    level = _price(order.stop)
    position = view.path.reach(level, view.here, sign)
    return None if position is None else _triggered(order, view, position, level, kind)


def _triggered(order: Working, view: View, position: float, level: float, kind: str) -> Event:
    """The match of an order that becomes a market order at `position`."""
    gapped = position == view.here.position
    price = view.here.price if gapped else level
    rule = f"{kind}_{view.moment}" if gapped else f"{kind}_price"
    event = Event(position, STOP_RANK, -abs(price - level), price, rule)
    if view.conservative and view.market.bar is not None:
        return msgspec.structs.replace(event, price=_worst(order, view.market.bar), rule=f"{kind}_conservative")
    return event


def _stop_limit(order: Working, view: View) -> Event | None:
    return _touch_for_limit(order, view, order.sign)


def _limit_if_touched(order: Working, view: View) -> Event | None:
    return _touch_for_limit(order, view, -order.sign)


def _touch_for_limit(order: Working, view: View, sign: int) -> Event | None:
    level = _price(order.stop)
    position = view.path.reach(level, view.here, sign)
    if position is None:
        return None
    price = view.here.price if position == view.here.position else level
    return Event(position, STOP_RANK, -abs(price - level), price, "")


def _on_open(_order: Working, view: View) -> Event | None:
    if not view.market.opens or view.here.position > 0:
        return None
    return Event(0.0, MARKET_RANK, 0.0, view.path.start, "market_on_open")


def _on_close(_order: Working, view: View) -> Event | None:
    if not view.market.closes:
        return None
    return Event(CLOSE, MARKET_RANK, 0.0, view.path.end, "market_on_close")


def trail(order: Working, view: View) -> tuple[Event | None, float]:
    """A trailing stop's match, and where its stop price is at the end of the path or at the match.

    The stop follows the price leg by leg at its distance and never turns back; it starts from the first price that
    the order meets. It is tested before it moves.
    """
    here, path, sign = view.here, view.path, order.sign
    stop = _trailed(order, here.price) if order.stop is None else order.stop
    if sign * (here.price - stop) >= 0:
        return _triggered(order, view, here.position, stop, "stop"), stop
    stop = _closer(order, stop, here.price)
    for leg in range(int(here.position), 3):
        position = path.reach(stop, here, sign)
        if position is not None and position <= leg + 1:
            return _triggered(order, view, position, stop, "stop"), stop
        stop = _closer(order, stop, path.prices[leg + 1])
        here = path.at(leg + 1.0)
    return None, stop


def _trailed(order: Working, price: float) -> float:
    distance = order.order.trail_amount
    if distance is None:
        distance = price * (order.order.trail_pct or 0.0)
    return price + order.sign * distance


def _closer(order: Working, stop: float, price: float) -> float:
    """The stop that the price carries along, if that is nearer: lower for a buy, higher for a sell."""
    candidate = _trailed(order, price)
    return candidate if order.sign * (candidate - stop) < 0 else stop


def vwap(bar: Bar) -> float:
    """The mean of the four prices when the bar has volume, else the close: the specification's approximation."""
    return (bar.open + bar.high + bar.low + bar.close) / 4.0 if bar.volume > 0 else bar.close


def _worst(order: Working, bar: Bar) -> float:
    return bar.high if order.buys else bar.low


def _price(price: float | None) -> float:
    assert price is not None, "an order without its price is refused when it arrives"
    return price


_BY_KIND: dict[OrderType, Callable[[Working, View], Event | None]] = {
    OrderType.MARKET: _market,
    OrderType.LIMIT: _limit,
    OrderType.STOP: _stop,
    OrderType.MARKET_IF_TOUCHED: _touched,
    OrderType.STOP_LIMIT: _stop_limit,
    OrderType.LIMIT_IF_TOUCHED: _limit_if_touched,
    OrderType.MARKET_ON_OPEN: _on_open,
    OrderType.MARKET_ON_CLOSE: _on_close,
}
