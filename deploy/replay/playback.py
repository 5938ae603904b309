"""Plays a log for somebody who watches: at the pace of its own times, or faster, or step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from bus.log_reader import LogReader
from bus.record import Record
from deploy.log_tools import Filter

_NS_PER_S: Final = 1_000_000_000
_FASTEST, _SLOWEST = 1e12, 1e-6

KEYS: Final = "space pauses and resumes, s or right arrow steps, + and - change the speed, q quits"


class PlaybackClock(Protocol):
    """The one place where a player meets time and keys."""

    def now(self) -> float:
        """Seconds since some moment."""

    def wait(self, until: float | None) -> str | None:
        """Wait until a moment (None: for ever) or a key. The key, or None when the moment has come.

        Raises:
            EOFError: it would wait for a key for ever, and no key can come.
        """


class PlaybackStopped(Exception):
    """The playback ended before the log did; `seq` is the last record that was played."""

    def __init__(self, seq: int, why: str) -> None:
        self.seq = seq
        self.why = why
        super().__init__(f"stopped after seq {seq}: {why}")


class EndReached(PlaybackStopped):
    """It ended where it was asked to."""


@dataclass(frozen=True)
class Point:
    """A place in a log, by seq or by time (ns UTC)."""

    seq: int | None = None
    ts: int | None = None

    def is_reached(self, record: Record) -> bool:
        """Whether the record stands there or later."""
        return record.seq >= self.seq if self.seq is not None else record.ts >= (self.ts or 0)

    def is_passed(self, record: Record) -> bool:
        """Whether the record stands later."""
        return record.seq > self.seq if self.seq is not None else record.ts > (self.ts or 0)


@dataclass
class Player:
    """Plays the records of a log, in the order of seq, and shows those that `wanted` accepts.

    `speed` is in seconds of the log a second, 0 for as fast as possible. Records before `start` are handed on at
    once and not shown: components that are fed need them. `say` is told what the keys did.
    """

    clock: PlaybackClock
    show: Callable[[LogReader, Record], None]
    speed: float = 1.0
    wanted: Filter = field(default_factory=Filter)
    start: Point | None = None
    end: Point | None = None
    pause_at: Sequence[Point] = ()
    paused: bool = False
    say: Callable[[str], None] = lambda _text: None
    played: int = 0
    _anchor: tuple[float, int] | None = None
    """A moment, and the log's time at it, while nothing changes the pace."""
    _pauses: list[Point] = field(default_factory=list)

    def play(self, reader: LogReader) -> Iterator[Sequence[Record]]:
        """The records, each when its time has come; those before the start in lists as they are read.

        Raises:
            EndReached: at `end`.
            PlaybackStopped: somebody quits.
            LogError: the log is damaged.
        """
        self._anchor, self._pauses = None, list(self.pause_at)
        start = self.start
        for batch in reader.batches():
            first = _first(batch, start)
            if first:
                yield batch[:first]
            start = start if first == len(batch) else None
            for record in batch[first:]:
                if self.end is not None and self.end.is_passed(record):
                    raise EndReached(record.seq - 1, "the end that was asked for")
                if self.wanted.accepts(reader, record):
                    self._await(record)
                    self.show(reader, record)
                    self.played += 1
                yield (record,)

    def _await(self, record: Record) -> None:
        """Wait until the record is due, and do what keys say meanwhile."""
        if any(point.is_reached(record) for point in self._pauses):
            self._pauses = [point for point in self._pauses if not point.is_reached(record)]
            self._pause(record)
        while True:
            key = self.clock.wait(None if self.paused else self._due(record))
            if key is None or (key == "s" and self.paused):
                return
            self._on_key(key, record)

    def _due(self, record: Record) -> float:
        now = self.clock.now()
        if not self.speed or not record.ts:
            return now
        if self._anchor is None:
            self._anchor = now, record.ts
        moment, ts = self._anchor
        return moment + (record.ts - ts) / _NS_PER_S / self.speed

    def _on_key(self, key: str, record: Record) -> None:
        if key == "q":
            raise PlaybackStopped(record.seq - 1, "somebody quit")
        if key == " " and not self.paused:
            self._pause(record)
        elif key == " ":
            self.paused, self._anchor = False, None
            self.say("playing")
        elif key in ("+", "=", "-") and self.speed:
            self._change_speed(2.0 if key != "-" else 0.5, record)
        else:
            self.say(KEYS)

    def _pause(self, record: Record) -> None:
        self.paused, self._anchor = True, None
        self.say(f"paused before seq {record.seq}: {KEYS}")

    def _change_speed(self, factor: float, record: Record) -> None:
        """Another pace from this moment on: what of the wait is over is over."""
        now = self.clock.now()
        if self._anchor is not None and not self.paused:
            moment, ts = self._anchor
            self._anchor = now, min(record.ts, ts + int((now - moment) * self.speed * _NS_PER_S))
        self.speed = min(_FASTEST, max(_SLOWEST, self.speed * factor))
        self.say(f"speed {self.speed:g}x")


def _first(batch: Sequence[Record], start: Point | None) -> int:
    """The number of the first record to be shown, or how many there are when none is."""
    if start is None:
        return 0
    return next((number for number, record in enumerate(batch) if start.is_reached(record)), len(batch))
