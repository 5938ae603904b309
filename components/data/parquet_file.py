"""Reads a Parquet file, by pyarrow (the extra `parquet`). Rows are counted from 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bus.errors import DataError
from components.data.checks import check_rows, with_integer_times
from components.data.faults import Faults
from components.data.file_format import VALUE_COLUMNS, Column, FileFormat, find_columns, missing_column
from components.data.table import Ints, SymbolCodes, Table
from components.data.timestamps import FIRST_YEAR, LAST_YEAR, integers_ns, iso_ns, to_utc


def read_parquet(path: Path, file_format: FileFormat, wanted: frozenset[str] | None, faults: Faults) -> Table | None:
    """The rows of the wanted symbols (None: all), or None when nothing can be read; `faults` gets what is wrong.

    Raises:
        DataError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(f"{path}: reading Parquet needs pyarrow: pip install 'admf-trader[parquet]'") from None
    try:
        with pq.ParquetFile(path) as file:
            positions = _columns(path, file.schema_arrow.names, file_format, wanted, faults)
            if positions is None:
                return None
            names = {column: file.schema_arrow.names[at] for column, at in positions.items()}
            data = file.read(columns=list(names.values()))
    except (pa.ArrowException, OSError) as error:
        faults.add(path, f"cannot be read as Parquet: {error}")
        return None
    columns = {column: data.column(name) for column, name in names.items()}
    if not data.num_rows:
        faults.add(path, "has no rows")
        return None
    if not _types_are_right(path, columns, faults):
        return None
    table = _table(path, columns, file_format, wanted, faults)
    check_rows(table, file_format, faults)
    return table


def _columns(
    path: Path, names: list[str], file_format: FileFormat, wanted: frozenset[str] | None, faults: Faults
) -> dict[Column, int] | None:
    positions, missing = find_columns(names, file_format.columns)
    if "symbol" not in positions and not missing and wanted is not None and path.stem not in wanted:
        missing = [missing_column("symbol", names) + ", or name the file after its one symbol"]
    for text in missing:
        faults.add(path, text)
    return None if missing else positions


def _types_are_right(path: Path, columns: dict[Column, Any], faults: Faults) -> bool:
    from pyarrow import types

    before = faults.count
    for column in VALUE_COLUMNS:
        kind = columns[column].type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
            faults.add(path, f"column {column} has type {kind}; it must hold numbers")
    kind = columns["timestamp"].type
    if not (types.is_temporal(kind) or types.is_integer(kind) or _is_text(kind)) or types.is_time(kind):
        faults.add(
            path, f"column timestamp has type {kind}; allowed are timestamps, dates, integers and ISO 8601 texts"
        )
    return faults.count == before


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind))


def _table(
    path: Path, columns: dict[Column, Any], file_format: FileFormat, wanted: frozenset[str] | None, faults: Faults
) -> Table:
    row = np.arange(1, len(columns["timestamp"]) + 1, dtype=np.int64)
    codes = SymbolCodes(wanted)
    code = _codes(columns.get("symbol"), codes, path, row, faults)
    kept = np.flatnonzero(code >= 0)
    values = np.array([columns[column].cast("float64", safe=False).to_numpy()[kept] for column in VALUE_COLUMNS])
    stamps = columns["timestamp"].take(kept)
    empty = stamps.is_null().to_numpy(zero_copy_only=False)
    faults.add_rows(path, empty, row[kept], lambda _: "timestamp is empty")
    names = tuple(codes.names)
    unset = np.zeros(len(kept), dtype=np.int64)
    table = Table(path, names, tuple(codes.found), unset, code[kept], values, row[kept]).take(~empty)
    return _timed(table, stamps.drop_null(), file_format, faults)


def _timed(table: Table, stamps: Any, file_format: FileFormat, faults: Faults) -> Table:
    """The table with its times, without the rows whose time cannot be told."""
    from pyarrow import types

    if types.is_integer(stamps.type):
        values = stamps.to_numpy()
        bad = values > np.iinfo(np.int64).max
        faults.add_rows(table.path, bad, table.row, lambda i: f"timestamp {values[i]} does not fit in 64 bits")
        kept = dataclasses.replace(table.take(~bad), ts=values[~bad].astype(np.int64))
        return with_integer_times(kept, file_format, faults)
    if _is_text(stamps.type):
        zone = file_format.zone
        return _one_by_one(table, stamps.cast("string").to_pylist(), lambda text: iso_ns(text, zone), faults)
    if types.is_date(stamps.type):
        stamps = stamps.cast("timestamp[s]")
    local, bad = integers_ns(stamps.cast("int64").to_numpy(), stamps.type.unit, None)
    faults.add_rows(table.path, bad, table.row, lambda _: f"timestamp is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    local, table = local[~bad], table.take(~bad)
    if stamps.type.tz is not None:
        return dataclasses.replace(table, ts=local)
    zone = file_format.zone
    try:
        return dataclasses.replace(table, ts=to_utc(local, zone))
    except ValueError:
        return _one_by_one(table, list(local), lambda moment: int(to_utc(np.array([moment]), zone)[0]), faults)


def _one_by_one(table: Table, stamps: list[Any], read: Callable[[Any], int], faults: Faults) -> Table:
    """The table with the time that `read` makes of each stamp, without the rows at which it raises ValueError."""
    ts = np.zeros(len(stamps), dtype=np.int64)
    good = np.ones(len(stamps), dtype=np.bool_)
    for i, stamp in enumerate(stamps):
        try:
            ts[i] = read(stamp)
        except ValueError as error:
            good[i] = False
            faults.add(table.path, str(error), int(table.row[i]))
    return dataclasses.replace(table, ts=ts).take(good)


def _codes(column: Any, codes: SymbolCodes, path: Path, row: Ints, faults: Faults) -> NDArray[np.int32]:
    """The code of each row's symbol, -1 for rows that are not wanted or have none."""
    if column is None:
        return np.full(len(row), codes.code(path.stem), dtype=np.int32)
    encoded = column.cast("string").combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    blank = np.array([not name.strip() for name in names] + [True], dtype=np.bool_)
    code = np.array([codes.code(name) if name.strip() else -1 for name in names] + [-1], dtype=np.int32)
    index: Ints = encoded.indices.fill_null(len(names)).to_numpy()
    faults.add_rows(path, blank[index], row, lambda _: "symbol is empty")
    return code[index]
