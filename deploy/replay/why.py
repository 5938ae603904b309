"""Why a fill, an order or a trade is what it is: all that the log says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.errors import LogError
from bus.log_reader import LogReader
from bus.record import Record
from components.broker.rules import RULES
from deploy import log_tools
from deploy.replay.causes import Recent, causes_of
from schemas import (
    BrokerReport,
    ClosedTrade,
    Fill,
    Message,
    Order,
    OrderStatus,
    SubmitReplace,
)
from schemas.codec import DecodeError, to_builtins

Chain = list[tuple[Record, Message]]
"""A record and its causes, with their messages: the last came from outside."""


@dataclass
class OrderStory:
    """All that the log says of one order; `chain` leads from it to what came from outside, `fills` likewise."""

    order_id: str
    chain: Chain = field(default_factory=list)
    steps: list[tuple[int, str, OrderStatus]] = field(default_factory=list)
    reports: list[BrokerReport] = field(default_factory=list)
    amendments: list[SubmitReplace] = field(default_factory=list)
    fills: list[tuple[Fill, Chain]] = field(default_factory=list)


@dataclass
class Story:
    """What the log says of an id: the trade, if it is one's, and its orders."""

    subject: str
    orders: list[OrderStory]
    trade: ClosedTrade | None = None
    only_fill: str = ""
    """The id of the fill that was asked for: the others of its order are left out."""
    chain: list[dict[str, Any]] = field(default_factory=list)
    """Of a record that is about no order: it and its causes, as `log_tools.describe` gives them."""

    def document(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "subject": self.subject,
            "trade": to_builtins(self.trade) if self.trade else None,
            "orders": [_order_document(story, self.only_fill) for story in self.orders],
            "causes": self.chain,
        }


def explain(path: Path, subject: str) -> Story:
    """The story of an order id, fill id, trade id or seq.

    Raises:
        LogError: the log knows nothing of that name, or is damaged.
    """
    if subject.isdigit():
        return _of_seq(path, int(subject))
    found = next(_mentions(path, subject, (Order, Fill, ClosedTrade)), None)
    if found is None:
        raise LogError(
            f"{path}: no order, fill or trade is called {subject!r}; admf log cat {path} --type Fill shows how ids look"
        )
    message = found[1]
    if isinstance(message, ClosedTrade):
        ids = [_order_of(path, fill_id) for fill_id in (message.entry_fill_id, message.exit_fill_id) if fill_id]
        return Story(subject, [_order_story(path, i) for i in dict.fromkeys(ids)], message)
    if isinstance(message, Fill) and message.fill_id == subject:
        return Story(subject, [_order_story(path, message.order_id)], None, subject)
    return Story(subject, [_order_story(path, subject)])


def _of_seq(path: Path, seq: int) -> Story:
    chain, reader = causes_of(path, seq)
    if not chain:
        raise LogError(
            f"{path}: there is no seq {seq}; {f'the last is {reader.last_seq}' if seq else 'the first is 1'}"
        )
    subject = f"seq {seq}"
    message = _message(reader, chain[0])
    if isinstance(message, Fill):
        return Story(subject, [_order_story(path, message.order_id)], None, message.fill_id)
    order_id = getattr(message, "order_id", "") or getattr(getattr(message, "order", None), "order_id", "")
    if order_id:
        return Story(subject, [_order_story(path, order_id)])
    return Story(subject, [], chain=[log_tools.describe(reader, record) for record in chain])


def _message(reader: LogReader, record: Record) -> Message | None:
    try:
        return reader.message(record)
    except DecodeError:
        return None


_ID_FIELDS = ("order_id", "fill_id", "trade_id")
Found = tuple[Record, Message, LogReader, Recent]


def _mentions(path: Path, name: str, types: tuple[type[Message], ...]) -> Iterator[Found]:
    """Records of these types that name an id as theirs."""
    needle = name.encode()
    reader, recent = LogReader(path, check_digest=False), Recent()
    for batch in reader.batches():
        recent.add(batch)
        for record in batch:
            if needle in record.payload:
                message = _message(reader, record)
                if isinstance(message, types) and name in _ids_of(message):
                    yield record, message, reader, recent


def _ids_of(message: Message) -> Iterator[str]:
    yield from (getattr(message, name) for name in _ID_FIELDS if hasattr(message, name))
    order = getattr(message, "order", None)
    if isinstance(order, Order):
        yield order.order_id


def _order_of(path: Path, fill_id: str) -> str:
    for _, message, _, _ in _mentions(path, fill_id, (Fill,)):
        assert isinstance(message, Fill)
        return message.order_id
    raise LogError(f"{path}: the log has no fill {fill_id!r}, which a trade names")


def _order_story(path: Path, order_id: str) -> OrderStory:
    story = OrderStory(order_id)
    for record, message, reader, recent in _mentions(
        path, order_id, (Order, Fill, OrderStatus, BrokerReport, SubmitReplace)
    ):
        if isinstance(message, Order):
            story.chain = _chain(path, record, reader, recent)
        elif isinstance(message, Fill):
            story.fills.append((message, _chain(path, record, reader, recent)))
        elif isinstance(message, OrderStatus):
            story.steps.append((record.ts, reader.source_name(record.source), message))
        elif isinstance(message, BrokerReport):
            story.reports.append(message)
        elif isinstance(message, SubmitReplace):
            story.amendments.append(message)
    return story


def _chain(path: Path, record: Record, reader: LogReader, recent: Recent) -> Chain:
    records = recent.chain(record)
    if records is None:
        records, reader = causes_of(path, record.seq)
    return [(r, message) for r in records if (message := _message(reader, r)) is not None]


def _order_document(story: OrderStory, only_fill: str) -> dict[str, Any]:
    return {
        "order_id": story.order_id,
        "causes": [_described(record, message) for record, message in story.chain],
        "life": [{"ts": ts, **to_builtins(status)} for ts, _, status in story.steps],
        "reports": [to_builtins(report) for report in story.reports],
        "amendments": [to_builtins(amendment) for amendment in story.amendments],
        "fills": [
            {**to_builtins(fill), "rule_text": RULES.get(fill.rule, ""), "causes": [_described(r, m) for r, m in chain]}
            for fill, chain in story.fills
            if only_fill in ("", fill.fill_id)
        ],
    }


def _described(record: Record, message: Message) -> dict[str, Any]:
    return {"seq": record.seq, "ts": record.ts, "type": type(message).__name__, "message": to_builtins(message)}
