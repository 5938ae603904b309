"""A log in numbers: counts, rates, how long each hop took, pauses in the data, and what was refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.log_reader import LogReader
from bus.record import Record
from bus.sequencer import HUB
from deploy.replay.capture import open_capture
from deploy.replay.causes import Recent
from schemas import BrokerReport, EdgeReport, OrderStatus, ReportType
from schemas.codec import DecodeError
from schemas.enums import EdgeEvent, OrderState
from schemas.registry import MESSAGE_TYPES, TYPE_IDS

_NS_PER_S = 1_000_000_000
_DIGITS = 3
_DATA_IDS = range(20, 30)
_REFUSALS = frozenset({ReportType.REJECTED, ReportType.CANCEL_REJECTED, ReportType.REPLACE_REJECTED})
_EDGE_REFUSALS = frozenset({EdgeEvent.REFUSED, EdgeEvent.FAILED})
_SPEAKING = frozenset(TYPE_IDS[t] for t in (OrderStatus, BrokerReport, EdgeReport))


class Distribution:
    """Of non-negative integers, to three digits: memory does not grow with their number."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.max = 0

    def add(self, value: int) -> None:
        """Count a value."""
        self.count += 1
        self.max = max(self.max, value)
        self._counts[_rounded(value)] += 1

    def quantile(self, share: float) -> int:
        """The smallest value that at least this share of all does not exceed; 0 when there are none."""
        left = share * self.count
        for value, count in sorted(self._counts.items()):
            left -= count
            if left <= 0:
                return min(value, self.max)
        return 0

    def document(self) -> dict[str, int]:
        """Median, 99th percentile and maximum."""
        return {"p50": self.quantile(0.5), "p99": self.quantile(0.99), "max": self.max}


@dataclass
class Hop:
    """From a message to an answer to it: nanoseconds by the bus's clock (live only), and records in between."""

    count: int = 0
    ns: Distribution = field(default_factory=Distribution)
    records: Distribution = field(default_factory=Distribution)


@dataclass
class Pause:
    """The longest time between two records of a data source, in ns, and when it began (ns UTC)."""

    ns: int = 0
    start_ts: int = 0


@dataclass
class LogStats:
    """See the module. Hops are keyed by what was answered and the answer, each "component Type"."""

    path: Path
    is_live: bool
    records: int = 0
    size_bytes: int = 0
    first_ts: int = 0
    last_ts: int = 0
    external: int = 0
    by_stream: Counter[tuple[str, str]] = field(default_factory=Counter)
    hops: dict[tuple[str, str], Hop] = field(default_factory=dict)
    unknown_causes: int = 0
    pauses: dict[str, Pause] = field(default_factory=dict)
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def span_s(self) -> float:
        """Seconds from the first data to the last record, by the log's own times."""
        return (self.last_ts - self.first_ts) / _NS_PER_S if self.first_ts else 0.0

    def document(self) -> dict[str, Any]:
        """As one JSON object."""
        rate = self.records / self.span_s if self.span_s else None
        return {
            "path": str(self.path),
            "live": self.is_live,
            "records": self.records,
            "bytes_per_record": round(self.size_bytes / self.records, 1) if self.records else None,
            "span_s": self.span_s,
            "records_per_s": rate,
            "external": self.external,
            "answers_per_external": round((self.records - self.external) / self.external, 3) if self.external else None,
            "streams": [{"source": s, "type": t, "count": n} for (s, t), n in sorted(self.by_stream.items())],
            "hops": [
                {
                    "from": one,
                    "to": two,
                    "count": hop.count,
                    "ns": hop.ns.document() if self.is_live else None,
                    "records_between": hop.records.document(),
                }
                for (one, two), hop in self.hops.items()
            ],
            "unknown_causes": self.unknown_causes,
            "pauses": {name: pause.__dict__ for name, pause in self.pauses.items()},
            "refusals": [{"kind": kind, "code": code, "count": n} for (kind, code), n in self.refusals.most_common()],
        }


def statistics_of(path: Path) -> LogStats:
    """Read a log once and count. Memory does not grow with it.

    Raises:
        LogError: the log is missing or damaged.
    """
    stats = LogStats(path, not open_capture(path).in_order)
    reader, recent = LogReader(path), Recent()
    last_data: dict[int, int] = {}
    for batch in reader.batches():
        recent.add(batch)
        for record in batch:
            stats.size_bytes += len(record.payload) + 48
            _count(stats, reader, record)
            if record.cause:
                _hop(stats, reader, recent, record)
            elif record.type_id in _DATA_IDS:
                _pause(stats, reader, record, last_data)
            if record.type_id in _SPEAKING:
                _refusal(stats, reader, record)
    stats.records = reader.records
    stats.hops = dict(sorted(stats.hops.items()))
    return stats


def _rounded(value: int) -> int:
    """The value to three digits, rounded up."""
    excess = len(str(value)) - _DIGITS
    if excess <= 0:
        return value
    step: int = 10**excess
    return -(-value // step) * step


def _count(stats: LogStats, reader: LogReader, record: Record) -> None:
    stats.by_stream[reader.source_name(record.source), reader.type_name(record.type_id)] += 1
    stats.last_ts = record.ts
    if not record.cause and record.source != HUB:
        stats.external += 1
        stats.first_ts = stats.first_ts or record.ts


def _hop(stats: LogStats, reader: LogReader, recent: Recent, record: Record) -> None:
    cause = recent.get(record.cause)
    if cause is None:
        stats.unknown_causes += 1
        return
    hop = stats.hops.setdefault((_name(reader, cause), _name(reader, record)), Hop())
    hop.count += 1
    hop.records.add(record.seq - cause.seq - 1)
    hop.ns.add(max(0, record.ts - cause.ts))


def _name(reader: LogReader, record: Record) -> str:
    return f"{reader.source_name(record.source)} {reader.type_name(record.type_id)}"


def _pause(stats: LogStats, reader: LogReader, record: Record, last_data: dict[int, int]) -> None:
    before = last_data.get(record.source, record.ts)
    last_data[record.source] = record.ts
    pause = stats.pauses.setdefault(reader.source_name(record.source), Pause())
    if record.ts - before > pause.ns:
        pause.ns, pause.start_ts = record.ts - before, before


def _refusal(stats: LogStats, reader: LogReader, record: Record) -> None:
    if record.type_id not in MESSAGE_TYPES:
        return
    try:
        message = reader.message(record)
    except DecodeError:
        return
    if isinstance(message, OrderStatus):
        if message.state == OrderState.REJECTED and message.previous != message.state:
            stats.refusals["order rejected", message.code] += 1
        elif message.previous == message.state:
            stats.refusals["transition refused", message.code] += 1
    elif isinstance(message, BrokerReport) and message.report in _REFUSALS:
        stats.refusals[f"broker {message.report}", message.code] += 1
    elif isinstance(message, EdgeReport) and message.event in _EDGE_REFUSALS:
        stats.refusals[f"edge {message.event}", message.component] += 1
