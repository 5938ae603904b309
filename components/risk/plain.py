"""Many signals at once, of which each is for a plain order at most. What is ordered is what `RiskStub` would order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from bus.runtime.plain import LARGE, PlainFills, PlainOrders, whole_sum
from components.accounting.recent import RecentIds
from components.risk.holdings import DUST, Holdings, Working
from components.risk.order_making import clean
from components.risk.sizing import Sizing
from schemas import Direction, Order, OrderType, Signal, TimeInForce

_BUY: Final = Direction.BUY
_MARKET: Final = OrderType.MARKET
_GTC: Final = TimeInForce.GTC


class PlainSizing:
    """Sizes the signals of one symbol ahead, on the word that each order fills whole before the next signal comes."""

    def __init__(
        self,
        holdings: Holdings,
        sizing: Sizing,
        working: dict[str, dict[str, Working]],
        ids: Iterator[str],
        fill_ids: RecentIds,
    ) -> None:
        self._holdings = holdings
        self._sizing = sizing
        self._working = working
        self._ids = ids
        self._fill_ids = fill_ids

    def is_ready(self, waiting: Order | None, symbol: str) -> bool:
        """Whether nothing of the symbol works but the order that waits, if there is one."""
        working = self._working[symbol]
        if waiting is None:
            return not working
        order = working.get(waiting.order_id)
        return len(working) == 1 and order is not None and order.leaves == waiting.quantity and not order.cancelling

    def quantities(self, signals: Sequence[Signal], waiting: Order | None, symbol: str) -> list[float]:
        """What is ordered on each signal, negative for a SELL, 0.0 for nothing.

        Up to the first signal that asks for more than that. The order that waits fills before the first of them.
        """
        position = self._holdings.positions.get(symbol, 0.0)
        if waiting is not None:
            position = _moved(position, waiting.direction.sign * waiting.quantity)
        sizing, quantities = self._sizing, []
        for signal in signals:
            if not (
                signal.order_type is _MARKET
                and signal.symbol == symbol
                and signal.limit_price is None
                and signal.stop_price is None
                and signal.time_in_force is _GTC
                and signal.target_price is None
                and signal.stop_loss_price is None
            ):
                break
            sign = 1 if signal.direction is _BUY else -1
            held, signed = position * sign, 0.0
            if held <= 0:
                closing = -held if signal.quantity is None else sizing.closing(signal, -held)
                try:
                    quantity = float(closing + sizing.opening(signal))
                except (ValueError, OverflowError):  # no lots are so many; the risk manager fails when its turn comes
                    break
                if not quantity < LARGE:
                    break
                if not quantity.is_integer():
                    quantity = clean(quantity)
                if quantity > 0:
                    signed = sign * quantity
                    position += signed
                    if -DUST <= position <= DUST:
                        position = 0.0
            quantities.append(signed)
        return quantities

    def take_ids(self, count: int) -> list[str]:
        """The ids of the next orders."""
        return list(islice(self._ids, count))

    def take(self, waiting: Order | None, orders: PlainOrders, fills: PlainFills, last: Order | None) -> None:
        """The first of `orders` have filled; the one that waited, if one did, is the first. The last one made waits."""
        symbol, positions = orders.symbol, self._holdings.positions
        working, position = self._working[symbol], positions.pop(symbol, 0.0)
        filled = orders.signed[: len(fills.ids)]
        total = whole_sum(position, filled)
        if total is None:
            for signed in filled.tolist():
                position = _moved(position, signed)
        else:
            position = total
        if position:
            positions[symbol] = position
        self._fill_ids.extend(fills.ids)
        if waiting is not None:
            del working[waiting.order_id]
        if last is not None:
            working[last.order_id] = Working(last, last.quantity)


def _moved(position: float, signed: float) -> float:
    held = position + signed
    return held if abs(held) > DUST else 0.0
