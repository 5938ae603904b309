"""Rows of market data files as columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.data.table import Table


def a_table(rows: int) -> Table:
    code = np.zeros(rows, np.int32)
    values = np.arange(5.0 * rows).reshape(5, rows)
    return Table(Path("bars.csv"), ("AAPL",), ("AAPL",), np.arange(rows), code, values, np.arange(rows) + 2)


def test_some_rows_are_taken():
    taken = a_table(3).take(np.array([True, False, True]))
    assert (taken.ts.tolist(), taken.row.tolist(), taken.values[1].tolist()) == ([0, 2], [2, 4], [3.0, 5.0])
    assert len(a_table(3).take(np.zeros(3, np.bool_)).ts) == 0
    assert a_table(3).take(np.array([1, 1])).ts.tolist() == [1, 1]


def test_a_table_of_which_all_rows_are_taken_is_not_copied():
    table = a_table(3)
    assert table.take(np.ones(3, np.bool_)) is table
