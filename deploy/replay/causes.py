"""From a record back to what came from outside: cause by cause."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from bus.log_reader import LogReader
from bus.record import Record

_BATCHES_KEPT = 32


def causes_of(path: Path, seq: int) -> tuple[list[Record], LogReader]:
    """The record `seq` and its causes, back to the record that came from outside; and the reader, for its declarations.

    Memory is constant: what lies too far back to be still at hand is read for again.

    Raises:
        LogError: the log is damaged before that record.
    """
    chain: list[Record] = []
    while True:
        reader = LogReader(path, check_digest=False)
        recent: deque[list[Record]] = deque(maxlen=_BATCHES_KEPT)
        for batch in reader.batches():
            recent.append(batch)
            if batch[-1].seq >= seq:
                break
        while seq and (record := _find(recent, seq)) is not None:
            chain.append(record)
            seq = record.cause
        if not seq or not recent or recent[-1][-1].seq < seq:
            return chain, reader


def _find(batches: deque[list[Record]], seq: int) -> Record | None:
    for batch in reversed(batches):
        if batch[0].seq <= seq <= batch[-1].seq:
            return batch[seq - batch[0].seq]
    return None
