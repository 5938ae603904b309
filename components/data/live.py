"""The live data edge: plays a recording at its own pace, or reads a TCP line feed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from bus.errors import DataError
from bus.runtime.clock import Clock
from bus.runtime.component import Emit, Source
from bus.runtime.policies import Policy, PolicySettings, RetrySettings
from bus.runtime.settings import RunContext
from components.data.file_format import zone_of
from components.data.historical import HistoricalDataHandler, HistoricalDataParameters
from components.data.live_feed import Address, Feed, Limits
from components.data.live_lines import LineReader
from schemas import Bar, EdgeEvent, EdgeReport, Message, Quote, StreamEnding, Trade

_ts = attrgetter("ts")
logger = logging.getLogger("admf.live")


class FeedPolicies(PolicySettings):
    """As of every edge; a feed is connected again and again unless `retry.attempts` says how often.

    `fallback` are addresses of other feeds, or a recorded file as the last, which are used in turn when one fails.
    """

    retry: RetrySettings = RetrySettings(attempts=None)
    fallback: tuple[str, ...] = ()


class LiveMarketDataParameters(HistoricalDataParameters):
    """A recording at `path`, or a feed at `feed` (`tcp://127.0.0.1:9000`).

    `speed` is how many times faster than it happened a recording is played: gaps between its timestamps are divided by
    it. 0 means as fast as the run follows: each bar waits until the one before has settled. A feed is connected within
    `connect_timeout_s`; one that is silent for `idle_timeout_s` (null: however long) counts as broken. Lines longer
    than `max_line_bytes` are refused.
    """

    feed: str | None = None
    speed: float = Field(default=1.0, ge=0)
    connect_timeout_s: float = Field(default=5.0, gt=0, le=3_600)
    idle_timeout_s: float | None = Field(default=None, gt=0)
    max_line_bytes: int = Field(default=65_536, ge=64)
    policies: FeedPolicies = FeedPolicies()

    @field_validator("feed")
    @classmethod
    def _feed_is_an_address(cls, feed: str | None) -> str | None:
        if feed is not None:
            Address.of(feed)
        return feed

    @model_validator(mode="after")
    def _one_of_both(self) -> LiveMarketDataParameters:
        if self.feed is not None and self.path is not None:
            raise ValueError("both path and feed are given; data come from one of them")
        for text in self.policies.fallback[:-1]:
            Address.of(text)
        if self.policies.fallback and self.feed is None:
            raise ValueError("policies.fallback is for a feed; a recording has none")
        return self


class LiveMarketDataHandler(HistoricalDataHandler):
    """Streams bars, quotes and trades with the time that their venue gave them; the hub stamps when they came.

    What a feed sends that is no message is refused, counted and reported (`EdgeReport`), and does no harm.
    """

    Parameters = LiveMarketDataParameters
    emits: ClassVar[tuple[type[Message], ...]] = (Bar, Quote, Trade, StreamEnding, EdgeReport)
    parameters: LiveMarketDataParameters

    def initialize(self, context: RunContext, emit: Emit, clock: Clock) -> None:
        """Read and check a recording; a feed is connected when the stream begins.

        Raises:
            DataError: as for historical data.
        """
        self._ended = threading.Event()
        self.wait = self._ended.wait
        self.monotonic = time.monotonic
        if self.parameters.feed is None:
            super().initialize(context, emit, clock)
        else:
            Source.initialize(self, context, emit, clock)

    def faults(self, context: RunContext) -> Sequence[str]:
        """A path that leads nowhere, when there is no feed; a backtest, which does not wait for anything."""
        if not context.is_live:
            return ["class: LiveMarketDataHandler is for LIVE_TRADING and PAPER_TRADING; use HistoricalDataHandler"]
        if self.parameters.feed is None:
            return super().faults(context)
        files = [text for text in self.parameters.policies.fallback if "://" not in text]
        return [
            f"policies.fallback: there is no file {text}"
            for text in files
            if not any(candidate.exists() for candidate in (context.base_dir / text, Path(text)))
        ]

    @property
    def follows_run(self) -> bool:  # type: ignore[override]
        """Only a recording that is to be played as fast as the run follows waits for it."""
        return self.is_recording and self.parameters.speed == 0

    @property
    def is_recording(self) -> bool:
        """Whether what it streams has happened already."""
        return self.parameters.feed is None

    @property
    def total(self) -> int:
        """How many bars a recording has; 0 for a feed."""
        return super().total if self.is_recording else 0

    def end(self) -> None:
        """End the stream, whatever it waits for."""
        self._ended.set()

    def blocks(self) -> Iterator[list[Message]]:
        """What there is, when it is time for it."""
        if self.parameters.feed is None:
            yield from self._paced(super().blocks())
        else:
            yield from self._feeds(self.parameters.feed)

    def _paced(self, blocks: Iterator[list[Message]]) -> Iterator[list[Message]]:
        speed = self.parameters.speed
        if not speed:
            yield from blocks
            return
        begun, first = self.monotonic(), None
        for ts, group in groupby((message for block in blocks for message in block), _ts):
            first = ts if first is None else first
            due = begun + (ts - first) / 1e9 / speed
            while (left := due - self.monotonic()) > 0:
                # In steps: an event cannot wait for longer than a few thousand years, nor float hold it.
                if self.wait(min(left, 3600.0)):
                    return
            yield list(group)

    def _feeds(self, first: str) -> Iterator[list[Message]]:
        """From the feed; when it fails for good from the next fallback, and so on."""
        texts = (first, *self.parameters.policies.fallback)
        for number, text in enumerate(texts):
            if number:
                self._report(EdgeEvent.FALLBACK, text, "goes on from here")
            try:
                yield from self._feed(Address.of(text)) if "://" in text else self._recorded(text)
            except OSError as error:
                self._report(EdgeEvent.FAILED, text, str(error))
            else:
                return
            if self._ended.is_set():
                return
        raise DataError(f"no feed is left: {', '.join(texts)} failed")

    def _feed(self, address: Address) -> Iterator[list[Message]]:
        parameters, policies = self.parameters, self.parameters.policies
        reader = LineReader(
            parameters.symbols or self.context.run.symbols,
            parameters.timestamp_unit,
            zone_of(parameters.timezone),
            parameters.allow_nonpositive_prices,
        )
        limits = Limits(parameters.connect_timeout_s, parameters.idle_timeout_s, parameters.max_line_bytes)
        over = self._ended.is_set
        feed = Feed(address, limits, reader, self._report, self.wait, self.monotonic, over)

        def report(event: EdgeEvent, reason: str) -> None:
            self._report(event, str(address), reason)

        policy = Policy(str(address), policies, (OSError,), report, self.wait, over)
        breaker = policies.circuit_breaker
        return feed.blocks(policy, policies.retry, breaker.reset_after_s if breaker else 0.0)

    def _recorded(self, path: str) -> Iterator[list[Message]]:
        """The fallback that is a file."""
        own = self.parameters.model_dump(exclude_unset=True, exclude={"feed", "policies", "path"})
        recording = LiveMarketDataHandler(self.name, {**own, "path": path})
        recording.initialize(self.context, self.emit, self.clock)
        recording.wait, recording.monotonic = self.wait, self.monotonic
        return recording.blocks()

    def _report(self, event: EdgeEvent, subject: str, reason: str, count: int = 1) -> None:
        """A record, and a line of diagnostics: what happens at an edge is never passed over in silence."""
        logger.warning("%s: %s %s%s", self.name, subject, event.lower().replace("_", " "), reason and f": {reason}")
        self.publish(EdgeReport(self.name, event, subject, reason, count))
