"""Where two logs differ: the first difference, and what each component said of each type, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.log_reader import LogReader
from bus.record import Record
from deploy import log_tools

_BLOCK = 1024

Stream = tuple[str, str]
"""A component and a message type."""


@dataclass(frozen=True)
class StreamDifference:
    """What a component published of a type, in both logs: how much, and the seq in either log where it first differs.

    A seq is None where that log has no such message any more; both are None when the streams are equal.
    """

    source: str
    type: str
    left: int
    right: int
    left_seq: int | None = None
    right_seq: int | None = None

    @property
    def is_equal(self) -> bool:
        """Whether both logs hold the same messages at the same times."""
        return self.left_seq is None and self.right_seq is None


@dataclass(frozen=True)
class LogDifference:
    """The first difference between two logs, and all streams in the order of their first difference."""

    first: log_tools.Difference
    streams: tuple[StreamDifference, ...]

    def document(self) -> dict[str, Any]:
        """As one JSON object."""
        streams = [{**stream.__dict__, "equal": stream.is_equal} for stream in self.streams]
        return {**self.first.__dict__, "streams": streams}


def difference(left: Path, right: Path) -> LogDifference | None:
    """Where two logs differ; None when they are equal. Memory does not grow with the logs.

    Raises:
        LogError: one of them is missing or damaged.
    """
    first = log_tools.first_difference(left, right)
    if first is None:
        return None
    one, two = _digests(left), _digests(right)
    streams = list(dict.fromkeys([*one, *two]))
    where = {s: _first_block(one.get(s, _Digest()), two.get(s, _Digest())) for s in streams}
    wanted = {stream: block for stream, block in where.items() if block is not None}
    theirs = _blocks(left, wanted), _blocks(right, wanted)
    found = [_compare(s, one.get(s, _Digest()), two.get(s, _Digest()), theirs) for s in streams]
    return LogDifference(first, tuple(sorted(found, key=_first_seq)))


@dataclass
class _Digest:
    """Of a stream: how many messages, and the chained hash at the end of each block and of the stream."""

    count: int = 0
    chain: int = 0
    blocks: tuple[int, ...] = ()

    def ends(self) -> tuple[int, ...]:
        return (*self.blocks, self.chain)


def _digests(path: Path) -> dict[Stream, _Digest]:
    counts: Counter[Stream] = Counter()
    chains: dict[Stream, int] = {}
    blocks: dict[Stream, list[int]] = {}
    for stream, record in _records(path):
        counts[stream] += 1
        chains[stream] = hash((chains.get(stream, 0), record.ts, record.payload))
        if counts[stream] % _BLOCK == 0:
            blocks.setdefault(stream, []).append(chains[stream])
    return {stream: _Digest(counts[stream], chains[stream], tuple(blocks.get(stream, ()))) for stream in counts}


def _first_block(one: _Digest, two: _Digest) -> int | None:
    """The number of the first block that differs, None when none does."""
    if (one.count, one.chain) == (two.count, two.chain):
        return None
    for number, (a, b) in enumerate(zip(one.blocks, two.blocks, strict=False)):
        if a != b:
            return number
    return min(len(one.blocks), len(two.blocks))


_Block = list[tuple[int, int]]
"""The seq and hash of a stream's messages in one block."""


def _blocks(path: Path, wanted: dict[Stream, int]) -> dict[Stream, _Block]:
    counts: Counter[Stream] = Counter()
    blocks: dict[Stream, _Block] = {stream: [] for stream in wanted}
    for stream, record in _records(path):
        if stream in wanted:
            if counts[stream] // _BLOCK == wanted[stream]:
                blocks[stream].append((record.seq, hash((record.ts, record.payload))))
            counts[stream] += 1
    return blocks


def _compare(
    stream: Stream, one: _Digest, two: _Digest, theirs: tuple[dict[Stream, _Block], dict[Stream, _Block]]
) -> StreamDifference:
    left, right = (blocks.get(stream, []) for blocks in theirs)
    at = next(
        (n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a[1] != b[1]), min(len(left), len(right))
    )
    return StreamDifference(
        *stream,
        one.count,
        two.count,
        left[at][0] if at < len(left) else None,
        right[at][0] if at < len(right) else None,
    )


def _records(path: Path) -> Iterator[tuple[Stream, Record]]:
    reader = LogReader(path, check_digest=False)
    names: dict[tuple[int, int], Stream] = {}
    for batch in reader.batches():
        for record in batch:
            key = record.source, record.type_id
            if key not in names:
                names[key] = reader.source_name(record.source), reader.type_name(record.type_id)
            yield names[key], record


def _first_seq(stream: StreamDifference) -> tuple[int, str, str]:
    seqs = [seq for seq in (stream.left_seq, stream.right_seq) if seq is not None]
    return min(seqs, default=2**64), stream.source, stream.type
