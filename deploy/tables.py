"""A run's trades and equity curve as tables in its folder."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas import ClosedTrade, EquityCurve
from schemas.registry import fields

TIME_COLUMNS = frozenset({"ts", "entry_ts", "exit_ts"})
Columns = dict[str, list[Any]]


def trade_columns(trades: Sequence[ClosedTrade]) -> Columns:
    """One column a field of `ClosedTrade`, one row a round trip."""
    return {name: [_plain(getattr(trade, name)) for trade in trades] for name in fields(ClosedTrade)}


def equity_columns(blocks: Sequence[EquityCurve]) -> Columns:
    """Columns `ts`, `equity`, `cash`, `exposure`, `net_exposure`, one row a timestamp."""
    return {name: [value for block in blocks for value in getattr(block, name)] for name in fields(EquityCurve)}


def write_tables(folder: Path, trades: Sequence[ClosedTrade], blocks: Sequence[EquityCurve]) -> list[str]:
    """Write `trades` and `equity`, and return the files' names.

    Parquet, with times as timestamps in UTC, where pyarrow is installed (extra `parquet`); otherwise CSV, with
    times in nanoseconds since the epoch.
    """
    write, suffix = (_parquet, ".parquet") if importlib.util.find_spec("pyarrow") else (_csv, ".csv")
    tables = {"trades": trade_columns(trades), "equity": equity_columns(blocks)}
    for name, columns in tables.items():
        write(folder / f"{name}{suffix}", columns)
    return [f"{name}{suffix}" for name in tables]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def _parquet(path: Path, columns: Columns) -> None:
    import pyarrow
    import pyarrow.parquet

    arrays = {
        name: pyarrow.array(values, pyarrow.timestamp("ns", tz="UTC") if name in TIME_COLUMNS else _arrow_type(name))
        for name, values in columns.items()
    }
    pyarrow.parquet.write_table(pyarrow.table(arrays), path)


def _arrow_type(name: str) -> Any:
    """Numbers are floats even in an empty table, so that the tables of two runs can always be put together."""
    import pyarrow

    text = {"trade_id", "symbol", "direction", "entry_fill_id", "exit_fill_id", "currency"}
    return pyarrow.string() if name in text else pyarrow.float64()


def _csv(path: Path, columns: Columns) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
