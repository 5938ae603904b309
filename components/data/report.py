"""What there is to know of market data files before a run: the backing of `admf data check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from components.data.faults import Faults
from components.data.file_format import FileFormat
from components.data.files import read_tables
from components.data.table import Ints, Table
from components.data.timestamps import NS_PER_DAY, NS_PER_S

GAPS_TOLD: Final = 20
_LONG_WEEKEND_NS: Final = 3 * NS_PER_DAY + 2 * 3_600 * NS_PER_S
"""Saturday, Sunday and a holiday, and a change of the clocks."""


@dataclass(frozen=True)
class Gap:
    """Two neighbouring bars of a symbol, `start_ns` and `end_ns` (ns UTC), with more time between them than usual."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class SymbolReport:
    """One symbol's rows. `step_ns` is the median time between two, 0 when there are fewer.

    `gaps` has the first `GAPS_TOLD` of `gap_count`; `duplicates` counts rows whose time an earlier row has.
    """

    symbol: str
    rows: int
    first_ns: int
    last_ns: int
    step_ns: int
    gaps: tuple[Gap, ...]
    gap_count: int
    duplicates: int


@dataclass(frozen=True)
class DataReport:
    """A file or folder. `rows` counts the rows that could be read.

    `faults` are sentences with file and row; when there are too many to tell, the last says how many more.
    """

    path: Path
    rows: int
    symbols: tuple[SymbolReport, ...]
    faults: tuple[str, ...]
    fault_count: int

    @property
    def sound(self) -> bool:
        """Whether a run would accept the data."""
        return self.fault_count == 0


def check_file(path: Path, file_format: FileFormat | None = None) -> DataReport:
    """Read a market data file, or a folder with one for each symbol, and say what is in it and what is wrong with it.

    Raises:
        DataError: the path does not exist, or pyarrow is needed and not installed.
    """
    faults = Faults()
    tables = read_tables(path, file_format or FileFormat(), (), faults)
    symbols = [_symbol_report(table, code) for table in tables for code in range(len(table.symbols))]
    return DataReport(
        path=path,
        rows=sum(len(table.ts) for table in tables),
        symbols=tuple(sorted((s for s in symbols if s.rows), key=lambda s: s.symbol)),
        faults=faults.texts(),
        fault_count=faults.count,
    )


def _symbol_report(table: Table, code: int) -> SymbolReport:
    all_ts = table.ts[table.code == code]
    ts = np.unique(all_ts)
    step = int(np.median(_steps(ts))) if len(ts) > 1 else 0
    after = _before_gaps(ts, step)
    return SymbolReport(
        symbol=table.symbols[code],
        rows=len(all_ts),
        first_ns=int(ts[0]) if len(ts) else 0,
        last_ns=int(ts[-1]) if len(ts) else 0,
        step_ns=step,
        gaps=tuple(Gap(int(ts[i]), int(ts[i + 1])) for i in after[:GAPS_TOLD].tolist()),
        gap_count=len(after),
        duplicates=len(all_ts) - len(ts),
    )


def _steps(ts: Ints) -> NDArray[np.uint64]:
    """The differences of ascending times: unsigned, for 300 years in ns are more than int64 can hold."""
    return np.diff(ts).view(np.uint64)


def _before_gaps(ts: Ints, step: int) -> Ints:
    """Indices of the bars after which there is a gap.

    A gap is longer than the usual step by more than a long weekend; within one UTC day of intraday data, any
    step longer than the usual one is a gap.
    """
    steps = _steps(ts)
    gap = steps > step + _LONG_WEEKEND_NS
    if step < NS_PER_DAY:
        same_day = ts[1:] // NS_PER_DAY == ts[:-1] // NS_PER_DAY
        gap |= same_day & (steps > step)
    return np.flatnonzero(gap)
