"""When trading sessions end: for DAY orders and for orders on the open and on the close."""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from bus.runtime.settings import StrictModel

SessionEnd = Callable[[int], int]
"""When the session ends that is under way at a time, or that ends just then (both ns UTC)."""

_NS_PER_S = 1_000_000_000


class SessionConfig(StrictModel):
    """`end` is the local time "HH:MM" at which a session ends, in `timezone` (an IANA name).

    By default a session is a day in UTC. `calendar` names a function instead, as "module:function": given a time it
    returns when the session ends that is under way or that ends just then (both ns UTC). It knows early closes.
    """

    end: str = "00:00"
    timezone: str = "UTC"
    calendar: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")

    @field_validator("end", mode="before")
    @classmethod
    def _end_is_a_time(cls, end: object) -> object:
        if isinstance(end, int):
            raise ValueError(f'is {end}; write the time in quotes, as "16:00" (YAML reads 16:00 as the number 960)')  # noqa: TRY004
        try:
            dt.time.fromisoformat(str(end))
        except ValueError:
            raise ValueError(f'is {end!r}, which is not a time of day such as "16:00"') from None
        return end

    @field_validator("timezone")
    @classmethod
    def _timezone_is_known(cls, timezone: str) -> str:
        try:
            _zone(timezone)
        except (OSError, ValueError, KeyError):  # of these, KeyError is the one for a name that is simply not there
            text = f"{timezone!r} is not a time zone that this system knows; names are such as UTC or America/New_York"
            raise ValueError(text) from None
        return timezone


def make_session(config: SessionConfig) -> SessionEnd:
    """The function that a configuration describes.

    Raises:
        ImportError, AttributeError: the calendar cannot be found.
    """
    if config.calendar is not None:
        module, _, function = config.calendar.partition(":")
        calendar: SessionEnd = getattr(importlib.import_module(module), function)
        return calendar
    return _daily(dt.time.fromisoformat(config.end), _zone(config.timezone))


def _zone(name: str) -> dt.tzinfo:
    """UTC needs no time zone database, which a small container may not have."""
    return dt.UTC if name == "UTC" else ZoneInfo(name)


def _daily(end: dt.time, timezone: dt.tzinfo) -> SessionEnd:
    begins = ends = 0

    def session_end(ts: int) -> int:
        nonlocal begins, ends
        if not begins < ts <= ends:
            begins, ends = _around(ts, end, timezone)
        return ends

    return session_end


def _around(ts: int, end: dt.time, timezone: dt.tzinfo) -> tuple[int, int]:
    """The last session end before `ts` and the first one at or after it."""
    day = dt.datetime.fromtimestamp(ts // _NS_PER_S, timezone).date()
    ends = [_to_ns(day + dt.timedelta(days=n), end, timezone) for n in (-1, 0, 1)]
    later = 1 if ends[1] >= ts else 2
    return ends[later - 1], ends[later]


def _to_ns(day: dt.date, time: dt.time, timezone: dt.tzinfo) -> int:
    return round(dt.datetime.combine(day, time, timezone).timestamp()) * _NS_PER_S
