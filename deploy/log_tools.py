"""Questions to message logs: what is in one, whether it is sound, and where two differ."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgpack

from bus.errors import LogError
from bus.log_reader import LogReader, find_segments
from bus.record import Record
from schemas import SourceDeclared, TypeDeclared
from schemas.codec import DecodeError, to_builtins

_NS_PER_S = 1_000_000_000


def format_time(ts: int) -> str:
    """ISO 8601, UTC, with as many decimals as are not zero; '-' for 0, before the first data."""
    if ts == 0:
        return "-"
    seconds, ns = divmod(ts, _NS_PER_S)
    text = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}{f'.{ns:09d}'.rstrip('0') if ns else ''}Z"


def parse_time(text: str) -> int:
    """Nanoseconds since the epoch from ISO 8601 (UTC unless a zone is given) or an integer.

    Raises:
        ValueError: neither.
    """
    if text.lstrip("-").isdigit():
        return int(text)
    moment = dt.datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    since = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * _NS_PER_S + since.microseconds * 1000


def values_of(reader: LogReader, record: Record) -> dict[str, Any]:
    """The payload's values by field name.

    From the log's own declarations when our code does not know the type, or knows it otherwise: the log may have been
    written by another version of the schema.
    """
    try:
        return to_builtins(reader.message(record))
    except DecodeError:
        return _declared_values(reader, record)


def _declared_values(reader: LogReader, record: Record) -> dict[str, Any]:
    try:
        plain = msgpack.unpackb(record.payload)
    except (ValueError, msgpack.UnpackException):
        return {"payload": record.payload.hex()}
    declared = reader.types.get(record.type_id)
    names = declared.fields if declared else ()
    if not isinstance(plain, list):
        return {"payload": plain}
    return dict(itertools.zip_longest(names, plain[: len(names)])) or {"payload": plain}


class Declarations(Protocol):
    """What a log declares of its types and sources: a reader's, or a capture's."""

    @property
    def sources(self) -> dict[int, SourceDeclared]:
        """By source id."""

    @property
    def types(self) -> dict[int, TypeDeclared]:
        """By type id."""


@dataclass(frozen=True)
class Filter:
    """Which records to show. `component` means what it published or took. Bounds are inclusive; None is no bound."""

    types: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    components: frozenset[str] = frozenset()
    from_seq: int | None = None
    to_seq: int | None = None
    from_ts: int | None = None
    to_ts: int | None = None

    def accepts(self, reader: LogReader, record: Record) -> bool:
        """Whether the record passes."""
        return (
            _within(record.seq, self.from_seq, self.to_seq)
            and _within(record.ts, self.from_ts, self.to_ts)
            and (not self.types or reader.type_name(record.type_id) in self.types)
            and (not self.sources or reader.source_name(record.source) in self.sources)
            and (not self.components or self._concerns(reader, record))
        )

    def _concerns(self, reader: LogReader, record: Record) -> bool:
        if reader.source_name(record.source) in self.components:
            return True
        type_name = reader.type_name(record.type_id)
        return any(s.name in self.components and type_name in s.takes for s in reader.sources.values())


def _within(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


@dataclass
class LogSummary:
    """What is in a log."""

    path: Path
    segments: int
    size_bytes: int
    version: int = 0
    """Of the log's format."""
    records: int = 0
    first_ts: int = 0
    last_ts: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    by_source: Counter[str] = field(default_factory=Counter)
    digest: str = ""
    closed: bool = False
    torn_bytes: int = 0

    def document(self) -> dict[str, Any]:
        """The summary as one JSON object."""
        return {
            "path": str(self.path),
            "segments": self.segments,
            "size_bytes": self.size_bytes,
            "version": self.version,
            "records": self.records,
            "first_time": format_time(self.first_ts),
            "last_time": format_time(self.last_ts),
            "types": dict(self.by_type),
            "sources": dict(self.by_source),
            "digest": self.digest,
            "closed": self.closed,
            "torn_bytes": self.torn_bytes,
        }


def summarise(path: Path) -> LogSummary:
    """Read the whole log once, checking it, and count.

    Raises:
        LogError: there is no log, or it is damaged.
    """
    segments = find_segments(path)
    summary = LogSummary(path, len(segments), sum(segment.stat().st_size for segment in segments))
    reader = LogReader(path)
    types: Counter[int] = Counter()
    sources: Counter[int] = Counter()
    for batch in reader.batches():
        types.update(record.type_id for record in batch)
        sources.update(record.source for record in batch)
        summary.first_ts = summary.first_ts or next((record.ts for record in batch if record.ts), 0)
        summary.last_ts = batch[-1].ts
    summary.by_type.update({reader.type_name(t): n for t, n in sorted(types.items())})
    summary.by_source.update({reader.source_name(s): n for s, n in sorted(sources.items())})
    summary.version, summary.records, summary.digest = reader.version, reader.records, reader.digest
    summary.closed, summary.torn_bytes = reader.closed, reader.torn_bytes
    return summary


@dataclass(frozen=True)
class Difference:
    """The first place where two logs differ: the record of either there, None for one that has ended."""

    seq: int
    left: dict[str, Any] | None
    right: dict[str, Any] | None


def describe(reader: LogReader, record: Record) -> dict[str, Any]:
    """A record as one JSON object."""
    return {
        "seq": record.seq,
        "time": format_time(record.ts),
        "ts": record.ts,
        "source": reader.source_name(record.source),
        "source_seq": record.source_seq,
        "cause": record.cause,
        "type": reader.type_name(record.type_id),
        "message": values_of(reader, record),
    }


def first_difference(left: Path, right: Path) -> Difference | None:
    """Where two logs differ first; None when they are equal.

    Raises:
        LogError: one of them is missing or damaged.
    """
    one, two = LogReader(left, check_digest=False), LogReader(right, check_digest=False)
    for a, b in itertools.zip_longest(one, two):
        if a == b:
            continue
        return Difference((a or b).seq, a and describe(one, a), b and describe(two, b))
    return None


def matching(reader: LogReader, wanted: Filter) -> Iterator[Record]:
    """The records that pass, stopping where none can pass any more."""
    for record in reader:
        if wanted.to_seq is not None and record.seq > wanted.to_seq:
            return
        if wanted.accepts(reader, record):
            yield record


def unknown_names(reader: Declarations, wanted: Filter) -> list[str]:
    """Names that a filter asks for and the log does not declare."""
    types = {declared.name for declared in reader.types.values()}
    sources = {declared.name for declared in reader.sources.values()} | {"hub"}
    return sorted(wanted.types - types) + sorted((wanted.sources | wanted.components) - sources)


def require_sound(reader: LogReader) -> None:
    """Raise LogError when a log was read to its end and has no footer."""
    if not reader.closed:
        raise LogError(
            f"{reader.path}: not closed: the run was killed or still goes on. All {reader.records:,} records up to seq "
            f"{reader.last_seq} are whole"
            + (f", the last {reader.unsealed:,} of them not sealed with a checksum yet" if reader.unsealed else "")
            + (f"; {reader.torn_bytes} bytes of an incomplete record follow" if reader.torn_bytes else "")
        )
