"""The replay bus: a captured log goes again through the real components, and every output is compared with the record.

The log says everything: what was published, in which order, at what time, and in answer to what. So the bus reads it
in the order of seq and hands every record to the components as it was recorded; what a re-executed component answers
must be what the log holds of it: the same cause, type and payload, one after another. What a component emits follows
from what it was handed and in which order, and both are the log's: it does not matter where the components ran when
the log was written, nor where they run now, nor whether the run waited for answers (backtests) or not (live).

A wave may hold many records, because what is handed out is the record and never the answer: the first difference in the
order of the log is the first that there is. Where a log's order is that of one FIFO queue (backtests), every answer
has its one place in it, so one that the log lacks is noticed at the next record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bus.errors import ComponentError, LogError
from bus.record import Record, encode_record
from bus.runtime.runner import Output
from bus.wave import Link, Sequenced
from schemas import ComponentFailed, Halt
from schemas.codec import DecodeError, decode, encode
from schemas.registry import TYPE_IDS

FINISH_EVERY: Final = 64
"""Waves after which all hosts are waited for: a link may keep what it sent until then."""
WAVE: Final = 1024
"""Records in a wave. A component that raises is found record by record, see `Finer`."""
_COMPONENT_FAILED: Final = TYPE_IDS[ComponentFailed]
_ENDS_EARLY: Final = frozenset({_COMPONENT_FAILED, TYPE_IDS[Halt]})


class Kind(StrEnum):
    """In which way re-execution and log part."""

    DIFFERENT = "different"
    """The component answered, and otherwise than the log says."""
    MISSING = "missing"
    """The log holds an answer that the component did not give."""
    ADDITIONAL = "additional"
    """The component gave an answer that the log does not hold."""
    FAILED = "failed"
    """The component raised where the log holds no failure."""


@dataclass(frozen=True)
class Mismatch:
    """The first difference. `seq` is its place in the log: that of `recorded`, or where `executed` should stand."""

    kind: Kind
    seq: int
    source: int
    recorded: Record | None
    executed: Output | None
    error: str = ""


class Finer(Exception):
    """A component raised within a wave of many: replay again, from seq `start` on one record at a time."""

    def __init__(self, start: int) -> None:
        self.start = start
        super().__init__(start)


Same = Callable[[Record, Output], bool]
"""Whether an output says the same as a record of the same type."""


def same_bytes(record: Record, output: Output) -> bool:
    """Whether the payloads are equal, byte for byte."""
    return record.payload == payload_of(output)


def payload_of(output: Output) -> bytes:
    """The payload of an output, wherever it comes from."""
    if output.payload is not None:
        return output.payload
    assert output.message is not None
    return encode(output.message)


@dataclass
class ReplayBus:
    """Replays over links whose hosts hold the re-executed components.

    `executed` maps the source ids of these, as the log has them, to their names; all else is taken from the log.
    `takes` are the ids of the types that any of them takes. `in_order`: the log's order is that of one FIFO queue.
    `on_wire`: some link needs a record's bytes. From `fine_from` on a wave has one record.
    """

    links: Sequence[Link]
    executed: Mapping[int, str]
    takes: frozenset[int]
    in_order: bool = True
    on_wire: bool = False
    same: Same = same_bytes
    fine_from: int = 2**64
    compared: int = 0
    """Outputs that were found equal to their records."""
    failure: ComponentError | None = None
    """What a re-executed component raised, at the record `failed_at`; nothing is handed out from there on."""
    failed_at: int = 0
    recorded_failure: ComponentFailed | None = None
    _queues: dict[int, deque[Output]] = field(default_factory=dict)
    """What was answered and not yet met in the log; one queue for all where the log is in order."""
    _last: Record | None = None
    _waves_sent: int = 0

    def __post_init__(self) -> None:
        common: deque[Output] = deque()
        self._queues = {source: common if self.in_order else deque() for source in self.executed}

    def run(self, batches: Iterable[Sequence[Record]], is_closed: Callable[[], bool]) -> Mismatch | None:
        """Replay to the end, or to the first difference, which is returned.

        `is_closed` is asked at the end whether the log goes to the run's end: what one that breaks off lacks is no
        difference.

        Raises:
            Finer: see there.
            LogError: a record's payload does not fit its type.
            ProtocolError: a host broke the rules.
        """
        for batch in batches:
            for wave in self._waves(batch):
                mismatch = self.step(wave)
                if mismatch is not None:
                    return mismatch
        for link in self.links:
            if self.failure is None:
                link.finish()
        return self._at_the_end(is_closed())

    def step(self, wave: Sequence[Record]) -> Mismatch | None:
        """Hand out some records, and compare them with what was answered so far.

        Raises:
            Finer, LogError: see `run`.
        """
        self._last = wave[-1]
        try:
            if self.failure is None:
                self._serve(wave)
            if self.failure is not None:
                return next(filter(None, map(self._after_failure, wave)), None)
            return self._compare(wave)
        except DecodeError as error:
            raise LogError(f"a record of seq {wave[0].seq} to {wave[-1].seq} does not fit its type: {error}") from error

    def _waves(self, batch: Sequence[Record]) -> Iterator[Sequence[Record]]:
        start, size = 0, len(batch)
        while start < size:
            end = min(start + WAVE, size)
            if batch[end - 1].seq >= self.fine_from:
                end = start + 1
            yield batch[start:end]
            start = end

    def _serve(self, wave: Sequence[Record]) -> None:
        takes, on_wire = self.takes, self.on_wire
        items = [
            Sequenced(r.seq, r.ts, r.type_id, r.source, _bytes_of(r) if on_wire else b"", None, r.payload)
            for r in wave
            if r.type_id in takes
        ]
        if not items:
            return
        try:
            for link in self.links:
                link.deliver(items)
            outputs = [output for link in self.links for output in link.collect()]
        except ComponentError as error:
            if len(wave) > 1:
                raise Finer(wave[0].seq) from error
            self.failure, self.failed_at = error, wave[0].seq
            return
        self._waves_sent += 1
        if self._waves_sent % FINISH_EVERY == 0:
            for link in self.links:
                link.finish()
        outputs.sort(key=_cause_then_rank)
        queues = self._queues
        for output in outputs:
            queues[output.source].append(output)

    def _compare(self, wave: Sequence[Record]) -> Mismatch | None:
        queues, in_order, same = self._queues, self.in_order, self.same
        any_queue = next(iter(queues.values()))
        for record in wave:
            if record.source in queues and record.cause:
                queue = queues[record.source]
                head = queue[0] if queue else None
                if head is None or head[:3] != (record.cause, record.source, record.type_id) or not same(record, head):
                    return self._mismatch(record, head)
                queue.popleft()
                self.compared += 1
            elif in_order and any_queue and _is_late(any_queue[0], record):
                return Mismatch(Kind.ADDITIONAL, record.seq, any_queue[0].source, record, any_queue[0])
        return None

    def _mismatch(self, record: Record, head: Output | None) -> Mismatch:
        place = record.cause, record.source
        if head is None or _cause_then_rank(head) > place:
            return Mismatch(Kind.MISSING, record.seq, record.source, record, None)
        if _cause_then_rank(head) < place:
            return Mismatch(Kind.ADDITIONAL, record.seq, head.source, record, head)
        return Mismatch(Kind.DIFFERENT, record.seq, record.source, record, head)

    def _after_failure(self, record: Record) -> Mismatch | None:
        """A record behind the failure: what was answered before it is still compared."""
        assert self.failure is not None
        if record.type_id == _COMPONENT_FAILED:
            recorded = decode(record.type_id, record.payload)
            assert isinstance(recorded, ComponentFailed)
            self.recorded_failure = recorded
        elif record.source in self.executed and record.cause:
            if record.cause < self.failed_at:
                return self._compare([record])
            if self.executed[record.source] == self.failure.component:
                return Mismatch(Kind.FAILED, record.seq, record.source, record, None, self.failure.error)
        return None

    def _at_the_end(self, is_closed: bool) -> Mismatch | None:
        last = self._last
        if last is None or not is_closed:
            return None
        if self.failure is not None:
            if self.recorded_failure is not None and self.recorded_failure.component == self.failure.component:
                return None
            source = next((i for i, name in self.executed.items() if name == self.failure.component), 0)
            return Mismatch(Kind.FAILED, self.failed_at, source, None, None, self.failure.error)
        if last.type_id in _ENDS_EARLY:
            return None
        left = [queue[0] for queue in self._queues.values() if queue]
        if not left:
            return None
        first = min(left, key=_cause_then_rank)
        return Mismatch(Kind.ADDITIONAL, last.seq + 1, first.source, None, first)


def _bytes_of(record: Record) -> bytes:
    return encode_record(*record)


def _cause_then_rank(output: Output) -> tuple[int, int]:
    return output.cause, output.source


def _is_late(output: Output, record: Record) -> bool:
    """Whether the answer stands before this record in a FIFO order: its cause is earlier, or its rank lower."""
    if record.type_id in _ENDS_EARLY:
        return False  # what was under way was dropped
    return _cause_then_rank(output) < ((record.cause, record.source) if record.cause else (record.seq, 0))
