"""Reads a CSV file, fast when it is plain and carefully when it is not.

The quick way has numpy parse blocks of lines and gives up at anything unusual. The careful way goes row by row, accepts
all that the csv module accepts, and says what is wrong with a row. A file that is sound gives the same table both ways.
"""

from __future__ import annotations

import csv
import itertools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from components.data.checks import check_rows, is_sound, with_integer_times
from components.data.faults import Faults
from components.data.file_format import VALUE_COLUMNS, Column, FileFormat, find_columns, missing_column
from components.data.table import Floats, Ints, SymbolCodes, Table
from components.data.timestamps import has_offset, integer, is_integer, iso_ns, quick_integers, quick_iso_ns

_LINES: Final = 65_536
"""Lines parsed at once: enough to amortise the call, and the only rows that exist as Python objects."""

_TEXT_WIDTH: Final = 40
"""Longest timestamp or symbol that the quick way takes, in characters; the longest ISO 8601 time has 35."""


@dataclass(frozen=True)
class _Layout:
    """Where things are in the file. `symbol` is that of a file without a symbol column."""

    delimiter: str
    width: int
    positions: dict[Column, int]
    symbol: str
    zone: ZoneInfo | None

    @property
    def value_positions(self) -> list[int]:
        return [self.positions[column] for column in VALUE_COLUMNS]


def read_csv(path: Path, file_format: FileFormat, wanted: frozenset[str] | None, faults: Faults) -> Table | None:
    """The rows of the wanted symbols (None: all), or None when nothing can be read; `faults` gets what is wrong."""
    try:
        layout = _read_layout(path, file_format, wanted, faults)
        if layout is None:
            return None
        table = _quick_table(path, layout, file_format, wanted)
        if table is not None and is_sound(table, file_format):
            return table
        table = _careful_table(path, layout, file_format, wanted, faults)
        check_rows(table, file_format, faults)
        return table
    except UnicodeDecodeError:
        faults.add(path, "is not UTF-8 text", _undecodable_row(path))
    except OSError as error:
        faults.add(path, f"cannot be read: {error.strerror or error}")
    return None


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", newline="")


def _undecodable_row(path: Path) -> int:
    with path.open("rb") as file:
        return next(row for row, line in enumerate(file, start=1) if line.decode("utf-8", "ignore").encode() != line)


def _read_layout(path: Path, file_format: FileFormat, wanted: frozenset[str] | None, faults: Faults) -> _Layout | None:
    with _open(path) as file:
        line = file.readline()
    if not line.strip():
        faults.add(path, "is empty; its first row must name the columns")
        return None
    delimiter = max(",;\t", key=line.count)
    header = next(csv.reader([line], delimiter=delimiter))
    positions, missing = find_columns(header, file_format.columns)
    if "symbol" not in positions and not missing and wanted is not None and path.stem not in wanted:
        missing = [missing_column("symbol", header) + ", or name the file after its one symbol"]
    for text in missing:
        faults.add(path, text, row=1)
    if missing:
        return None
    return _Layout(delimiter, len(header), positions, path.stem, file_format.zone)


# The quick way.


def _quick_table(path: Path, layout: _Layout, file_format: FileFormat, wanted: frozenset[str] | None) -> Table | None:
    codes = SymbolCodes(wanted)
    blocks: list[tuple[Ints, NDArray[np.int32], Floats]] = []
    forms: set[str] = set()
    try:
        for data in _parsed_blocks(path, layout):
            stamps, form = _quick_stamps(data[_key(layout.positions["timestamp"])], layout.zone)
            forms.add(form)
            code = _quick_codes(data, layout, codes)
            keep = code >= 0
            values = np.array([data[_key(position)][keep] for position in layout.value_positions])
            blocks.append((stamps[keep], code[keep], values))
        if len(forms) != 1:
            return None
        ts = np.concatenate([block[0] for block in blocks])
    except (ValueError, OverflowError):
        return None
    code = np.concatenate([block[1] for block in blocks])
    values = np.concatenate([block[2] for block in blocks], axis=1)
    row = np.arange(2, len(ts) + 2, dtype=np.int64)
    table = Table(path, tuple(codes.names), tuple(codes.found), ts, code, values, row)
    return _quick_integer_times(table, file_format) if "integer" in forms else table


def _parsed_blocks(path: Path, layout: _Layout) -> Iterator[NDArray[np.void]]:
    kinds = dict.fromkeys(range(layout.width), "U1")
    kinds |= dict.fromkeys(layout.value_positions, "f8")
    kinds |= {at: f"S{_TEXT_WIDTH}" for column, at in layout.positions.items() if column in ("timestamp", "symbol")}
    dtype = np.dtype([(_key(position), kind) for position, kind in kinds.items()])
    with _open(path) as file:
        next(file)
        while lines := list(itertools.islice(file, _LINES)):
            if any(map(str.strip, lines)):
                yield np.loadtxt(lines, dtype, comments=None, delimiter=layout.delimiter, quotechar='"', ndmin=1)


