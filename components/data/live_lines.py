"""Lines of a market data feed to messages: one JSON object, or one CSV row, is one bar, quote or trade."""

from __future__ import annotations

import csv
from collections.abc import Collection
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from components.data.file_format import TimeUnit
from components.data.timestamps import FIRST_YEAR, LAST_YEAR, UNITS, integer, is_integer, iso_ns
from schemas import Bar, Message, Quote, Trade
from schemas.registry import fields
from schemas.validation import InvalidMessage, validate

TYPES: Final[dict[str, type[Message]]] = {"bar": Bar, "quote": Quote, "trade": Trade}
END: Final = "end"
"""The type of a line that says that nothing more will come."""

_EARLIEST_NS: Final = iso_ns(f"{FIRST_YEAR}-01-01", None)
_LATEST_NS: Final = iso_ns(f"{LAST_YEAR}-12-31", None)


class Refused(ValueError):
    """A line that does not become a message; the text says why."""


class EndOfFeed(Exception):
    """The line that says that nothing more will come."""


class LineReader:
    """Makes messages of lines and refuses what a file's rows would be refused for.

    `symbols` are those that the run asks for (none: all). Times without an offset are in `zone` (None: UTC); integer
    ones are in `unit`, `auto` by their magnitude.
    """

    def __init__(
        self, symbols: Collection[str], unit: TimeUnit = "auto", zone: ZoneInfo | None = None, negative: bool = False
    ) -> None:
        self._symbols = frozenset(symbols)
        self._unit = unit
        self._zone = zone
        self._negative = negative
        self._last_ts: dict[tuple[type[Message], str], int] = {}

    def read(self, line: bytes) -> Message | None:
        """The line's message; None for an empty line, a comment (`#`), and a symbol that the run does not ask for.

        Raises:
            Refused: the line is not one, or its values cannot be.
            EndOfFeed: it says that nothing more will come.
        """
        text = self._text(line)
        if not text or text.startswith("#"):
            return None
        values = _from_json(text) if text.startswith("{") else _from_csv(text)
        kind = str(values.pop("type", ""))
        if kind == END:
            raise EndOfFeed
        if kind not in TYPES:
            raise Refused(f"type {kind!r:.40} is none of {', '.join(TYPES)}, {END}")
        if "ts" in values:
            values["ts"] = self._time(values["ts"])
        try:
            message = validate(TYPES[kind], values)
        except InvalidMessage as error:
            raise Refused(str(error)) from error
        return self._checked(message)

    def _text(self, line: bytes) -> str:
        try:
            return line.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise Refused(f"not UTF-8 text: {error.reason} at byte {error.start}") from error

    def _time(self, value: object) -> int:
        try:
            if isinstance(value, str) and not is_integer(value):
                return iso_ns(value, self._zone)
            number = integer(value) if isinstance(value, str) else value
        except ValueError as error:
            raise Refused(str(error)) from error
        if not isinstance(number, int) or isinstance(number, bool):
            raise Refused(f"ts {value!r:.40} is neither ISO 8601 nor an integer since the epoch")
        unit = self._unit if self._unit != "auto" else _unit_of(abs(number))
        ns = number * UNITS[unit]
        if not _EARLIEST_NS <= ns <= _LATEST_NS:
            raise Refused(
                f"ts {number}, read as {unit} since the epoch, is not in the years {FIRST_YEAR} to {LAST_YEAR}"
            )
        return ns

    def _checked(self, message: Message) -> Message | None:
        assert isinstance(message, Bar | Quote | Trade)
        if not message.symbol:
            raise Refused("symbol is empty")
        if self._symbols and message.symbol not in self._symbols:
            return None
        fault = _fault_of(message, self._negative)
        if fault:
            raise Refused(fault)
        key = (type(message), message.symbol)
        last = self._last_ts.get(key, message.ts)
        if message.ts < last:
            raise Refused(f"ts {message.ts} of {message.symbol} is before {last}, which came already (ns UTC)")
        self._last_ts[key] = message.ts
        return message


def _unit_of(magnitude: int) -> str:
    return next((unit for unit, ns in UNITS.items() if magnitude * ns <= _LATEST_NS), "ns")


def _from_json(text: str) -> dict[str, object]:
    try:
        values = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(f"not JSON: {error}") from error
    assert isinstance(values, dict), "it begins with a brace"
    return values


def _from_csv(text: str) -> dict[str, object]:
    try:
        (row,) = csv.reader([text], skipinitialspace=True)
    except (csv.Error, ValueError) as error:
        raise Refused(f"not a CSV row: {error}") from error
    kind, *cells = (cell.strip() for cell in row)
    if kind == END and not cells:
        return {"type": kind}
    if kind not in TYPES:
        raise Refused(
            f"begins with {kind!r:.40}; a row begins with one of {', '.join(TYPES)}, {END}, an object with {{"
        )
    names = fields(TYPES[kind])
    if len(cells) != len(names):
        raise Refused(f"has {len(cells)} values after {kind!r}; {kind} rows have {len(names)}: {', '.join(names)}")
    return {"type": kind, **dict(zip(names, cells, strict=True))}


def _fault_of(message: Bar | Quote | Trade, negative: bool) -> str:
    """What cannot be, whoever says it; nothing if all is well. Values are finite already."""
    prices, quantities = _prices(message), _quantities(message)
    if isinstance(message, Bar) and not (message.low <= min(prices) and max(prices) <= message.high):
        return f"open, high, low, close {', '.join(map(str, prices))}: not low <= open, close <= high"
    if any(quantity < 0 for quantity in quantities):
        return f"a quantity is negative: {', '.join(map(str, quantities))}"
    if not negative and any(price <= 0 for price in prices):
        return f"a price is not above 0: {', '.join(map(str, prices))}; allow it with allow_nonpositive_prices"
    return ""


def _prices(message: Bar | Quote | Trade) -> list[float]:
    """Its prices; of a quote those of the sides that it shows."""
    if isinstance(message, Bar):
        return [message.open, message.high, message.low, message.close]
    if isinstance(message, Trade):
        return [message.price]
    sides = ((message.bid, message.bid_quantity), (message.ask, message.ask_quantity))
    return [price for price, quantity in sides if quantity]


def _quantities(message: Bar | Quote | Trade) -> list[float]:
    if isinstance(message, Bar):
        return [message.volume]
    return [message.quantity] if isinstance(message, Trade) else [message.bid_quantity, message.ask_quantity]
