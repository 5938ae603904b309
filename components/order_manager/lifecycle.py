"""The life cycle of an order: one table, every state a row, everything that moves a state in this file.

Two rules hold for all of it:

- A state changes only where the table says so. Everything else is refused, reported and counted.
- A fill is a fact. Its quantity and price are always added to the order, also where the table lets the state stand.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from schemas.enums import OrderState


class OrderEvent(StrEnum):
    """What can happen to an order. Fills and confirmations come in two kinds, so that an event has one outcome."""

    VALIDATED = "VALIDATED"
    """The validator found no fault."""
    ROUTED = "ROUTED"
    """Sent to a broker."""
    CONFIRMED = "CONFIRMED"
    """The broker says that it works (accepted, triggered, replaced), and nothing has filled."""
    CONFIRMED_PARTIAL = "CONFIRMED_PARTIAL"
    """The broker says that it works, and some of it has filled."""
    FILL = "FILL"
    """Some filled, some is left."""
    LAST_FILL = "LAST_FILL"
    """Nothing is left: the last fill came, or an amendment to what had filled already was confirmed."""
    CANCELLED = "CANCELLED"
    """What was left is cancelled."""
    EXPIRED = "EXPIRED"
    """Its time in force ran out."""
    REJECTED = "REJECTED"
    """Refused, by the validator, for want of a broker, or by the broker."""
    IN_DOUBT = "IN_DOUBT"
    """A live broker cannot say what became of it."""


_S: Final = OrderState
_E: Final = OrderEvent

TRANSITIONS: Final[dict[OrderState, dict[OrderEvent, OrderState]]] = {
    _S.RECEIVED: {
        _E.VALIDATED: _S.VALIDATED,
        _E.REJECTED: _S.REJECTED,
    },
    # An order stays VALIDATED only while it is held: a child that waits for its parent to fill. So it can be cancelled
    # and can expire before any broker has heard of it; that there is a broker for it was seen to before.
    _S.VALIDATED: {
        _E.ROUTED: _S.ROUTED,
        _E.CANCELLED: _S.CANCELLED,
        _E.EXPIRED: _S.EXPIRED,
    },
    _S.ROUTED: {
        _E.CONFIRMED: _S.ROUTED,
        _E.FILL: _S.PARTIAL,
        _E.LAST_FILL: _S.FILLED,
        _E.CANCELLED: _S.CANCELLED,
        _E.EXPIRED: _S.EXPIRED,
        _E.REJECTED: _S.REJECTED,
        _E.IN_DOUBT: _S.UNKNOWN,
    },
    # No REJECTED: a broker that has filled some of an order has accepted it, and can only cancel the rest.
    _S.PARTIAL: {
        _E.CONFIRMED_PARTIAL: _S.PARTIAL,
        _E.FILL: _S.PARTIAL,
        _E.LAST_FILL: _S.FILLED,
        _E.CANCELLED: _S.CANCELLED,
        _E.EXPIRED: _S.EXPIRED,
        _E.IN_DOUBT: _S.UNKNOWN,
    },
    # Doubt ends when the venue says something definite, and never otherwise. It may be confirmed more than once.
    _S.UNKNOWN: {
        _E.CONFIRMED: _S.ROUTED,
        _E.CONFIRMED_PARTIAL: _S.PARTIAL,
        _E.FILL: _S.PARTIAL,
        _E.LAST_FILL: _S.FILLED,
        _E.CANCELLED: _S.CANCELLED,
        _E.EXPIRED: _S.EXPIRED,
        _E.REJECTED: _S.REJECTED,
        _E.IN_DOUBT: _S.UNKNOWN,
    },
    _S.FILLED: {},
    # A fill may overtake a cancel: the venue traded before the cancel reached it, and says so after it confirmed the
    # cancel. The order stays cancelled, with more filled; if all of it has filled, nothing was left to cancel.
    _S.CANCELLED: {
        _E.FILL: _S.CANCELLED,
        _E.LAST_FILL: _S.FILLED,
    },
    _S.REJECTED: {},
    # As for CANCELLED: the trade happened before the end of the session and is reported after it.
    _S.EXPIRED: {
        _E.FILL: _S.EXPIRED,
        _E.LAST_FILL: _S.FILLED,
    },
}
"""State to event to next state. An event that a row does not name is illegal in that state."""

FINAL_STATES: Final = frozenset({_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED})
"""States in which nothing is left to work. Only a fill that was on its way can still be heard of."""


def refusal(state: OrderState, event: OrderEvent) -> str:
    """Why `event`, which the table does not have in this state, is refused: a sentence that names what it has."""
    allowed = ", ".join(TRANSITIONS[state]) or "nothing, it is final"
    return f"an order that is {state} cannot take {event}; it can take {allowed}"


def as_markdown() -> str:
    """The table for people: a row for each state, a column for each event, the next state where they meet."""
    lines = [
        _row("state", *(event.value for event in OrderEvent)),
        _row(*("---" for _ in range(len(OrderEvent) + 1))),
    ]
    for state, row in TRANSITIONS.items():
        name = f"**{state}** (final)" if state in FINAL_STATES else f"**{state}**"
        lines.append(_row(name, *(row.get(event, "") for event in OrderEvent)))
    return "\n".join(lines)


def as_mermaid() -> str:
    """The table as a Mermaid state diagram; events with the same two ends share an arrow."""
    lines = ["stateDiagram-v2", "    [*] --> RECEIVED"]
    for state, row in TRANSITIONS.items():
        labels: dict[OrderState, list[str]] = {}
        for event, following in row.items():
            labels.setdefault(following, []).append(event)
        lines += [f"    {state} --> {following}: {', '.join(events)}" for following, events in labels.items()]
        if state in FINAL_STATES:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
