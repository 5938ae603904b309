"""The rows of market data files as columns, with the place that each came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Rows of one file, in the file's order.

    `ts` is the file's timestamp in ns UTC, `code` the index of the row's symbol in `symbols`; `values` has five rows:
    open, high, low, close, volume. `row` is the number that an editor shows (a CSV's header is row 1; a Parquet file's
    first record is row 1). `found` names every symbol that the file has, also those that were not wanted.
    """

    path: Path
    symbols: tuple[str, ...]
    found: tuple[str, ...]
    ts: Ints
    code: NDArray[np.int32]
    values: Floats
    row: Ints

    def take(self, index: NDArray[np.bool_] | Ints) -> Table:
        """The rows of `index` only; of all rows the table as it is."""
        if index.dtype == np.bool_ and index.all():
            return self
        return Table(
            self.path,
            self.symbols,
            self.found,
            self.ts[index],
            self.code[index],
            np.ascontiguousarray(self.values[:, index]),
            self.row[index],
        )


class SymbolCodes:
    """Numbers symbols in the order in which they appear. Blanks around a name do not count."""

    def __init__(self, wanted: frozenset[str] | None = None) -> None:
        self.names: list[str] = []
        self.found: dict[str, None] = {}
        self._wanted = wanted
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        """The code of a symbol, -1 if it is not wanted. Raises ValueError for an empty name."""
        code = self._codes.get(text)
        return self._new(text) if code is None else code

    def _new(self, text: str) -> int:
        name = text.strip()
        if not name:
            raise ValueError("symbol is empty")
        if name != text:
            code = self.code(name)
        elif self._wanted is not None and name not in self._wanted:
            code = -1
        else:
            code = len(self.names)
            self.names.append(name)
        self.found[name] = None
        self._codes[text] = code
        return code
