"""The round trips of a run, however many, in little memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from operator import eq
from pathlib import Path
from typing import IO, Any, Final, overload

from bus.errors import AdmfError
from schemas import ClosedTrade
from schemas.codec import decode_all, decode_rows, encode

TOGETHER: Final = 1024
"""So many round trips make a pack."""
_IN_MEMORY: Final = 128
"""So many packs wait in memory, some 16 MB; most runs have fewer, and write none into a file."""


class Trades(Sequence[ClosedTrade]):
    """The round trips of a run in the order in which they were closed; each is made anew when it is asked for.

    They are kept as the bytes that a log has for them, 120 each where the object takes 400: in memory or, where there
    are many, in a nameless file in `folder`, which goes with this object or its process. None is the system's own
    folder for such files. Each is packed when it comes: a little later it would be out of the core's cache, and take
    three times as long.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._waiting: list[bytes] = []
        self._packed: list[bytes] = []
        self._filed: list[tuple[int, int]] = []
        """Of each pack in the file its length and its place."""
        self._file: IO[bytes] | None = None
        self._latest: tuple[int, list[ClosedTrade]] = -1, []
        """The pack of which a round trip was asked for last, by its number."""

    def add(self, trade: ClosedTrade) -> None:
        """Append a round trip.

        Raises:
            AdmfError: there are many, and the file for them cannot be written.
        """
        waiting = self._waiting
        waiting.append(encode(trade))
        if len(waiting) == TOGETHER:
            self._join()

    def rows(self) -> Iterator[list[list[Any]]]:
        """The fields of every round trip as plain values, those of some round trips at a time."""
        for pack, count in self._packs():
            yield decode_rows(pack, count)

    def __len__(self) -> int:
        return TOGETHER * self._full() + len(self._waiting)

    def __iter__(self) -> Iterator[ClosedTrade]:
        for pack, count in self._packs():
            yield from decode_all(ClosedTrade, pack, count)

    @overload
    def __getitem__(self, index: int) -> ClosedTrade: ...
    @overload
    def __getitem__(self, index: slice) -> list[ClosedTrade]: ...
    def __getitem__(self, index: int | slice) -> ClosedTrade | list[ClosedTrade]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        number, place = divmod(range(len(self))[index], TOGETHER)
        if number == self._full():
            return decode_all(ClosedTrade, self._waiting[place], 1)[0]
        latest = self._latest
        if latest[0] != number:
            self._latest = latest = number, decode_all(ClosedTrade, self._pack(number), TOGETHER)
        return latest[1][place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"<{len(self):,} trades>"

    def __reduce__(self) -> tuple[Any, ...]:
        return trades_of, (list(self),)

    def _full(self) -> int:
        return len(self._filed) + len(self._packed)

    def _packs(self) -> Iterator[tuple[bytes, int]]:
        for number in range(self._full()):
            yield self._pack(number), TOGETHER
        if self._waiting:
            yield b"".join(self._waiting), len(self._waiting)

    def _pack(self, number: int) -> bytes:
        if number >= len(self._filed):
            return self._packed[number - len(self._filed)]
        assert self._file is not None
        return os.pread(self._file.fileno(), *self._filed[number])

    def _join(self) -> None:
        packed = [*self._packed, b"".join(self._waiting)]
        # In one step, here and below: a run may be broken off between any two, and none is lost or there twice.
        self._packed, self._waiting = packed, []
        if len(packed) == _IN_MEMORY:
            try:
                self._put_into_file(packed)
            except OSError as error:
                raise AdmfError(
                    f"{self._folder or tempfile.gettempdir()}: cannot write the trades of the run into a file: "
                    f"{error.strerror}; they do not all stay in memory, so make room there"
                ) from error

    def _put_into_file(self, packed: Sequence[bytes]) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - open as long as this object is
            weakref.finalize(self, self._file.close)
        places = self._filed.copy()
        for pack in packed:
            places.append((len(pack), self._file.tell()))
            self._file.write(pack)
        self._file.flush()
        self._filed, self._packed = places, []


def trades_of(trades: Iterable[ClosedTrade], folder: Path | None = None) -> Trades:
    """Round trips that are there already."""
    made = Trades(folder)
    for trade in trades:
        made.add(trade)
    return made
