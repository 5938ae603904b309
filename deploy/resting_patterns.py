"""What a log needs to know of resting orders that were taken together: the messages that they would have been."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np

from bus.runtime.resting import Answered, Request, RestingOrders
from bus.stretch_records import PAYLOAD, Part, Pattern, alike, equally_long, lengths
from components.order_manager.record import cancelled, first_steps
from schemas import BrokerReport, CancelOrder, Order, ReportType, SubmitCancel, SubmitOrder
from schemas.codec import encode

_BAR: Final = 0
_id_of, _reason_of = attrgetter("order_id"), attrgetter("reason")
_TS: Final = {"ts": 0}
"""The one number that differs: the time of the bar."""


def form_of(bar: Answered) -> tuple[Any, ...]:
    """With which orders and cancels each of the signals is answered, and how long the reasons of all these are."""
    form: list[Any] = [len(signal.reason) for signal in bar.signals]
    for requests in bar.answers:
        form.append(len(requests))
        for request in requests:
            form.append(type(request))
            form.append(len(request.reason))
    return tuple(form)


def patterns_of(stretches: Sequence[tuple[int, RestingOrders]], sources: dict[str, int], broker: str) -> list[Pattern]:
    """The patterns of the answers to the bars of stretches that followed each other."""
    symbol, by_form = stretches[0][1].symbol, dict[tuple[Any, ...], list[tuple[int, Answered]]]()
    for shift, happened in stretches:
        for bar in happened.answered:
            by_form.setdefault(bar.form, []).append((bar.at - shift, bar))
    make_parts = partial(_parts, symbol, sources, broker)
    return [pattern for form, rows in by_form.items() for pattern in _patterns((symbol, *form), rows, make_parts)]


def _patterns(
    form: tuple[Any, ...], rows: list[tuple[int, Answered]], make_parts: Callable[[Answered], list[Part]]
) -> Iterator[Pattern]:
    """The patterns of bars that were answered in one form: in each, what differs is equally long."""
    bars = [bar for _, bar in rows]
    at, times = np.array([at for at, _ in rows]), np.array([bar.ts for bar in bars])
    columns = _columns(bars)
    for these in alike(len(rows), *map(lengths, columns)):
        first = these[0]
        kind = (form, *(len(column[first]) for column in columns))
        chosen = [
            equally_long(column if len(these) == len(column) else [column[number] for number in these.tolist()])
            for column in columns
        ]
        yield Pattern(at[these], kind, times[None, these], chosen, partial(make_parts, bars[first]))


def _columns(bars: list[Answered]) -> list[list[bytes]]:
    """The texts of bars that were answered in one form: payloads of signals and requests, ids, reasons of cancels."""
    signals = [[encode(bar.signals[number]) for bar in bars] for number in range(len(bars[0].signals))]
    requests = [[bar.requests[number] for bar in bars] for number in range(len(bars[0].requests))]
    payloads = [list(map(encode, column)) for column in requests]
    ids = [list(map(str.encode, map(_id_of, column))) for column in requests]
    # In one form all have a reason, or none has.
    cancels = [column for column in requests if type(column[0]) is CancelOrder and column[0].reason]
    return [*signals, *payloads, *ids, *(list(map(str.encode, map(_reason_of, column))) for column in cancels)]


class _Said(NamedTuple):
    """A part of a pattern that is to be answered; `texts` are those of its order's id and its reason."""

    number: int
    message: Request
    texts: dict[str, int]


def _parts(symbol: str, sources: dict[str, int], broker: str, answered: Answered) -> list[Part]:
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
    first = len(answered.signals)
    text = first + len(answered.requests)
    reason = text + len(answered.requests)
    requests = ((cause, message) for cause, messages in enumerate(answered.answers, 1) for message in messages)
    for number, (cause, message) in enumerate(requests, 1):
        texts_of = {"order_id": text + number - 1}
        if type(message) is CancelOrder and message.reason:
            texts_of["reason"] = reason
            reason += 1
        yield cause, _Said(first + number, message, texts_of)
