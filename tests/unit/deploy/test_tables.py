"""Trades and equity as tables in the run's folder."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import pyarrow.parquet
import pytest

from deploy.tables import write_tables
from schemas import ClosedTrade, Direction, EquityCurve
from tests.support.builders import DAY_NS, T0
from tests.support.launching import ROOT, launch_json

TRADE = ClosedTrade("p-1", "AAPL", Direction.BUY, 10.0, T0, 100.0, T0 + DAY_NS, 101.0, 10.0, 0.0)
CURVE = [
    EquityCurve((T0,), (100.0,), (100.0,), (0.0,), (0.0,)),
    EquityCurve((T0 + DAY_NS,), (110.0,), (90.0,), (20.0,), (20.0,)),
]


def test_tables_are_parquet_with_times_in_utc(tmp_path: Path):
    assert write_tables(tmp_path, [TRADE], CURVE) == ["trades.parquet", "equity.parquet"]
    (trade,) = pyarrow.parquet.read_table(tmp_path / "trades.parquet").to_pylist()
    assert trade["entry_ts"].isoformat() == "2020-01-02T00:00:00+00:00"
    assert (trade["direction"], trade["realised_pnl"]) == ("BUY", 10.0)
    equity = pyarrow.parquet.read_table(tmp_path / "equity.parquet")
    assert equity.column("equity").to_pylist() == [100.0, 110.0]


def test_an_empty_table_has_the_same_columns_and_types(tmp_path: Path):
    write_tables(tmp_path, [TRADE], CURVE)
    full = [pyarrow.parquet.read_schema(tmp_path / f"{name}.parquet") for name in ("trades", "equity")]
    write_tables(tmp_path, [], [])
    assert [pyarrow.parquet.read_schema(tmp_path / f"{name}.parquet") for name in ("trades", "equity")] == full


def test_without_pyarrow_tables_are_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert write_tables(tmp_path, [TRADE], CURVE) == ["trades.csv", "equity.csv"]
    with (tmp_path / "trades.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["symbol"], row["entry_ts"], row["exit_price"]) == ("AAPL", str(T0), "101.0")


def test_a_run_leaves_tables_that_agree_with_its_results(tmp_path: Path):
    document = launch_json(ROOT / "configs" / "backtest.yaml", tmp_path)
    folder = Path(document["run_dir"])
    trades = pyarrow.parquet.read_table(folder / "trades.parquet")
    equity = pyarrow.parquet.read_table(folder / "equity.parquet")
    assert trades.num_rows == len(document["trades"])
    assert sum(trades.column("realised_pnl").to_pylist()) == pytest.approx(document["statistics"]["realised_pnl"])
    assert equity.column("equity").to_pylist()[-1] == document["statistics"]["final_equity"]
