"""Two runs on the same market data, order by order: what was added, what is missing, what filled otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bus.errors import LogError
from bus.log_reader import LogReader
from bus.record import Record
from bus.sequencer import HUB
from schemas import Fill, Message, Order, OrderStatus, RunCompleted
from schemas.codec import DecodeError
from schemas.registry import TYPE_IDS

_WINDOW = 100_000
"""Records back from which a cause still leads to what came from outside."""

Root = tuple[str, str, int]
"""What came from outside and caused something: source, type, and the how manieth of these. The same in both runs."""
Key = tuple[Root, str, int]
"""Of an order: its root, its symbol, and the how manieth order of that symbol to that root."""


class Fate(StrEnum):
    """What became of an order in the other run."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    MISSING = "missing"


@dataclass
class OrderOutcome:
    """An order and what it came to. `price` is the average over its fills, None without any."""

    order_id: str
    ts: int
    symbol: str
    direction: str
    order_type: str
    quantity: float
    limit_price: float | None
    stop_price: float | None
    filled: float = 0.0
    value: float = 0.0
    fees: float = 0.0
    slippage: float = 0.0
    fills: int = 0
    state: str = ""

    @property
    def price(self) -> float | None:
        """Average price per unit."""
        return self.value / self.filled if self.filled else None

    @property
    def cash(self) -> float:
        """What the order brought (positive) or cost, fees included, in price x quantity."""
        return (-self.value if self.direction == "BUY" else self.value) - self.fees

    def document(self) -> dict[str, Any]:
        """As one JSON object."""
        return {**{k: v for k, v in self.__dict__.items() if k != "value"}, "price": self.price, "cash": self.cash}


_COMPARED = (
    "symbol", "direction", "order_type", "quantity", "limit_price", "stop_price",
    "filled", "price", "fees", "slippage", "fills", "state",
)  # fmt: skip


@dataclass
class RunOutcome:
    """What a run came to, from its log."""

    path: Path
    orders: dict[Key, OrderOutcome] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    fills: int = 0
    records: int = 0


@dataclass(frozen=True)
class OrderChange:
    """One order in both runs; `differing` names what is different."""

    fate: Fate
    before: OrderOutcome | None
    after: OrderOutcome | None
    differing: tuple[str, ...]

    @property
    def effect(self) -> float:
        """By how much more the order brought, in price x quantity less fees."""
        return (self.after.cash if self.after else 0.0) - (self.before.cash if self.before else 0.0)

    def document(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "fate": str(self.fate),
            "before": self.before.document() if self.before else None,
            "after": self.after.document() if self.after else None,
            "differing": list(self.differing),
            "effect": self.effect,
        }


@dataclass(frozen=True)
class Consequences:
    """All orders of both runs, in the order of time, and the statistics side by side."""

    before: RunOutcome
    after: RunOutcome
    changes: tuple[OrderChange, ...]

    @property
    def counts(self) -> dict[Fate, int]:
        """How many orders met which fate."""
        counted = Counter(change.fate for change in self.changes)
        return {fate: counted[fate] for fate in Fate}

    @property
    def statistics(self) -> dict[str, tuple[Any, Any]]:
        """Every statistic of either run: before, after."""
        names = dict.fromkeys([*self.before.statistics, *self.after.statistics])
        return {name: (self.before.statistics.get(name), self.after.statistics.get(name)) for name in names}

    def document(self) -> dict[str, Any]:
        """As one JSON object; orders that are the same are only counted."""
        return {
            "before": str(self.before.path),
            "after": str(self.after.path),
            "orders": {str(fate): count for fate, count in self.counts.items()},
            "changes": [change.document() for change in self.changes if change.fate is not Fate.SAME],
            "statistics": {name: {"before": b, "after": a} for name, (b, a) in self.statistics.items()},
        }


def compare_outcomes(before: RunOutcome, after: RunOutcome) -> Consequences:
    """Match the orders of two runs on the same market data: same root, same symbol, same number among these."""
    changes = []
    for key, order in before.orders.items():
        other = after.orders.get(key)
        differing = tuple(n for n in _COMPARED if other and getattr(order, n) != getattr(other, n))
        fate = Fate.MISSING if other is None else Fate.CHANGED if differing else Fate.SAME
        changes.append(OrderChange(fate, order, other, differing))
    changes += [OrderChange(Fate.ADDED, None, o, ()) for key, o in after.orders.items() if key not in before.orders]
    return Consequences(before, after, tuple(sorted(changes, key=_time)))


def outcome_of(path: Path) -> RunOutcome:
    """Read a log for its orders, what they came to, and the statistics at its end. Memory grows with the orders only.

    Raises:
        LogError: the log is damaged.
    """
    outcome = RunOutcome(path)
    by_id: dict[str, OrderOutcome] = {}
    seen: Counter[tuple[Root, str]] = Counter()
    reader = LogReader(path)
    for record, root in _with_roots(reader):
        if record.type_id not in _WANTED:
            continue
        message = _read(reader, record)
        if isinstance(message, Order):
            order = _order(message)
            seen[root, message.symbol] += 1
            outcome.orders[root, message.symbol, seen[root, message.symbol]] = by_id[message.order_id] = order
        elif isinstance(message, Fill):
            outcome.fills += 1
            _add_fill(by_id.get(message.order_id), message)
        elif isinstance(message, OrderStatus):
            if message.order_id in by_id:
                by_id[message.order_id].state = str(message.state)
        elif isinstance(message, RunCompleted):
            outcome.statistics = dict(message.statistics)
    outcome.records = reader.records
    return outcome


_WANTED = frozenset(TYPE_IDS[t] for t in (Order, Fill, OrderStatus, RunCompleted))


def _with_roots(reader: LogReader) -> Iterator[tuple[Record, Root]]:
    """Every record with what came from outside and caused it."""
    counts: Counter[tuple[int, int]] = Counter()
    older: dict[int, Root] = {}
    newer: dict[int, Root] = {}
    unknown: Root = ("", "", 0)
    for batch in reader.batches():
        for record in batch:
            if record.cause:
                root = newer.get(record.cause) or older.get(record.cause, unknown)
            else:
                counts[record.source, record.type_id] += 1
                name = "hub" if record.source == HUB else reader.source_name(record.source)
                root = name, reader.type_name(record.type_id), counts[record.source, record.type_id]
            newer[record.seq] = root
            yield record, root
        if len(newer) > _WINDOW:
            older, newer = newer, {}


def _read(reader: LogReader, record: Record) -> Message:
    try:
        return reader.message(record)
    except DecodeError as error:
        raise LogError(f"{reader.path}: seq {record.seq} does not fit its type: {error}") from None


def _order(message: Order) -> OrderOutcome:
    return OrderOutcome(
        message.order_id,
        message.ts,
        message.symbol,
        str(message.direction),
        str(message.order_type),
        message.quantity,
        message.limit_price,
        message.stop_price,
    )


def _add_fill(order: OrderOutcome | None, fill: Fill) -> None:
    if order is not None:
        order.filled += fill.quantity
        order.value += fill.quantity * fill.price
        order.fees += fill.commission
        order.slippage += fill.slippage * fill.quantity
        order.fills += 1


def _time(change: OrderChange) -> int:
    order = change.before or change.after
    assert order is not None
    return order.ts
