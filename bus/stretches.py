"""Stretches that have no places in the order yet: their records are made together, which is quicker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from bus.block_records import has_table
from bus.express import Express, Stretch
from bus.runtime.block import Block
from bus.stretch_records import Bars, Layouts, Numbers, StretchRecords, records_of
from schemas import Message

_MANY_ANSWERS: Final = 8192
_MANY_BARS: Final = 32_768


class Stretches:
    """Stretches of one source's bars of one symbol that followed each other."""

    def __init__(self, source: int, type_id: int, symbol: str, express: Express) -> None:
        self.counts: Counter[type[Message]] = Counter()
        """Of their bars, and what these were answered, by type."""
        self._of = source, type_id, symbol
        self._express = express
        self._parts: list[tuple[Bars, tuple[int, Any]]] = []
        self._bars = 0

    def can_take(self, source: int, type_id: int, symbol: str) -> bool:
        """Whether a stretch may be added: it belongs to the others, and they are not so many yet."""
        answers = self.counts.total() - self._bars
        return self._of == (source, type_id, symbol) and answers < _MANY_ANSWERS and self._bars < _MANY_BARS

    def add(self, run: Block, start: int, stretch: Stretch) -> None:
        """Add the stretch of a run that begins at `start`; all of it, wherever that is broken off, or nothing."""
        kept = run.without_messages() if has_table(run, start, stretch.end) else run
        self._parts.append((Bars(kept, start, stretch.end), (start - self._bars, stretch.happened)))
        self._bars += stretch.end - start
        self.counts.update(stretch.counts)
        self.counts[run.message_type] += stretch.end - start

    def records(self, numbers: Numbers, layouts: Layouts) -> Iterator[StretchRecords]:
        """Their records, one stretch after the other; `numbers` and `layouts` as in `records_of`."""
        runs, happened = zip(*self._parts, strict=True)
        return records_of(runs, self._of[:2], numbers, self._express.patterns(happened), layouts)