def _key(position: int) -> str:
    return f"column{position}"


def _quick_stamps(texts: NDArray[np.bytes_], zone: ZoneInfo | None) -> tuple[Ints, str]:
    """The column's times, as whole numbers still if it holds those, and its form, which is one for the whole file."""
    _require_room(texts)
    first = texts[0].decode("latin-1")
    if is_integer(first):
        return quick_integers(texts), "integer"
    return quick_iso_ns(texts, zone), "offset" if has_offset(first) else "local"


def _quick_integer_times(table: Table, file_format: FileFormat) -> Table | None:
    faults = Faults()
    timed = with_integer_times(table, file_format, faults)
    return None if faults.count else timed


def _quick_codes(data: NDArray[np.void], layout: _Layout, codes: SymbolCodes) -> NDArray[np.int32]:
    if "symbol" not in layout.positions:
        return np.full(len(data), codes.code(layout.symbol), dtype=np.int32)
    texts = data[_key(layout.positions["symbol"])]
    _require_room(texts)
    names = texts.tolist()
    code_of = {name: codes.code(name.decode("latin-1")) for name in dict.fromkeys(names)}
    return np.fromiter(map(code_of.__getitem__, names), np.int32, len(names))


def _require_room(texts: NDArray[np.bytes_]) -> None:
    if np.char.str_len(texts).max() >= _TEXT_WIDTH:
        raise ValueError("a text may have been cut off")


# The careful way.


class _Collected:
    """Rows that could be read, in compact columns."""

    def __init__(self, wanted: frozenset[str] | None) -> None:
        self.codes = SymbolCodes(wanted)
        self.with_offset: bool | None = None
        self.stamps = array("q")
        self.code = array("i")
        self.values = array("d")
        self.row = array("q")

    def table(self, path: Path, ts: Ints) -> Table:
        """The rows as a table, with the given times."""
        values = np.array(self.values, dtype=np.float64).reshape(-1, len(VALUE_COLUMNS)).T
        return Table(
            path,
            tuple(self.codes.names),
            tuple(self.codes.found),
            ts,
            np.array(self.code, dtype=np.int32),
            np.ascontiguousarray(values),
            np.array(self.row, dtype=np.int64),
        )


def _careful_table(
    path: Path, layout: _Layout, file_format: FileFormat, wanted: frozenset[str] | None, faults: Faults
) -> Table:
    collected = _Collected(wanted)
    before = faults.count
    whole_numbers: bool | None = None
    with _open(path) as file:
        for row, cells in _rows(file, layout.delimiter, path, faults):
            if whole_numbers is None and len(cells) == layout.width:
                whole_numbers = is_integer(cells[layout.positions["timestamp"]])
            try:
                _collect(row, cells, layout, bool(whole_numbers), collected)
            except ValueError as error:
                faults.add(path, str(error), row)
    ts = np.array(collected.stamps, dtype=np.int64)
    if whole_numbers is None and faults.count == before:
        faults.add(path, "has no rows below its header")
    table = collected.table(path, ts)
    return with_integer_times(table, file_format, faults) if whole_numbers else table


def _rows(file: TextIO, delimiter: str, path: Path, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    """Rows below the header that are not blank, with the number of the line on which each ends."""
    reader = csv.reader(file, delimiter=delimiter)
    next(reader)
    try:
        for cells in reader:
            if cells and (len(cells) > 1 or cells[0].strip()):
                yield reader.line_num, cells
    except csv.Error as error:
        faults.add(path, f"is not CSV from here on: {error}", reader.line_num)


def _collect(row: int, cells: list[str], layout: _Layout, whole_numbers: bool, collected: _Collected) -> None:
    if len(cells) != layout.width:
        raise ValueError(f"has {len(cells)} cells, and the header {layout.width}")
    at = layout.positions
    code = collected.codes.code(cells[at["symbol"]] if "symbol" in at else layout.symbol)
    if code < 0:
        return
    stamp = cells[at["timestamp"]]
    moment = integer(stamp) if whole_numbers else _moment(stamp, layout, collected)
    values = [_number(column, cells[at[column]]) for column in VALUE_COLUMNS]
    collected.stamps.append(moment)
    collected.code.append(code)
    collected.values.extend(values)
    collected.row.append(row)


def _moment(stamp: str, layout: _Layout, collected: _Collected) -> int:
    moment = iso_ns(stamp, layout.zone)
    offset = has_offset(stamp)
    if collected.with_offset is None:
        collected.with_offset = offset
    elif collected.with_offset != offset:
        given, others = ("an", "none") if offset else ("no", "one")
        raise ValueError(f"timestamp {stamp.strip()!r} has {given} offset from UTC, and those before it have {others}")
    return moment


def _number(column: str, text: str) -> float:
    try:
        if "_" in text:  # which Python takes for a separator of digits
            raise ValueError
        return float(text)
    except ValueError:
        raise ValueError(
            f"{column} {text.strip()!r} is not a number" if text.strip() else f"{column} is empty"
        ) from None
