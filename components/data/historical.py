"""Market data from files, as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from bus.errors import DataError
from bus.runtime.block import Block
from bus.runtime.clock import Clock
from bus.runtime.component import Emit, Parameters, Source
from bus.runtime.settings import RunContext
from components.data.file_format import VALUE_COLUMNS, Column, FileFormat, TimeUnit, interval_ns, zone_of
from schemas import Bar, CloseRule, Message, StreamEnding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.data.files import Bars, Request

# numpy is imported only when data are read: every process of a run looks at this class, one of them reads.


class HistoricalDataParameters(Parameters):
    """Where the data are and how they are to be read.

    `path` is a CSV or Parquet file, or a folder with one for each symbol; a relative one is looked up beside the
    topology file, then in the working directory. `symbols` overrides the run's. `interval` is a bar's length ("1m",
    "1d"; a day is 24 hours) when the file's timestamps say when bars open. See `FileFormat` for the rest.
    """

    path: Path | None = None
    columns: dict[Column, str] = Field(default_factory=dict)
    timestamp_is: Literal["close", "open"] = "close"
    interval: str | None = None
    timestamp_unit: TimeUnit = "auto"
    timezone: str = "UTC"
    symbols: tuple[str, ...] = ()
    block_size: int = Field(default=2048, ge=1)
    allow_nonpositive_prices: bool = False

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            zone_of(name)
        except DataError as error:
            raise ValueError(str(error)) from error
        return name

    @field_validator("interval")
    @classmethod
    def _interval_is_one(cls, text: str | None) -> str | None:
        if text is not None:
            interval_ns(text)
        return text

    @model_validator(mode="after")
    def _interval_goes_with_open(self) -> HistoricalDataParameters:
        if self.timestamp_is == "open" and self.interval is None:
            raise ValueError("timestamp_is: open needs interval, the length of a bar, such as interval: 1d")
        if self.timestamp_is == "close" and self.interval is not None:
            raise ValueError("interval is for timestamp_is: open; timestamps that say when a bar closes need none")
        return self

    @property
    def shift_ns(self) -> int:
        """What is added to the file's timestamp to get the time at which the bar closes."""
        return 0 if self.interval is None else interval_ns(self.interval)

    @property
    def file_format(self) -> FileFormat:
        """What the file does not say of itself."""
        return FileFormat(self.columns, self.timestamp_unit, self.timezone, self.allow_nonpositive_prices)


class HistoricalDataHandler(Source):
    """Streams bars from CSV or Parquet files in order of (time, symbol).

    All data are read and checked in `initialize`: what is wrong with them is known before the run begins. The
    run's dates are compared with the timestamps that the file has. When positions are to be closed at the next
    open, `StreamEnding` comes just before the bars of the last timestamp.
    """

    component_type = "data_handler"
    Parameters = HistoricalDataParameters
    emits: ClassVar[tuple[type[Message], ...]] = (Bar, StreamEnding)

    parameters: HistoricalDataParameters

    def initialize(self, context: RunContext, emit: Emit, clock: Clock) -> None:
        """Read and check the data.

        Raises:
            DataError: no path, no such file, a fault in it, or symbols or dates that it does not have.
        """
        super().initialize(context, emit, clock)
        from components.data.files import load

        request = self._request(context)
        self._bars: Bars = load(self._path(context), self.parameters.file_format, request)

    def faults(self, context: RunContext) -> Sequence[str]:
        """A path that is not given, or leads nowhere. The data themselves are read when the run starts."""
        try:
            self._path(context)
        except DataError as error:
            return [f"path: {error}"]
        return ()

    @property
    def total(self) -> int:
        """How many bars the stream has."""
        return len(self._bars.ts)

    def blocks(self) -> Iterator[list[Message]]:
        """The bars in blocks of at most `block_size`."""
        from components.data.files import texts_of

        ts, texts = self._bars.ts, texts_of(self._bars.symbols)
        size = self.parameters.block_size
        last_from = self._first_of_last_timestamp()
        for start in range(0, len(ts), size):
            block = self._block(start, start + size, texts)
            if start <= last_from < start + size:
                yield block.part(0, last_from - start)
                yield [StreamEnding(self.name, int(ts[-1]) + self.parameters.shift_ns)]
                block = block.part(last_from - start, len(block))
            yield block

    def _block(self, start: int, end: int, texts: NDArray[np.void] | None) -> Block:
        bars, names = self._bars, self._bars.symbols
        arrays: dict[str, NDArray[Any]] = {"ts": bars.ts[start:end] + self.parameters.shift_ns}
        arrays |= {name: row[start:end] for name, row in zip(VALUE_COLUMNS, bars.values, strict=True)}
        columns = {name: column.tolist() for name, column in arrays.items()}
        ts, *values = columns.values()
        if len(names) == 1:
            return Block(map(Bar, ts, repeat(names[0]), *values), columns, {"symbol": names[0]}, arrays)
        codes = bars.code[start:end]
        messages = map(Bar, ts, map(names.__getitem__, codes.tolist()), *values)
        if texts is not None:
            arrays["symbol"] = texts[codes]
        return Block(messages, columns, arrays=arrays)

    def _first_of_last_timestamp(self) -> int:
        if self.context.run.close_at_end is not CloseRule.NEXT_OPEN:
            return -1
        ts = self._bars.ts
        return int(ts.searchsorted(ts[-1]))

    def _request(self, context: RunContext) -> Request:
        from components.data.files import Request

        run = context.run
        return Request(self.parameters.symbols or run.symbols, run.start_ns, run.end_ns)

    def _path(self, context: RunContext) -> Path:
        path = self.parameters.path
        if path is None:
            request = self._request(context)
            raise DataError(
                f"no path is given: bars of {', '.join(request.symbols) or 'all symbols'} {request.dates()} are "
                "missing; give a CSV or Parquet file, or a folder with one for each symbol, by "
                f"`--set components.{self.name}.path=FILE`, by `path:` under components.{self.name} in the topology "
                "file, or by the environment variable ADMF_DATA"
            )
        path = path.expanduser()
        candidates = list(dict.fromkeys([context.base_dir / path, path]))
        for candidate in candidates:
            if candidate.exists():
                return candidate
        raise DataError(f"there is no file or folder {' or '.join(map(str, candidates))}")
