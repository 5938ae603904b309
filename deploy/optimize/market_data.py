"""Market data that all trials share: read and checked once, kept as Arrow, mapped read-only by every worker."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bus.errors import DataError
from bus.runtime.clock import Clock
from bus.runtime.component import Emit, Source
from bus.runtime.settings import RunContext
from components.data.file_format import VALUE_COLUMNS, FileFormat
from components.data.files import Request, load
from components.data.historical import HistoricalDataHandler
from components.data.table import Floats, Ints
from deploy.optimize.extras import need
from deploy.plan import Entry, Plan


@dataclass(frozen=True)
class SharedData:
    """Where the bars of one data handler lie, and for which reading of which file they stand.

    `component` is the handler's name, `source` the market data file, `request` what was read of it.
    """

    component: str
    source: Path
    file_format: FileFormat
    request: Request
    arrow: Path
    content_hash: str = ""

    def serves(self, source: Path, file_format: FileFormat, request: Request) -> bool:
        """Whether the bars of `request` are among these, and the workers can see the file."""
        return (
            (source, file_format, set(request.symbols)) == (self.source, self.file_format, set(self.request.symbols))
            and _is_inside(request, self.request)
            and self.arrow.exists()
        )


def _is_inside(inner: Request, outer: Request) -> bool:
    starts = outer.start_ns is None or (inner.start_ns is not None and inner.start_ns >= outer.start_ns)
    ends = outer.end_ns is None or (inner.end_ns is not None and inner.end_ns <= outer.end_ns)
    return starts and ends


@dataclass(frozen=True)
class MappedBars:
    """Bars in order of (time, symbol); every column is a view of the mapped file, nothing is copied."""

    symbols: tuple[str, ...]
    ts: Ints
    code: Ints
    values: tuple[Floats, ...] = field(repr=False)

    def between(self, request: Request) -> MappedBars:
        """The bars from `start_ns` (inclusive) to `end_ns` (exclusive)."""
        start = 0 if request.start_ns is None else int(np.searchsorted(self.ts, request.start_ns))
        end = len(self.ts) if request.end_ns is None else int(np.searchsorted(self.ts, request.end_ns))
        inside = slice(start, end)
        return MappedBars(self.symbols, self.ts[inside], self.code[inside], tuple(v[inside] for v in self.values))

    @property
    def has_all_symbols(self) -> bool:
        """Whether no symbol is without a bar."""
        return len(np.unique(self.code)) == len(self.symbols)


class MappedDataHandler(HistoricalDataHandler):
    """Streams the very bars that `HistoricalDataHandler` would read, from shared memory.

    It stands in for one in the workers of a search. What it cannot serve (other symbols, another file, days without
    bars) it leaves to its base class, whose errors are the same in a trial and in a run by hand.
    """

    shared: SharedData

    # The log declares each source with its class. It is to say what a run by hand says: so do the digests.
    __module__ = HistoricalDataHandler.__module__
    __qualname__ = HistoricalDataHandler.__qualname__

    def initialize(self, context: RunContext, emit: Emit, clock: Clock) -> None:
        """Map the bars, or read them as the base class does.

        Raises:
            DataError: as the base class.
        """
        request = self._request(context)
        mapped = None
        if self.shared.serves(self._path(context).resolve(), self.parameters.file_format, request):
            mapped = map_bars(self.shared.arrow).between(request)
        if mapped is None or not mapped.has_all_symbols or not len(mapped.ts):
            super().initialize(context, emit, clock)
            return
        Source.initialize(self, context, emit, clock)
        self._bars: Any = mapped


def share(plan: Plan, folder: Path) -> list[SharedData]:
    """Read the market data of every historical data handler of a plan once, each into an Arrow file in `folder`.

    Raises:
        DataError: what a run would raise for the same data.
        ConfigError: pyarrow is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_share(entry, plan, folder) for entry in plan.entries if type(entry.component) is HistoricalDataHandler]


def _share(entry: Entry, plan: Plan, folder: Path) -> SharedData:
    handler: Any = entry.component
    request = handler._request(plan.context)  # noqa: SLF001 (the handler's own reading of the run)
    source = handler._path(plan.context).resolve()  # noqa: SLF001
    bars = load(source, handler.parameters.file_format, request)
    target = folder / f"{entry.name}.arrow"
    digest = _write(target, bars.symbols, bars.ts, bars.code, bars.values)
    return SharedData(entry.name, source, handler.parameters.file_format, request, target.resolve(), digest)


def _write(path: Path, symbols: Sequence[str], ts: Ints, code: Any, values: Floats) -> str:
    """Write in one step, because workers of an earlier start may still have the old file mapped."""
    arrow = need("pyarrow", "optimize", "admf optimize")
    columns = {"ts": ts, "code": code.astype(np.int64), **dict(zip(VALUE_COLUMNS, values, strict=True))}
    digest = hashlib.blake2b("\n".join(symbols).encode(), digest_size=16)
    for column in columns.values():
        digest.update(np.ascontiguousarray(column).tobytes())
    schema = arrow.schema(
        [(name, arrow.int64() if name in ("ts", "code") else arrow.float64()) for name in columns],
        metadata={f"symbol {i}": symbol for i, symbol in enumerate(symbols)},
    )
    batch = arrow.record_batch(list(columns.values()), schema=schema)
    temporary = path.with_suffix(".tmp")
    with arrow.OSFile(str(temporary), "wb") as sink, arrow.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch)
    temporary.replace(path)
    return digest.hexdigest()


@lru_cache(maxsize=8)
def map_bars(path: Path) -> MappedBars:
    """The bars of an Arrow file, mapped once in a process.

    Raises:
        DataError: it is not whole.
    """
    arrow = need("pyarrow", "optimize", "admf optimize")
    try:
        table = arrow.ipc.open_file(arrow.memory_map(str(path))).get_batch(0)
    except arrow.ArrowInvalid as error:
        raise DataError(f"{path}: not an Arrow file of ours: {error}") from None
    metadata = table.schema.metadata
    symbols = tuple(metadata[f"symbol {i}".encode()].decode() for i in range(len(metadata)))
    columns = {name: table.column(name).to_numpy(zero_copy_only=True) for name in table.schema.names}
    return MappedBars(symbols, columns["ts"], columns["code"], tuple(columns[name] for name in VALUE_COLUMNS))


def with_shared_data(plan: Plan, shared: Sequence[SharedData]) -> Plan:
    """The plan with its data handlers reading the shared bars; it says and does the same, digest included."""
    by_name = {data.component: data for data in shared}
    entries = tuple(_replaced(entry, by_name.get(entry.name)) for entry in plan.entries)
    return replace(plan, entries=entries)


def _replaced(entry: Entry, shared: SharedData | None) -> Entry:
    if shared is None or type(entry.component) is not HistoricalDataHandler:
        return entry
    component = MappedDataHandler(entry.name, entry.parameters)
    component.shared = shared
    return replace(entry, component=component)


def first_and_last_ns(shared: Sequence[SharedData]) -> tuple[int, int] | None:
    """The range of time of all shared bars, or None without any."""
    bars = [map_bars(data.arrow) for data in shared]
    return (min(int(b.ts[0]) for b in bars), max(int(b.ts[-1]) for b in bars)) if bars else None
