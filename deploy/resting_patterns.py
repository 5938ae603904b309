"""What a log needs to know of resting orders that were taken together: the messages that they would have been."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from bus.runtime.resting import Answered, Request
from bus.stretch_records import PAYLOAD, Part, Pattern, equally_long, texts
from components.order_manager.record import first_steps
from components.order_manager.resting import cancelled
from schemas import BrokerReport, CancelOrder, Order, ReportType, SubmitCancel, SubmitOrder
from schemas.codec import encode

_BAR: Final = 0
_TS: Final = {"ts": 0}
"""The one number that differs: the time of the bar."""


class Happened(NamedTuple):
    """All that a stretch brought about."""

    symbol: str
    answered: Sequence[Answered]


class _Row(NamedTuple):
    """A bar that was answered: what it has in common with others, and what not."""

    at: int
    kind: tuple[Any, ...]
    payloads: list[bytes]
    """Of its signals and requests."""
    names: list[str]
    """Ids and, of cancels that give one, reasons."""
    answered: Answered


def patterns_of(stretches: Sequence[tuple[int, Happened]], sources: dict[str, int], broker: str) -> list[Pattern]:
    """The patterns of the answers to the bars of stretches that followed each other."""
    symbol, alike = stretches[0][1].symbol, dict[tuple[Any, ...], list[_Row]]()
    for shift, happened in stretches:
        for answered in happened.answered:
            row = _row_of(answered, shift)
            alike.setdefault(row.kind, []).append(row)
    return [_pattern(rows, partial(_parts, rows[0].answered, symbol, sources, broker)) for rows in alike.values()]


def _row_of(answered: Answered, shift: int) -> _Row:
    payloads = list(map(encode, answered.signals))
    kind: list[Any] = list(map(len, payloads))
    names: list[str] = []
    for messages in answered.answers:
        kind.append(None)
        for message in messages:
            payload, order_id = encode(message), message.order_id
            payloads.append(payload)
            names.append(order_id)
            kind += (type(message), len(payload), len(order_id.encode()))
            if type(message) is CancelOrder:
                kind.append(len(message.reason.encode()))
                if message.reason:
                    names.append(message.reason)
    return _Row(answered.at - shift, tuple(kind), payloads, names, answered)


def _pattern(rows: list[_Row], parts: Callable[[], Sequence[Part]]) -> Pattern:
    at, times = np.array([row.at for row in rows]), np.array([[row.answered.ts for row in rows]])
    columns = [equally_long(column) for column in zip(*(row.payloads for row in rows), strict=True)]
    columns += [texts(column) for column in zip(*(row.names for row in rows), strict=True)]
    return Pattern(at, rows[0].kind, times, columns, parts)


class _Said(NamedTuple):
    """A part of a pattern that is to be answered; `texts` are those of its order's id and its reason."""

    number: int
    message: Request
    texts: dict[str, int]


def _parts(answered: Answered, symbol: str, sources: dict[str, int], broker: str) -> list[Part]:
    """All parts: those that answer the bar, those that answer these, and so on."""
    manager, ts = sources["order_manager"], answered.ts
    parts = [Part(sources["strategy"], _BAR, m, {}, {PAYLOAD: text}) for text, m in enumerate(answered.signals)]
    requests = list(_requests(answered))
    for cause, said in requests:
        parts.append(Part(sources["risk_manager"], cause, said.message, {}, {PAYLOAD: said.number - 1}))
    cancels: list[_Said] = []
    for _, (number, message, names) in requests:
        if isinstance(message, Order):
            parts += [Part(manager, number, step, _TS, names) for step in first_steps(message, ts)]
            parts.append(Part(manager, number, SubmitOrder(message, broker), {}, {"order": number - 1}))
        else:
            order = SubmitCancel(message.order_id, broker, ts, message.reason)
            parts.append(Part(manager, number, order, _TS, names))
            cancels.append(_Said(len(parts), message, names))
    for number, message, names in cancels:
        report = BrokerReport(message.order_id, broker, ReportType.CANCELLED, ts, "", message.reason)
        parts.append(Part(sources["broker"], number, report, _TS, names))
    for own, (_, message, names) in enumerate(cancels, len(parts) - len(cancels) + 1):
        parts.append(Part(manager, own, cancelled(message.order_id, symbol, ts, message.reason), _TS, names))
    return parts


def _requests(answered: Answered) -> Iterator[tuple[int, _Said]]:
    """The orders and cancels, each with the number of the signal that it answers."""
    number, text = len(answered.signals), len(answered.signals) + len(answered.requests)
    for cause, messages in enumerate(answered.answers, 1):
        for message in messages:
            number, texts_of = number + 1, {"order_id": text}
            text += 1
            if type(message) is CancelOrder and message.reason:
                texts_of["reason"] = text
                text += 1
            yield cause, _Said(number, message, texts_of)
