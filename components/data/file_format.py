"""How a market data file says what it says: names of columns, units of time, zone."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo

from bus.errors import DataError

Column = Literal["timestamp", "symbol", "open", "high", "low", "close", "volume"]
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]

COLUMNS: Final[tuple[Column, ...]] = get_args(Column)
VALUE_COLUMNS: Final = COLUMNS[2:]
TIMESTAMP_ALIASES: Final = ("date", "datetime", "time")

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True)
class FileFormat:
    """What cannot be seen from a file itself.

    `columns` maps our names to the file's (`{"symbol": "Ticker"}`). `timestamp_unit` is that of integer timestamps
    since the epoch; `auto` takes the coarsest in which the file's largest value lies before the year 2200, or dates if
    all read as YYYYMMDD. `timezone` (IANA name) is that of times without an offset of their own.
    """

    columns: Mapping[Column, str] = field(default_factory=dict)
    timestamp_unit: TimeUnit = "auto"
    timezone: str = "UTC"
    allow_nonpositive_prices: bool = False

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of times without an offset, None for UTC. Raises DataError for a name that is not known."""
        return zone_of(self.timezone)


def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name, None for UTC, which must work on a system without a zone database.

    Raises:
        DataError: there is no such zone.
    """
    if name.upper() in ("UTC", "ETC/UTC"):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise DataError(
            f"{name!r} is not a time zone of this system; allowed are IANA names such as America/New_York "
            "(a system without a zone database needs `pip install tzdata`)"
        ) from None


def interval_ns(text: str) -> int:
    """The length of "1m", "15m", "1h", "1d" or "1w" in nanoseconds; a day is 24 hours.

    Raises:
        ValueError: it is not a positive number of one of the units s, m, h, d, w.
    """
    match = re.fullmatch(r"([1-9]\d{0,5})([smhdw])", text)
    if match is None:
        raise ValueError(f"{text!r} is not an interval; allowed are a number and s, m, h, d or w, such as 1m or 1d")
    return int(match[1]) * _SECONDS[match[2]] * _NS_PER_S


def find_columns(header: Sequence[str], mapped: Mapping[Column, str]) -> tuple[dict[Column, int], list[str]]:
    """Where our columns are in the file's header, and a sentence for every one that cannot be told.

    Names are compared without regard to case and surrounding blanks. A file without a symbol column is not at fault
    here: it may be named after its symbol.
    """
    names = [name.strip().lower() for name in header]
    positions: dict[Column, int] = {}
    faults: list[str] = []
    for column in COLUMNS:
        candidates = _candidates(column, mapped.get(column), names)
        if len(candidates) == 1:
            positions[column] = candidates[0]
        elif candidates:
            choices = " or ".join(repr(header[i]) for i in candidates)
            faults.append(f"column {column} could be {choices}: say which with `columns: {{{column}: ...}}`")
        elif column in mapped:
            faults.append(f"columns maps {column} to {mapped[column]!r}, which is not there; {_found(header)}")
        elif column != "symbol":
            faults.append(missing_column(column, header))
    return positions, faults


def missing_column(column: Column, header: Sequence[str]) -> str:
    """The sentence that a column is missing, with what was found and what to do."""
    close = difflib.get_close_matches(column, [name.strip().lower() for name in header], n=1)
    known = [name for name in header if close and name.strip().lower() == close[0]]
    guess = f"did you mean {known[0]!r}? Then give" if known else "if it has another name, give"
    return (
        f"column {column} is missing; {_found(header)}; {guess} `columns: {{{column}: {known[0] if known else '...'}}}`"
    )


def _candidates(column: Column, mapped: str | None, names: list[str]) -> list[int]:
    if mapped is not None:
        return [i for i, name in enumerate(names) if name == mapped.strip().lower()]
    exact = [i for i, name in enumerate(names) if name == column]
    if exact or column != "timestamp":
        return exact
    return [i for i, name in enumerate(names) if name in TIMESTAMP_ALIASES]


def _found(header: Sequence[str]) -> str:
    return f"found are {', '.join(name.strip() for name in header) or 'none'}"
