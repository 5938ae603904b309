"""What must hold for market data before it may enter a run, whatever file it came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from components.data.faults import Faults
from components.data.file_format import VALUE_COLUMNS, FileFormat
from components.data.table import Floats, Ints, Table
from components.data.timestamps import FIRST_YEAR, LAST_YEAR, integers_ns, iso_text, unit_of


def is_sound(table: Table, file_format: FileFormat) -> bool:
    """Whether the table has rows and nothing is wrong with them."""
    faults = Faults()
    check_rows(table, file_format, faults)
    return len(table.ts) > 0 and faults.count == 0


def check_rows(table: Table, file_format: FileFormat, faults: Faults) -> None:
    """Every value finite, low <= open, close <= high, volume not negative, prices positive, times rising by symbol."""
    if len(table.ts):
        _check_values(table, file_format, faults)
        _check_order(table, faults)


def with_integer_times(table: Table, file_format: FileFormat, faults: Faults) -> Table:
    """The table with its `ts`, integers as the file has them, in ns UTC; rows whose timestamp is none are left out."""
    if not len(table.ts):
        return table
    try:
        unit = unit_of(table.ts, file_format.timestamp_unit)
    except ValueError as error:
        faults.add(table.path, str(error))
        return table.take(np.zeros(len(table.ts), dtype=np.bool_))
    ts, bad = integers_ns(table.ts, unit, file_format.zone)
    meaning = "a date YYYYMMDD" if unit == "date" else f"{unit} since the epoch"

    def describe(i: int) -> str:
        return f"timestamp {table.ts[i]}, read as {meaning}, is not in the years {FIRST_YEAR} to {LAST_YEAR}"

    faults.add_rows(table.path, bad, table.row, describe)
    return dataclasses.replace(table, ts=ts).take(~bad)


def _check_values(table: Table, file_format: FileFormat, faults: Faults) -> None:
    finite = np.isfinite(table.values)
    for i in range(len(VALUE_COLUMNS)):
        _check_finite(table, i, finite[i], faults)
    prices = finite[:4].all(axis=0)
    _check_range(table, prices, faults)
    if not file_format.allow_nonpositive_prices:
        _check_positive(table, prices, faults)
    volume = table.values[4]
    _report(table, faults, finite[4] & (volume < 0), lambda i: f"volume {volume[i]} is negative")


def _check_finite(table: Table, column: int, finite: NDArray[np.bool_], faults: Faults) -> None:
    name, numbers = VALUE_COLUMNS[column], table.values[column]
    _report(table, faults, ~finite, lambda i: f"{name} is {numbers[i]}, not a finite number")


def _check_range(table: Table, finite: NDArray[np.bool_], faults: Faults) -> None:
    open_, high, low, close, _ = table.values
    crossed = finite & (high < low)
    _report(table, faults, crossed, lambda i: f"high {high[i]} is below low {low[i]}")
    _check_inside(table, "open", open_, finite & ~crossed, faults)
    _check_inside(table, "close", close, finite & ~crossed, faults)


def _check_inside(table: Table, name: str, price: Floats, where: NDArray[np.bool_], faults: Faults) -> None:
    high, low = table.values[1], table.values[2]
    outside = where & ((price < low) | (price > high))
    _report(table, faults, outside, lambda i: f"{name} {price[i]} is outside low {low[i]} to high {high[i]}")


def _check_positive(table: Table, finite: NDArray[np.bool_], faults: Faults) -> None:
    lowest = table.values[:4].min(axis=0)
    hint = "for spreads and the like give `allow_nonpositive_prices: true`"
    _report(table, faults, finite & (lowest <= 0), lambda i: f"price {lowest[i]} is not positive; {hint}")


def _check_order(table: Table, faults: Faults) -> None:
    earlier = _row_before(table.code)
    has_earlier, before = earlier >= 0, table.ts[earlier]
    is_before, is_same = has_earlier & (table.ts < before), has_earlier & (table.ts == before)
    if has_earlier.sum() > 1 and is_before[has_earlier].all():
        faults.add(table.path, "rows run from new to old; sort the file by time, oldest first")
        return

    def unsorted(i: int) -> str:
        place = f"{_time(table, int(earlier[i]))} in row {table.row[earlier[i]]}"
        return f"{_symbol(table, i)} at {_time(table, i)} comes after {place}; sort each symbol's rows by time"

    def repeated(i: int) -> str:
        return f"{_symbol(table, i)} at {_time(table, i)} is there already in row {table.row[earlier[i]]}"

    _report(table, faults, is_before, unsorted)
    _report(table, faults, is_same, repeated)


def _row_before(code: NDArray[np.int32]) -> Ints:
    """For each row the index of the row before it of the same symbol, -1 for a symbol's first."""
    order = np.argsort(code, kind="stable")
    before = np.full(len(code), -1, dtype=np.int64)
    same = code[order[1:]] == code[order[:-1]]
    before[order[1:][same]] = order[:-1][same]
    return before


def _symbol(table: Table, i: int) -> str:
    return table.symbols[int(table.code[i])]


def _time(table: Table, i: int) -> str:
    return iso_text(int(table.ts[i]))


def _report(table: Table, faults: Faults, bad: NDArray[np.bool_], describe: Callable[[int], str]) -> None:
    faults.add_rows(table.path, bad, table.row, describe)
