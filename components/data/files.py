"""From a path to the bars that a run asks for: finds files, reads and merges them, and refuses what is not whole."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.errors import DataError
from components.data.csv_file import read_csv
from components.data.faults import Faults
from components.data.file_format import FileFormat
from components.data.parquet_file import read_parquet
from components.data.table import Floats, Ints, Table
from components.data.timestamps import iso_text

PARQUET_SUFFIXES: Final = (".parquet", ".pq")
SUFFIXES: Final = (".csv", *PARQUET_SUFFIXES)
_NAMES_TOLD: Final = 20


@dataclass(frozen=True)
class Request:
    """What a run asks for: symbols (empty: all that are there), from `start_ns` (inclusive) to `end_ns` (exclusive)."""

    symbols: tuple[str, ...] = ()
    start_ns: int | None = None
    end_ns: int | None = None

    def dates(self) -> str:
        """The range of dates in words; the end is the last moment that is still inside."""
        start = "the beginning" if self.start_ns is None else iso_text(self.start_ns)
        end = "the end" if self.end_ns is None else iso_text(self.end_ns - 1)[:10]
        return f"from {start} to {end}"


@dataclass(frozen=True)
class Bars:
    """Bars in order of (time, symbol) as columns; `code` indexes `symbols`, which are in alphabetical order.

    `ts` is the files' timestamp in ns UTC. `values` has five rows: open, high, low, close, volume.
    """

    symbols: tuple[str, ...]
    ts: Ints
    code: NDArray[np.int64]
    values: Floats


def load(path: Path, file_format: FileFormat, request: Request) -> Bars:
    """The bars that `request` asks for, from a file, or from a folder with one file for each symbol.

    Raises:
        DataError: there is no such file, a fault in one (with its row), or a symbol or dates that it does not have.
    """
    faults = Faults()
    tables = read_tables(path, file_format, request.symbols, faults)
    faults.raise_if_any()
    _require_symbols(path, tables, request.symbols)
    bars = _merged(tables)
    inside = _inside(bars.ts, request)
    _require_rows(path, bars, inside, request)
    return Bars(bars.symbols, bars.ts[inside], bars.code[inside], np.ascontiguousarray(bars.values[:, inside]))


def texts_of(symbols: Sequence[str]) -> NDArray[np.void] | None:
    """The symbols as texts of a block's array; None where they are not ASCII, or not equally long."""
    (length, *others) = set(map(len, symbols))
    if others or not length or not all(map(str.isascii, symbols)):
        return None
    return np.array(symbols, f"S{length}").view(f"V{length}")


def read_tables(path: Path, file_format: FileFormat, symbols: Sequence[str], faults: Faults) -> list[Table]:
    """One table for each file that holds one of the symbols (none given: all files).

    Raises:
        DataError: the path does not exist.
    """
    if path.is_dir():
        files = _files_of(path, symbols, faults)
        tables = [_read(file, file_format, None, faults) for file in files]
        for table in filter(None, tables):
            _require_own_symbol(table, faults)
    elif path.exists():
        tables = [_read(path, file_format, frozenset(symbols) or None, faults)]
    else:
        raise DataError(f"{path}: there is no such file or folder")
    return [table for table in tables if table is not None]


def _read(path: Path, file_format: FileFormat, wanted: frozenset[str] | None, faults: Faults) -> Table | None:
    read = read_parquet if path.suffix.lower() in PARQUET_SUFFIXES else read_csv
    return read(path, file_format, wanted, faults)


def _files_of(folder: Path, symbols: Sequence[str], faults: Faults) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    by_symbol: dict[str, Path] = {}
    for file in files:
        other = by_symbol.setdefault(file.stem, file)
        if other is not file and (not symbols or file.stem in symbols):
            faults.add(file, f"{other.name} in the same folder is for the same symbol; keep one of the two")
    if not files:
        faults.add(folder, f"has no market data files; looked for {', '.join('*' + suffix for suffix in SUFFIXES)}")
    for symbol in [symbol for symbol in symbols if symbol not in by_symbol and files]:
        faults.add(folder, f"has no file for {symbol} ({symbol}.csv or {symbol}.parquet); {_names(symbol, by_symbol)}")
    return [file for symbol, file in by_symbol.items() if not symbols or symbol in symbols]


def _require_own_symbol(table: Table, faults: Faults) -> None:
    own = table.path.stem
    if set(table.symbols) <= {own}:
        return
    foreign = np.array([name != own for name in table.symbols])[table.code]

    def describe(i: int) -> str:
        name = table.symbols[int(table.code[i])]
        return f"symbol {name!r} in the file of {own!r}; in a folder each symbol has its own file"

    faults.add_rows(table.path, foreign, table.row, describe)


def _require_symbols(path: Path, tables: list[Table], symbols: Sequence[str]) -> None:
    found = [name for table in tables for name in table.found]
    faults = [f"{path}: has no rows for {symbol}; {_names(symbol, found)}" for symbol in symbols if symbol not in found]
    if faults:
        raise DataError(faults)


def _names(symbol: str, found: Iterable[str]) -> str:
    names = sorted(found)
    close = [name for name in names if name.lower() == symbol.lower()] or difflib.get_close_matches(symbol, names, n=1)
    more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
    guess = f"; did you mean {close[0]}?" if close else ""
    return f"found are {', '.join(names[:_NAMES_TOLD])}{more}{guess}"


def _merged(tables: list[Table]) -> Bars:
    symbols = tuple(sorted({name for table in tables for name in table.symbols}))
    rank = {name: i for i, name in enumerate(symbols)}
    ts = np.concatenate([table.ts for table in tables])
    code = np.concatenate([np.array([rank[name] for name in table.symbols])[table.code] for table in tables])
    values = np.concatenate([table.values for table in tables], axis=1)
    order = np.lexsort((code, ts))
    return Bars(symbols, ts[order], code[order], values[:, order])


def _inside(ts: Ints, request: Request) -> slice:
    start = 0 if request.start_ns is None else int(np.searchsorted(ts, request.start_ns))
    end = len(ts) if request.end_ns is None else int(np.searchsorted(ts, request.end_ns))
    return slice(start, end)


def _require_rows(path: Path, bars: Bars, inside: slice, request: Request) -> None:
    """Every symbol that was asked for has rows in the range; when none was named, any symbol has."""
    present = set(np.unique(bars.code[inside]).tolist())
    asked = [i for i, name in enumerate(bars.symbols) if name in request.symbols]
    without = [i for i in asked if i not in present]
    if present and not without:
        return
    faults = [
        f"{path}: has no rows for {bars.symbols[i]} {request.dates()}; "
        f"its rows for {bars.symbols[i]} run {_range(bars.ts[bars.code == i])}"
        for i in without or range(len(bars.symbols))
    ]
    raise DataError(faults)


def _range(ts: Ints) -> str:
    return f"from {iso_text(int(ts[0]))} to {iso_text(int(ts[-1]))}"
