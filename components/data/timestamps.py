"""Timestamps of files to nanoseconds since the epoch, UTC.

Every kind of timestamp is read in two ways: a whole column at once, which refuses anything unusual without saying why,
and one by one, which says what is wrong. Both give the same numbers; a property test compares them.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from components.data.file_format import TimeUnit
from components.data.table import Ints

NS_PER_S: Final = 1_000_000_000
NS_PER_DAY: Final = 86_400 * NS_PER_S
UNITS: Final[dict[str, int]] = {"s": NS_PER_S, "ms": 1_000_000, "us": 1_000, "ns": 1}
FIRST_YEAR: Final = 1700
LAST_YEAR: Final = 2199
"""Years that nanoseconds in 64 bits can hold with room to spare."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""A local time is counted from here too, as if it were UTC, until its offset is taken off."""

_EARLIEST_S: Final = (dt.datetime(FIRST_YEAR, 1, 1, tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(seconds=1)
_LATEST_S: Final = (dt.datetime(LAST_YEAR + 1, 1, 1, tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(seconds=1)
_DATE_DIGITS: Final = (FIRST_YEAR * 10_000, (LAST_YEAR + 1) * 10_000)

_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?P<offset>Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_INTEGER: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)


def iso_text(ns: int) -> str:
    """A moment in UTC for people: the date alone at midnight, else with the time and as many digits as it needs."""
    seconds, fraction = divmod(ns, NS_PER_S)
    moment = (_EPOCH + dt.timedelta(seconds=seconds)).replace(tzinfo=None)
    if moment.time() == dt.time() and not fraction:
        return moment.date().isoformat()
    return moment.isoformat() + (f".{fraction:09}".rstrip("0") if fraction else "") + "Z"


def is_integer(text: str) -> bool:
    """Whether a timestamp is an integer, and not ISO 8601."""
    return _INTEGER.fullmatch(text.strip()) is not None


def integer(text: str) -> int:
    """An integer timestamp. Raises ValueError for anything else, with the reason."""
    if not is_integer(text) or abs(int(text)) >= 2**63:
        raise ValueError(f"timestamp {text.strip()!r} is not an integer, as those before it are")
    return int(text)


def has_offset(text: str) -> bool:
    """Whether an ISO 8601 timestamp says how far it is from UTC."""
    match = _ISO.fullmatch(text.strip())
    return match is not None and match["offset"] is not None


def iso_ns(text: str, zone: ZoneInfo | None) -> int:
    """An ISO 8601 date or time in ns UTC; without an offset of its own it is in `zone` (None: UTC).

    Raises:
        ValueError: it is none, or a local time that the zone's clocks skip or show twice.
    """
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"timestamp {text.strip()!r} is neither ISO 8601 (2020-01-31, 2020-01-31T15:30:00, "
            "2020-01-31T15:30:00+01:00) nor is the column integers since the epoch"
        )
    year, month, day, hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3, 4, 5, 6))
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"timestamp {text.strip()!r} is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    try:
        moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError as error:
        raise ValueError(f"timestamp {text.strip()!r} does not exist: {error}") from None
    fraction = int((match[7] or "").ljust(9, "0"))
    offset_s = _offset_s(match["offset"]) if match["offset"] else _zone_offset_s(moment, zone)
    return ((moment - _EPOCH) // dt.timedelta(seconds=1) - offset_s) * NS_PER_S + fraction


def quick_iso_ns(texts: NDArray[np.bytes_], zone: ZoneInfo | None) -> Ints:
    """ISO 8601 texts in ns UTC, all at once.

    Raises:
        ValueError: a text differs in layout from the first, or is none that `iso_ns` accepts; it does not say which.
    """
    match = _ISO.fullmatch(texts[0].decode("latin-1"))
    if match is None:
        raise ValueError("not ISO 8601")
    characters = _characters(texts)
    _require_one_layout(characters, match.start("offset"))
    local = _quick_date_ns(characters, match) + _quick_time_ns(characters, match)
    if match["offset"]:
        return local - _quick_offset_ns(characters, match)
    return to_utc(local, zone)


def quick_integers(texts: NDArray[np.bytes_]) -> Ints:
    """Integer texts as integers. Raises ValueError or OverflowError if one is none."""
    characters = _characters(texts)
    if not (_is_digit(characters) | (characters == 0) | (characters == ord("-"))).all():
        raise ValueError("not integers")
    return texts.astype(np.int64)


def unit_of(values: Ints, declared: TimeUnit) -> str:
    """The unit of integer timestamps: as declared, else by magnitude.

    "date" stands for eight digits that read as YYYYMMDD in every row: as seconds they would all lie in 1970.

    Raises:
        ValueError: some values look like one unit, and some like another.
    """
    if declared != "auto":
        return declared
    dates = (values >= _DATE_DIGITS[0]) & (values < _DATE_DIGITS[1])
    if dates.all():
        return "date"
    if dates.any():
        raise ValueError(
            f"integer timestamps of different kinds: {values[dates][0]} looks like a date (YYYYMMDD), "
            f"{values[~dates][0]} like a time since the epoch; say which they are with `timestamp_unit`"
        )
    magnitudes = np.abs(values)
    smallest, largest = int(magnitudes.min()), int(magnitudes.max())
    unit = _unit_of_one(largest)
    if _unit_of_one(smallest) != unit:
        raise ValueError(
            f"integer timestamps of different magnitude: {smallest} looks like {_unit_of_one(smallest)} since the "
            f"epoch, {largest} like {unit}; say which they are with `timestamp_unit`"
        )
    return unit


def _unit_of_one(magnitude: int) -> str:
    return next((unit for unit, ns in UNITS.items() if magnitude * ns < _LATEST_S * NS_PER_S), "ns")


def integers_ns(values: Ints, unit: str, zone: ZoneInfo | None) -> tuple[Ints, NDArray[np.bool_]]:
    """Integer timestamps in ns UTC, and which of them are not a moment that we can hold (their ns mean nothing)."""
    if unit == "date":
        return _dates_ns(values, zone)
    per_s = NS_PER_S // UNITS[unit]
    bad = (values < _EARLIEST_S * per_s) | (values >= _LATEST_S * per_s)
    return np.where(bad, 0, values) * UNITS[unit], bad


def _dates_ns(values: Ints, zone: ZoneInfo | None) -> tuple[Ints, NDArray[np.bool_]]:
    dates, place = np.unique(values, return_inverse=True)
    moments = np.zeros_like(dates)
    bad = np.zeros(len(dates), dtype=np.bool_)
    for i, date in enumerate(dates.tolist()):
        try:
            moments[i] = iso_ns(f"{date // 10_000:04}-{date // 100 % 100:02}-{date % 100:02}", zone)
        except ValueError:
            bad[i] = True
    return moments[place], bad[place]


def to_utc(local_ns: Ints, zone: ZoneInfo | None) -> Ints:
    """Local times, as ns since a local epoch, in ns UTC.

    On most days of a zone all hours have one offset; only the days on which the clocks change are looked at row by row.

    Raises:
        ValueError: a local time that the zone's clocks skip or show twice.
    """
    if zone is None:
        return local_ns
    days, place = np.unique(local_ns // NS_PER_DAY, return_inverse=True)
    offsets = [_day_offset_s(int(day), zone) for day in days.tolist()]
    result = local_ns - np.array([offset or 0 for offset in offsets], dtype=np.int64)[place] * NS_PER_S
    changing = np.array([offset is None for offset in offsets])[place]
    for i in np.flatnonzero(changing).tolist():
        moment = _EPOCH + dt.timedelta(seconds=int(local_ns[i]) // NS_PER_S)
        result[i] = local_ns[i] - _zone_offset_s(moment, zone) * NS_PER_S
    return result


def _day_offset_s(day: int, zone: ZoneInfo) -> int | None:
    midnight = _EPOCH + dt.timedelta(days=day)
    last = midnight + dt.timedelta(hours=23, minutes=59, seconds=59)
    offsets = {_fold_offset_s(moment, zone, fold) for moment in (midnight, last) for fold in (0, 1)}
    return offsets.pop() if len(offsets) == 1 else None


def _zone_offset_s(moment: dt.datetime, zone: ZoneInfo | None) -> int:
    """Seconds that the zone is ahead of UTC. A midnight that is skipped or doubled is the day's first moment."""
    if zone is None:
        return 0
    first = _fold_offset_s(moment, zone, 0)
    if first == _fold_offset_s(moment, zone, 1) or moment.time() == dt.time():
        return first
    raise ValueError(
        f"timestamp {moment.replace(tzinfo=None)}: the clocks of {zone.key} change there, so this time comes twice "
        "or never; write times with their offset (2020-01-31T15:30:00+01:00)"
    )


def _fold_offset_s(moment: dt.datetime, zone: ZoneInfo, fold: int) -> int:
    offset = moment.replace(tzinfo=zone, fold=fold).utcoffset() or dt.timedelta()
    return offset // dt.timedelta(seconds=1)


def _offset_s(text: str) -> int:
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    if hours > 23 or minutes > 59:
        raise ValueError(f"{text!r} is not an offset from UTC")
    return (hours * 3_600 + minutes * 60) * (-1 if text[0] == "-" else 1)


def _quick_date_ns(characters: NDArray[np.uint8], match: re.Match[str]) -> Ints:
    """Days are counted by numpy's calendar; its parser of texts crashed on a bad date in numpy 1.26."""
    year, month, day = (_group(characters, match, group) for group in (1, 2, 3))
    _require_between(FIRST_YEAR, year, LAST_YEAR)
    _require_between(1, month, 12)
    months = (year - 1970) * 12 + month - 1
    first, next_first = _first_day(months), _first_day(months + 1)
    _require_between(1, day, next_first - first)
    return (first + day - 1) * NS_PER_DAY


def _first_day(months: Ints) -> Ints:
    return months.astype("M8[M]").astype("M8[D]").astype(np.int64)


def _quick_time_ns(characters: NDArray[np.uint8], match: re.Match[str]) -> Ints:
    hour, minute, second = (_group(characters, match, group) for group in (4, 5, 6))
    _require_between(0, hour, 23)
    _require_between(0, minute, 59)
    _require_between(0, second, 59)
    ns_per_unit: int = 10 ** (9 - len(match[7] or ""))
    fraction = _group(characters, match, 7) * ns_per_unit
    return (hour * 3_600 + minute * 60 + second) * NS_PER_S + fraction


def _quick_offset_ns(characters: NDArray[np.uint8], match: re.Match[str]) -> Ints | int:
    text, start, end = match["offset"], match.start("offset"), match.end("offset")
    if text == "Z":
        return 0
    hours = _number(characters, start + 1, start + 3)
    minutes = _number(characters, end - 2, end) if len(text) > 3 else np.zeros_like(hours)
    _require_between(0, hours, 23)
    _require_between(0, minutes, 59)
    sign = np.where(characters[:, start] == ord("-"), -1, 1)
    return (hours * 3_600 + minutes * 60) * sign * NS_PER_S


def _require_one_layout(characters: NDArray[np.uint8], sign_at: int) -> None:
    digit = _is_digit(characters)
    if not (digit == digit[0]).all():
        raise ValueError("layouts differ")
    fixed = ~digit[0]
    if sign_at >= 0 and characters[0, sign_at] != ord("Z"):
        fixed[sign_at] = False
        if not np.isin(characters[:, sign_at], (ord("+"), ord("-"))).all():
            raise ValueError("layouts differ")
    if (characters[:, fixed] != characters[0, fixed]).any():
        raise ValueError("layouts differ")


def _characters(texts: NDArray[np.bytes_]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(texts).view(np.uint8).reshape(len(texts), -1)


def _is_digit(characters: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (characters >= ord("0")) & (characters <= ord("9"))


def _group(characters: NDArray[np.uint8], match: re.Match[str], group: int) -> Ints:
    """The number at the place of a group of the first text, in every text; 0 where there is no such group."""
    start, end = match.span(group)
    return _number(characters, start, end) if start >= 0 else np.zeros(len(characters), dtype=np.int64)


def _number(characters: NDArray[np.uint8], start: int, stop: int) -> Ints:
    powers = 10 ** np.arange(stop - start - 1, -1, -1, dtype=np.int64)
    return (characters[:, start:stop].astype(np.int64) - ord("0")) @ powers


def _require_between(lowest: int, values: Ints, highest: int | Ints) -> None:
    if (values < lowest).any() or (values > highest).any():
        raise ValueError("out of range")
