"""Gathers what is wrong with market data files: all of it is counted, the first faults are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bus.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOLD: Final = 20
"""How many faults are told in full; the rest are only counted."""


class Faults:
    """The faults of one or several files, in order of file and row."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[tuple[str, int, str]] = []

    def add(self, path: Path, text: str, row: int = 0) -> None:
        """One fault in `row`, or in the file as a whole when that is 0."""
        self.add_some(path, [(row, text)], count=1)

    def add_some(self, path: Path, faults: Iterable[tuple[int, str]], count: int) -> None:
        """`count` faults of one kind, of which `faults` has the first as (row, text)."""
        self.count += count
        self._kept.extend((str(path), row, text) for row, text in faults)
        if len(self._kept) > 10 * TOLD:
            self._kept = sorted(self._kept)[:TOLD]

    def add_rows(
        self, path: Path, bad: NDArray[np.bool_], row: NDArray[np.int64], describe: Callable[[int], str]
    ) -> None:
        """A fault in each row that `bad` marks; `describe` makes the sentence from the index of the row."""
        indices = bad.nonzero()[0]
        told = [(int(row[i]), describe(i)) for i in indices[:TOLD].tolist()]
        self.add_some(path, told, count=len(indices))

    def texts(self) -> tuple[str, ...]:
        """The first faults as sentences, and how many more there are."""
        told = [
            f"{path}, row {row}: {text}" if row else f"{path}: {text}" for path, row, text in sorted(self._kept)[:TOLD]
        ]
        if self.count > len(told):
            told.append(f"... and {self.count - len(told)} more")
        return tuple(told)

    def raise_if_any(self) -> None:
        """Raise DataError with all texts if there is a fault."""
        if self.count:
            raise DataError(self.texts())
