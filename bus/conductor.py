"""The course of a deterministic run, the same for every placement.

Declarations and `RunStarted` come first. Data enters when the coordinator has asked for it (`StartStream`), one
record at a time, merged over all sources by time; each is settled, with everything that follows from it, before
the next one enters. When all sources have ended the hub says `Drained` as often as the coordinator needs it to
finish, and the run ends with its `RunCompleted`. Timers fire before the first message that is later than they are set
for.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from bus.errors import ProtocolError
from bus.runtime.block import part_of
from bus.runtime.component import Handler
from bus.sequencer import HUB
from bus.timers import TimerQueue, sets_timers
from bus.topics import Wiring
from schemas import (
    Checkpoint,
    Drained,
    EndOfStream,
    Message,
    RunCompleted,
    RunStarted,
    StartStream,
)

MAX_ROUNDS = 8
"""How often the hub says Drained before it concludes that the coordinator will never finish."""

CHECKPOINT_EVERY = 32_768
"""External messages between two of the hub's checkpoints."""

_BLOCK = 1024

Progress = Callable[[int, int], None]
"""Called between blocks with the number of external messages so far and how many there will be (0: not known). It may
raise to end the run: at that point everything published is settled and in the log."""


Recorded = Callable[[], Iterator[tuple[str, int, Message]]]
"""Messages from outside that were recorded: name of the source, time of the record (ns UTC), message; in order."""


class Bus(Protocol):
    """What the conductor needs of a transport."""

    timers: TimerQueue
    """The timers that components have set; whoever conducts the run lets them fire."""

    @property
    def counts(self) -> dict[int, int]:
        """Records so far by type id."""

    def tap(self, message_type: type[Message], handler: Handler) -> None:
        """Call `handler` with every message of a type."""

    def declare(self, messages: Iterable[Message]) -> None:
        """Sequence messages of the hub that no component takes."""

    def publish(self, source: int, ts: int, message: Message) -> None:
        """Sequence a message from outside and settle all that follows from it."""

    def feed(self, source: int, block: list[Message]) -> None:
        """Publish each market data message of a block at its own `ts`."""

    def stream(self, source: int) -> Iterator[list[Message]]:
        """A source's stream, in blocks."""

    def total(self, source: int) -> int:
        """How many messages that stream will have, 0 when that is not known."""


