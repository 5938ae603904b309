"""Closed sets of words that messages use. Each member equals its own name as a string."""

from __future__ import annotations

from enum import StrEnum


class Direction(StrEnum):
    """Which way an order or a fill goes."""

    BUY = "BUY"
    SELL = "SELL"

    sign: int
    """+1 for BUY, -1 for SELL."""

    def __init__(self, name: str) -> None:
        self.sign = 1 if name == "BUY" else -1

    @property
    def opposite(self) -> Direction:
        """The other direction."""
        return Direction.SELL if self is Direction.BUY else Direction.BUY


class OrderType(StrEnum):
    """How an order wants to be executed."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"
    MARKET_IF_TOUCHED = "MARKET_IF_TOUCHED"
    LIMIT_IF_TOUCHED = "LIMIT_IF_TOUCHED"
    MARKET_ON_OPEN = "MARKET_ON_OPEN"
    MARKET_ON_CLOSE = "MARKET_ON_CLOSE"


class TimeInForce(StrEnum):
    """How long an order stays working."""

    GTC = "GTC"
    """Good till cancelled."""
    DAY = "DAY"
    """Until the end of the session."""
    IOC = "IOC"
    """Immediate or cancel: what does not fill at the first opportunity is cancelled."""
    FOK = "FOK"
    """Fill or kill: all of it at the first opportunity, or nothing."""
    GTD = "GTD"
    """Good till the order's `expire_ts`."""


class OrderState(StrEnum):
    """Where an order is in its life cycle."""

    RECEIVED = "RECEIVED"
    VALIDATED = "VALIDATED"
    ROUTED = "ROUTED"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"
    """The venue has not confirmed what became of it; never guessed."""


class GroupType(StrEnum):
    """How the orders of one group depend on each other."""

    NONE = "NONE"
    OCO = "OCO"
    """One cancels the other."""
    OTO = "OTO"
    """One triggers the other: children wait until the parent fills."""
    BRACKET = "BRACKET"
    """A parent whose two children, target and stop, cancel each other."""


class ReportType(StrEnum):
    """What a broker says of an order, other than that it filled."""

    ACCEPTED = "ACCEPTED"
    TRIGGERED = "TRIGGERED"
    REPLACED = "REPLACED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    CANCEL_REJECTED = "CANCEL_REJECTED"
    REPLACE_REJECTED = "REPLACE_REJECTED"
    UNKNOWN = "UNKNOWN"


class Liquidity(StrEnum):
    """Whether a fill took liquidity from the market or gave it."""

    TAKER = "TAKER"
    MAKER = "MAKER"


class CloseRule(StrEnum):
    """How positions are closed at the end of a backtest."""

    LAST_CLOSE = "last_close"
    NEXT_OPEN = "next_open"
    NONE = "none"


class EdgeEvent(StrEnum):
    """What happened at an edge, where the run touches the world outside."""

    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    REFUSED = "REFUSED"
    """Input that is malformed, or not allowed; the reason says why."""
    RETRIED = "RETRIED"
    """A call failed and is made again."""
    FAILED = "FAILED"
    """A call failed and is not made again."""
    CIRCUIT_OPENED = "CIRCUIT_OPENED"
    """Too many calls failed one after another: no more are made for a while."""
    CIRCUIT_CLOSED = "CIRCUIT_CLOSED"
    """A call succeeded again."""
    FALLBACK = "FALLBACK"
    """The edge goes on with its fallback."""
