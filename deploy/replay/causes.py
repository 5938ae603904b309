"""From a record back to what came from outside: cause by cause."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from bus.log_reader import LogReader
from bus.record import Record

_BATCHES_KEPT = 32


class Recent:
    """The records of a log that were read last: enough to follow causes that are not far back."""

    def __init__(self) -> None:
        self._batches: deque[list[Record]] = deque(maxlen=_BATCHES_KEPT)

    def add(self, batch: list[Record]) -> None:
        """The next records."""
        self._batches.append(batch)

    def get(self, seq: int) -> Record | None:
        """The record of this seq, if it is among them."""
        for batch in reversed(self._batches):
            if batch[0].seq <= seq <= batch[-1].seq:
                return batch[seq - batch[0].seq]
        return None

    def chain(self, record: Record) -> list[Record] | None:
        """The record and its causes back to what came from outside; None when one of them is too far back."""
        chain = [record]
        while chain[-1].cause:
            cause = self.get(chain[-1].cause)
            if cause is None:
                return None
            chain.append(cause)
        return chain


def causes_of(path: Path, seq: int) -> tuple[list[Record], LogReader]:
    """The record `seq` and its causes, back to the record that came from outside; and the reader, for its declarations.

    Memory is constant: what lies too far back to be still at hand is read for again.

    Raises:
        LogError: the log is damaged before that record.
    """
    chain: list[Record] = []
    while True:
        reader = LogReader(path, check_digest=False)
        recent = Recent()
        for batch in reader.batches():
            recent.add(batch)
            if batch[-1].seq >= seq:
                break
        found = recent.get(seq)
        while found is not None:
            chain.append(found)
            seq = found.cause
            found = recent.get(seq)
        if not seq or reader.last_seq < seq:
            return chain, reader