@dataclass
class Conductor:
    """Takes a run from its first record to its last. `recorded`, where given, stands for the sources' own streams."""

    bus: Bus
    wiring: Wiring
    run_started: RunStarted
    progress: Progress | None = None
    recorded: Recorded | None = None
    _started: list[str] = field(default_factory=list)
    _streaming: bool = False
    _ts: int = 0
    """Time of the last message from outside, or timer, in a run that has timers."""
    _completed: list[RunCompleted] = field(default_factory=list)

    def run(self) -> RunCompleted:
        """Run to the end.

        Raises:
            ComponentError: a component failed.
            ProtocolError: the coordinator asks for a source that is not there, or never completes the run.
        """
        self.bus.tap(StartStream, self._on_start_stream)
        self.bus.tap(RunCompleted, self._completed.append)
        self.bus.declare(self.wiring.declarations())
        self.bus.publish(HUB, 0, self.run_started)
        last_ts = self._stream() if self.recorded is None else self._stream_recorded(self.recorded())
        for round_number in range(1, MAX_ROUNDS + 1):
            self.bus.publish(HUB, last_ts, Drained(round_number))
            if self._completed:
                return self._completed[0]
        raise ProtocolError(
            f"all streams have ended and nothing is under way, but after {MAX_ROUNDS} rounds of Drained no component "
            "has published RunCompleted: does the topology have a coordinator?"
        )

    def _stream(self) -> int:
        sources = self._started_sources()
        self._streaming = True
        sent = dict.fromkeys(sources, 0)
        last_ts = count = 0
        has_timers = any(sets_timers(member.component) for member in self.wiring.members)
        feed = self._feed_with_timers if has_timers else self.bus.feed
        blocks = merged({source: self.bus.stream(source) for source in sources})
        for source, block in between_checkpoints(blocks):
            feed(source, block)
            count += len(block)
            sent[source] += len(block)
            last_ts = block[-1].ts  # type: ignore[attr-defined]
            if count % CHECKPOINT_EVERY == 0:
                self.bus.publish(HUB, last_ts, Checkpoint(count))
            if self.progress is not None:
                totals = [self.bus.total(source) for source in sources]
                self.progress(count, sum(totals) if all(totals) else 0)
        for source, name in sources.items():
            self.bus.publish(source, last_ts, EndOfStream(name, sent[source]))
        return last_ts

    def _stream_recorded(self, messages: Iterator[tuple[str, int, Message]]) -> int:
        """Publish what was recorded, each at its recorded time; and the end of streams that were broken off."""
        ids = self._source_ids()
        sent = dict.fromkeys(ids, 0)
        open_streams, last_ts = set(ids), 0
        for total, (name, ts, message) in enumerate(messages, 1):
            self._fire_timers(ts)
            self.bus.publish(ids[name], ts, message)
            self._ts = last_ts = ts
            sent[name] += 1
            if isinstance(message, EndOfStream):
                open_streams.discard(name)
            if self.progress is not None and total % _BLOCK == 0:
                self.progress(total, 0)
        for name in sorted(open_streams & set(self._started)):
            self.bus.publish(ids[name], last_ts, EndOfStream(name, sent[name]))
        return last_ts

    def _fire_timers(self, before: int) -> None:
        for fired in self.bus.timers.due(before):
            # One that was set for a time which had passed already fires late, never back in time.
            self._ts = max(self._ts, fired.ts)
            self.bus.publish(HUB, self._ts, fired)

    def _feed_with_timers(self, source: int, block: list[Message]) -> None:
        """Publish messages one by one, and before each the timers that are due before it."""
        for message in block:
            ts: int = message.ts  # type: ignore[attr-defined]
            self._fire_timers(ts)
            self._ts = ts
            self.bus.feed(source, [message])

    def _on_start_stream(self, message: StartStream) -> None:
        if self._streaming:
            raise ProtocolError(
                f"StartStream for {message.source!r} came after the streams had begun: it would not be heard. "
                "All sources of a run start together, before the first data"
            )
        self._started.append(message.source)

    def _source_ids(self) -> dict[str, int]:
        members = self.wiring.members
        return {m.component.name: m.source_id for m in members if m.component.component_type == "data_handler"}

    def _started_sources(self) -> dict[int, str]:
        ids = self._source_ids()
        unknown = [name for name in self._started if name not in ids]
        if unknown:
            raise ProtocolError(f"StartStream names {unknown[0]!r}; the data sources of this run are {sorted(ids)}")
        return dict(sorted((ids[name], name) for name in dict.fromkeys(self._started)))


Blocks = Iterator[tuple[int, list[Message]]]


def between_checkpoints(blocks: Blocks) -> Blocks:
    """The blocks, cut where checkpoints come, so that these do not depend on the size of blocks."""
    room = CHECKPOINT_EVERY
    for source, block in blocks:
        while len(block) > room:
            yield source, part_of(block, 0, room)
            block, room = part_of(block, room, len(block)), CHECKPOINT_EVERY
        yield source, block
        room = room - len(block) or CHECKPOINT_EVERY


def merged(streams: dict[int, Iterator[list[Message]]]) -> Blocks:
    """Blocks of all streams in order of time; at equal times in order of source id."""
    if len(streams) == 1:
        ((source, blocks),) = streams.items()
        for block in blocks:
            if block:
                yield source, block
        return
    keyed = [_keyed(source, blocks) for source, blocks in sorted(streams.items())]
    for source, group in itertools.groupby(heapq.merge(*keyed, key=_time_then_source), key=_source):
        while block := [message for _, _, message in itertools.islice(group, _BLOCK)]:
            yield source, block


_Keyed = tuple[int, int, Message]


def _keyed(source: int, blocks: Iterator[list[Message]]) -> Iterator[_Keyed]:
    for block in blocks:
        for message in block:
            yield message.ts, source, message  # type: ignore[attr-defined]


def _time_then_source(item: _Keyed) -> tuple[int, int]:
    return item[0], item[1]


def _source(item: _Keyed) -> int:
    return item[1]
