"""Which message types there are, under which numeric ids. An id is never used for anything else again."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from schemas import accounts, control, live, market, orders
from schemas.base import Message

MESSAGE_TYPES: Final[dict[int, type[Message]]] = {
    1: control.TypeDeclared,
    2: control.SourceDeclared,
    3: control.RunStarted,
    4: control.StartStream,
    5: control.EndOfStream,
    6: control.Drained,
    7: control.ReportRequested,
    8: control.RunCompleted,
    9: control.ComponentFailed,
    10: control.Halt,
    11: control.StreamEnding,
    15: control.Checkpoint,
    20: market.Bar,
    21: market.Quote,
    22: market.Trade,
    30: orders.Signal,
    40: orders.Order,
    41: orders.CancelOrder,
    42: orders.ReplaceOrder,
    43: orders.SubmitOrder,
    44: orders.SubmitCancel,
    45: orders.SubmitReplace,
    46: orders.BrokerReport,
    47: orders.OrderStatus,
    48: orders.Fill,
    60: accounts.ClosePositions,
    61: accounts.PositionUpdate,
    62: accounts.ClosedTrade,
    64: accounts.AccountReport,
    65: accounts.AmbiguityReport,
    66: accounts.EquityCurve,
    70: live.SetTimer,
    71: live.CancelTimer,
    72: live.TimerFired,
    73: live.StopStream,
    74: live.EdgeReport,
}
"""Numeric id to class; ids below 20 are control, from 1,000 on they are the user's own.

63 was the equity curve as lists of numbers, before the first release.
"""

TYPE_IDS: Final[dict[type[Message], int]] = {cls: type_id for type_id, cls in MESSAGE_TYPES.items()}
TYPES_BY_NAME: Final[dict[str, type[Message]]] = {cls.__name__: cls for cls in MESSAGE_TYPES.values()}


class EventType(StrEnum):
    """Topic names of the messages that components exchange."""

    BAR = "Bar"
    QUOTE = "Quote"
    TRADE = "Trade"
    SIGNAL = "Signal"
    ORDER = "Order"
    CANCEL_ORDER = "CancelOrder"
    REPLACE_ORDER = "ReplaceOrder"
    SUBMIT_ORDER = "SubmitOrder"
    SUBMIT_CANCEL = "SubmitCancel"
    SUBMIT_REPLACE = "SubmitReplace"
    BROKER_REPORT = "BrokerReport"
    ORDER_STATUS = "OrderStatus"
    FILL = "Fill"
    CLOSE_POSITIONS = "ClosePositions"
    POSITION_UPDATE = "PositionUpdate"
    CLOSED_TRADE = "ClosedTrade"
    EQUITY_CURVE = "EquityCurve"
    ACCOUNT_REPORT = "AccountReport"
    AMBIGUITY_REPORT = "AmbiguityReport"
    SET_TIMER = "SetTimer"
    CANCEL_TIMER = "CancelTimer"
    TIMER_FIRED = "TimerFired"
    STOP_STREAM = "StopStream"
    EDGE_REPORT = "EdgeReport"

    @property
    def message_type(self) -> type[Message]:
        """The class of this topic's messages."""
        return TYPES_BY_NAME[self.value]


def fields(message_type: type[Message]) -> tuple[str, ...]:
    """Names of a message's fields, in wire order."""
    return message_type.__struct_fields__


def field_types(message_type: type[Message]) -> tuple[str, ...]:
    """The declared Python types of a message's fields, as written in its definition, in wire order."""
    annotations = message_type.__annotations__
    return tuple(str(annotations[name]) for name in message_type.__struct_fields__)


def all_types() -> Iterator[tuple[int, type[Message]]]:
    """Every registered type in order of its id."""
    yield from sorted(MESSAGE_TYPES.items())
