"""Trades and equity as tables in the run's folder."""

from __future__ import annotations

import csv
import importlib.util
from array import array
from pathlib import Path

import pyarrow.parquet
import pytest

from deploy import tables
from deploy.tables import equity_rows, equity_table, read_columns, write_trades
from deploy.trades import TOGETHER, trades_of
from schemas import ClosedTrade, Direction, EquityCurve
from schemas.base import pack_column
from schemas.registry import fields
from tests.support.builders import DAY_NS, T0
from tests.support.launching import ROOT, launch_json

TRADE = ClosedTrade("p-1", "AAPL", Direction.BUY, 10.0, T0, 100.0, T0 + DAY_NS, 101.0, 10.0, 0.0)


def a_block(ts: int, equity: float) -> EquityCurve:
    floats = (pack_column(array("d", [value])) for value in (equity, equity, 0.0, 0.0))
    return EquityCurve(pack_column(array("q", [ts])), *floats)


CURVE = [a_block(T0, 100.0), a_block(T0 + DAY_NS, 110.0)]


def write_equity(folder: Path, blocks: list[EquityCurve]) -> str:
    table = equity_table(folder)
    for block in blocks:
        table.add(equity_rows(block))
    return table.close()


def test_tables_are_parquet_with_times_in_utc(tmp_path: Path):
    assert write_trades(tmp_path, trades_of([TRADE])) == "trades.parquet"
    assert write_equity(tmp_path, CURVE) == "equity.parquet"
    (trade,) = pyarrow.parquet.read_table(tmp_path / "trades.parquet").to_pylist()
    assert trade["entry_ts"].isoformat() == "2020-01-02T00:00:00+00:00"
    assert (trade["direction"], trade["realised_pnl"]) == ("BUY", 10.0)
    equity = pyarrow.parquet.read_table(tmp_path / "equity.parquet")
    assert equity.column("equity").to_pylist() == [100.0, 110.0]


def schemas_in(folder: Path) -> list[pyarrow.Schema]:
    return [pyarrow.parquet.read_schema(folder / f"{name}.parquet") for name in ("trades", "equity")]


def test_an_empty_table_has_the_same_columns_and_types(tmp_path: Path):
    write_trades(tmp_path, trades_of([TRADE]))
    write_equity(tmp_path, CURVE)
    full = schemas_in(tmp_path)
    write_trades(tmp_path, trades_of([]))
    write_equity(tmp_path, [])
    assert schemas_in(tmp_path) == full


def test_without_pyarrow_tables_are_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert write_trades(tmp_path, trades_of([TRADE])) == "trades.csv"
    with (tmp_path / "trades.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["symbol"], row["entry_ts"], row["exit_price"]) == ("AAPL", str(T0), "101.0")


@pytest.mark.parametrize("blocks", [CURVE, []], ids=["two points", "no point"])
def test_a_table_of_either_kind_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks):
    parquet = read_columns(tmp_path / write_equity(tmp_path, blocks))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert read_columns(tmp_path / write_equity(tmp_path, blocks)) == parquet
    assert parquet["ts"] == [T0, T0 + DAY_NS][: len(blocks)]
    assert parquet["equity"] == [100.0, 110.0][: len(blocks)]


def test_a_long_table_is_written_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "_ROWS_AT_ONCE", 2)
    name = write_equity(tmp_path, [a_block(T0 + n, float(n)) for n in range(5)])
    assert pyarrow.parquet.ParquetFile(tmp_path / name).num_row_groups == 3
    assert read_columns(tmp_path / name)["equity"] == [0.0, 1.0, 2.0, 3.0, 4.0]


def a_trade(n: int) -> ClosedTrade:
    """The n-th trade, in a currency without a rate every third time."""
    names = (f"p-{n}", ("AAPL", "SÄP", "")[n % 3], Direction.BUY if n % 2 else Direction.SELL)
    prices = (100.0 + n, T0 + 2 * n, n / 7, -n / 3, 0.0)
    return ClosedTrade(*names, float(n), T0 + n, *prices, 0.5, f"b-{n}", f"b-{n + 1}", ("", "", "EUR")[n % 3])


@pytest.mark.parametrize("count", [1, TOGETHER, 4 * TOGETHER + 5])
def test_many_trades_are_written_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count):
    monkeypatch.setattr(tables, "_TRADES_AT_ONCE", 2 * TOGETHER)
    trades = [a_trade(n) for n in range(count)]
    write_trades(tmp_path, trades_of(trades))
    file = pyarrow.parquet.ParquetFile(tmp_path / "trades.parquet")
    assert file.num_row_groups == 1 + count // (2 * TOGETHER)
    table = file.read()
    for name in fields(ClosedTrade):
        column = table[name].cast(pyarrow.int64()) if name in tables.TIME_COLUMNS else table[name]
        assert column.to_pylist() == [getattr(trade, name) for trade in trades]


def test_the_file_of_trades_is_what_writing_all_at_once_gives(tmp_path: Path):
    trades = [a_trade(n) for n in range(3 * TOGETHER)]
    columns = {name: [getattr(trade, name) for trade in trades] for name in fields(ClosedTrade)}
    write_trades(tmp_path, trades_of(trades))
    table = tables.Table(tmp_path, "at_once", fields(ClosedTrade), len(trades) + 1)
    table.add({name: pyarrow.array(values, tables._arrow_type(name)) for name, values in columns.items()})
    assert (tmp_path / table.close()).read_bytes() == (tmp_path / "trades.parquet").read_bytes()


def test_without_pyarrow_trades_are_written_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    trades = [a_trade(n) for n in range(2 * TOGETHER + 5)]
    with (tmp_path / write_trades(tmp_path, trades_of(trades))).open(newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    assert names == list(fields(ClosedTrade))
    assert rows == [[str(getattr(trade, name)) for name in names] for trade in trades]


def test_a_table_that_is_abandoned_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "_ROWS_AT_ONCE", 1)
    table = equity_table(tmp_path)
    table.add(equity_rows(CURVE[0]))
    assert [path.name for path in tmp_path.iterdir()] == ["equity.tmp"]
    table.abandon()
    assert not list(tmp_path.iterdir())


def test_a_run_leaves_tables_that_agree_with_its_results(tmp_path: Path):
    document = launch_json(ROOT / "configs" / "backtest.yaml", tmp_path)
    folder = Path(document["run_dir"])
    trades = pyarrow.parquet.read_table(folder / "trades.parquet")
    equity = pyarrow.parquet.read_table(folder / "equity.parquet")
    assert trades.num_rows == len(document["trades"])
    assert sum(trades.column("realised_pnl").to_pylist()) == pytest.approx(document["statistics"]["realised_pnl"])
    assert equity.column("equity").to_pylist()[-1] == document["statistics"]["final_equity"]
