"""A run's trades and equity curve as tables in its folder.

Parquet, with times as timestamps in UTC, where pyarrow is installed (extra `parquet`); otherwise CSV, with times in
nanoseconds since the epoch.
"""

from __future__ import annotations

import csv
import importlib.util
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from deploy.trades import TOGETHER, Trades
from schemas import ClosedTrade, EquityCurve
from schemas.base import unpack_column
from schemas.registry import field_types, fields

TIME_COLUMNS: Final = frozenset({"ts", "entry_ts", "exit_ts"})
_TEXT_COLUMNS: Final = frozenset({"trade_id", "symbol", "direction", "entry_fill_id", "exit_fill_id", "currency"})
_ROWS_AT_ONCE: Final = 1_048_576
"""As many rows wait in memory: 40 MB of an equity curve. Most runs end before, and write nothing while they run."""
_TRADES_AT_ONCE: Final = 262_144
"""So do as many round trips, 36 MB."""

Rows = Mapping[str, Sequence[Any]]
"""Equally long columns."""


class Table:
    """A table that grows in a file of its own, in constant memory; `close` gives the file its name."""

    def __init__(self, folder: Path, name: str, columns: Sequence[str], at_once: int) -> None:
        self._folder = folder
        self._name = name
        self._columns = columns
        self._at_once = at_once
        self._waiting: list[Rows] = []
        self._count = 0
        self._file: _ParquetFile | _CsvFile | None = None

    def add(self, rows: Rows) -> None:
        """Append rows, which must not change any more."""
        self._waiting.append(rows)
        self._count += len(rows[self._columns[0]])
        if self._count >= self._at_once:
            self._write()

    def close(self) -> str:
        """Write what is left, and return the file's name."""
        file = self._write()
        file.close()
        name = f"{self._name}{file.suffix}"
        file.path.replace(self._folder / name)
        return name

    def abandon(self) -> None:
        """Leave nothing behind: the run did not come to its end."""
        if self._file is not None:
            self._file.close()
            self._file.path.unlink()

    def _write(self) -> _ParquetFile | _CsvFile:
        if self._file is None:
            kind = _ParquetFile if _has_pyarrow() else _CsvFile
            self._file = kind(self._folder / f"{self._name}.tmp", self._columns)
        self._file.write(self._waiting)
        self._waiting, self._count = [], 0
        return self._file


def equity_table(folder: Path) -> Table:
    """The table of the equity curve: `ts`, `equity`, `cash`, `exposure`, `net_exposure`, one row a timestamp."""
    return Table(folder, "equity", fields(EquityCurve), _ROWS_AT_ONCE)


def equity_rows(block: EquityCurve) -> Rows:
    """The points of a block of the curve."""
    types = zip(fields(EquityCurve), field_types(EquityCurve), strict=True)
    return {name: unpack_column(declared, getattr(block, name)) for name, declared in types}


def write_trades(folder: Path, trades: Trades) -> str:
    """Write the round trips, one column a field of `ClosedTrade`, and return the file's name."""
    names = fields(ClosedTrade)
    parts: Iterator[Rows] = (dict(zip(names, zip(*rows, strict=True), strict=True)) for rows in trades.rows())
    in_arrow = _has_pyarrow()
    table = Table(folder, "trades", names, _TRADES_AT_ONCE if in_arrow else 1)
    for rows in _gathered(parts) if in_arrow else parts:
        table.add(rows)
        del rows  # before the next ones are there
    return table.close()


def _gathered(parts: Iterator[Rows]) -> Iterator[Rows]:
    """Rows of many parts together, as Arrow has them: text takes a quarter of the room that it does in Python."""
    for first in parts:
        columns = {name: _Gathered(_arrow_type(name)) for name in first}
        for part in itertools.chain((first,), itertools.islice(parts, _TRADES_AT_ONCE // TOGETHER - 1)):
            for name, column in columns.items():
                column.add(part[name])
        yield {name: column.array() for name, column in columns.items()}


class _Gathered:
    """A column as Arrow has it, of text or of values of 8 bytes, which grows in one piece.

    Put together of pieces it would need twice the room, and left in pieces pages of the file would end elsewhere.
    """

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._count = 0
        self._values = bytearray()
        self._bounds = bytearray(4)
        """Of text where the first value begins, and where each ends."""

    def add(self, values: Sequence[Any]) -> None:
        """Append values, of which none is None."""
        import numpy as np
        import pyarrow

        _, *bounds, content = pyarrow.array(values, self._kind).buffers()
        size = 8 * len(values)
        if bounds:
            ends = np.frombuffer(bounds[0], np.int32, len(values), offset=4)
            size = int(ends[-1])
            self._bounds += (ends + len(self._values)).tobytes()
        if size:
            self._values += memoryview(content)[:size]
        self._count += len(values)

    def array(self) -> Any:
        """All of them, as they lie here: nothing can be appended any more."""
        import pyarrow

        values = pyarrow.py_buffer(self._values)
        buffers = [pyarrow.py_buffer(self._bounds), values] if pyarrow.types.is_string(self._kind) else [values]
        return pyarrow.Array.from_buffers(self._kind, self._count, [None, *buffers])


def read_columns(path: Path) -> dict[str, list[Any]]:
    """The columns of a table of numbers that was written here; times in ns since the epoch."""
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            names, *rows = csv.reader(file)
        read = [int if name in TIME_COLUMNS else float for name in names]
        return {
            name: [convert(row[i]) for row in rows] for i, (name, convert) in enumerate(zip(names, read, strict=True))
        }
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    return {
        name: (table[name].cast(pyarrow.int64()) if name in TIME_COLUMNS else table[name]).to_pylist()
        for name in table.column_names
    }


def _has_pyarrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


class _ParquetFile:
    """Numbers are floats even in an empty table, so that the tables of two runs can always be put together."""

    suffix = ".parquet"

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        import pyarrow.parquet

        self.path = path
        self._schema = pyarrow.schema([(name, _arrow_type(name)) for name in columns])
        # Prices and equity hardly repeat, and times go up evenly: half the time, and less than half the size.
        self._writer = pyarrow.parquet.ParquetWriter(
            path,
            self._schema,
            compression="lz4",
            use_dictionary=[name for name in columns if name in _TEXT_COLUMNS],
            column_encoding={name: "DELTA_BINARY_PACKED" for name in columns if name in TIME_COLUMNS},
        )

    def write(self, parts: Sequence[Rows]) -> None:
        import numpy as np
        import pyarrow

        def column(name: str, kind: Any) -> Any:
            values = [part[name] for part in parts]
            chunks = [v if isinstance(v, pyarrow.Array) else pyarrow.array(np.asarray(v)).cast(kind) for v in values]
            return pyarrow.chunked_array(chunks, kind)

        columns = [column(field.name, field.type) for field in self._schema]
        self._writer.write_table(pyarrow.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _arrow_type(name: str) -> Any:
    import pyarrow

    if name in TIME_COLUMNS:
        return pyarrow.timestamp("ns", tz="UTC")
    return pyarrow.string() if name in _TEXT_COLUMNS else pyarrow.float64()


class _CsvFile:
    suffix = ".csv"

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(columns)

    def write(self, parts: Sequence[Rows]) -> None:
        for part in parts:
            self._writer.writerows(zip(*part.values(), strict=True))

    def close(self) -> None:
        self._file.close()
