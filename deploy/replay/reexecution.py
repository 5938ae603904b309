"""Re-executes a capture and says whether every output is as recorded, or where it first is not."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.errors import EXIT_DIVERGENCE, ComponentError
from bus.log_reader import LogReader
from bus.record import Record
from bus.replay import Finer, Kind, Mismatch, ReplayBus, payload_of
from bus.runtime.garbage import collected_rarely
from deploy import log_tools
from deploy.hosting import Hosting
from deploy.replay.capture import Capture
from deploy.replay.causes import causes_of
from deploy.replay.compatibility import check_schema, comparison
from deploy.replay.planning import ReplayPlan
from deploy.run_folder import RunFolder
from schemas import ComponentFailed, Halt, RunCompleted
from schemas.registry import TYPE_IDS

Batches = Callable[[LogReader], Iterable[Sequence[Record]]]
"""Gives the records of a log, or shows them on the way."""
Check = Callable[[], None]


@dataclass(frozen=True)
class Divergence:
    """The first difference, ready to be shown: records as `log_tools.describe` gives them, the causes last to first."""

    kind: Kind
    seq: int
    component: str
    recorded: dict[str, Any] | None
    executed: dict[str, Any] | None
    differing: tuple[str, ...]
    causes: tuple[dict[str, Any], ...]
    error: str = ""

    def document(self) -> dict[str, Any]:
        """As one JSON object."""
        return {**self.__dict__, "kind": str(self.kind), "differing": list(self.differing), "causes": list(self.causes)}


@dataclass
class ReplayResult:
    """What a replay found. Times are in seconds."""

    path: str
    executed: tuple[str, ...]
    taken: tuple[str, ...]
    placement: str
    records: int = 0
    compared: int = 0
    digest: str = ""
    is_whole: bool = False
    divergence: Divergence | None = None
    notes: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def exit_code(self) -> int:
        """0, or 3 when an output differs."""
        return EXIT_DIVERGENCE if self.divergence else 0

    def document(self) -> dict[str, Any]:
        """The result as one JSON object."""
        divergence = self.divergence.document() if self.divergence else None
        return {**self.__dict__, "equal": self.divergence is None, "divergence": divergence}


def _all_of(reader: LogReader) -> Iterable[Sequence[Record]]:
    return reader.batches()


def reexecute(capture: Capture, replay: ReplayPlan, check: Check, batches: Batches = _all_of) -> ReplayResult:
    """Replay the capture to its end or to the first difference.

    `check` is called now and then, and raises to give up.

    Raises:
        LogError: the log is damaged, or cannot be replayed by this version.
        ComponentError: a component fails to start.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    plan = replay.plan
    result = ReplayResult(str(capture.path), tuple(entry.name for entry in plan.entries), replay.taken, plan.placement)
    result.notes += [*check_schema(capture, result.executed), *replay.notes]
    fine_from = 2**64
    with collected_rarely():
        while True:
            try:
                _once(capture, replay, check, batches, fine_from, result)
                break
            except Finer as finer:
                fine_from = finer.start
    result.elapsed_s, result.cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    return result


def _once(
    capture: Capture, replay: ReplayPlan, check: Check, batches: Batches, fine_from: int, result: ReplayResult
) -> None:
    plan, reader = replay.plan, LogReader(capture.path)
    last: deque[Sequence[Record]] = deque(maxlen=2)

    def watched() -> Iterator[Sequence[Record]]:
        for batch in batches(reader):
            check()
            last.append(batch)
            yield batch

    with contextlib.ExitStack() as stack, plan.execution:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="admf-replay-")))
        links = Hosting(plan, RunFolder(folder, "replay"), check, stack).links()
        bus = ReplayBus(
            links,
            replay.executed,
            frozenset(TYPE_IDS[t] for entry in plan.entries for t in entry.component.handlers()),
            capture.in_order,
            replay.on_wire,
            comparison(capture),
            fine_from,
        )
        try:
            mismatch = bus.run(watched(), lambda: _is_whole(reader, last))
        except Finer:
            _close_after_failure(stack)
            raise
        if bus.failure is not None:
            _close_after_failure(stack)
    result.records, result.compared, result.digest = reader.records, bus.compared, reader.digest
    result.is_whole = _is_whole(reader, last)
    result.divergence = _described(capture, mismatch, replay) if mismatch else None
    result.notes += _ending(reader, last, bus) if not mismatch else []


def _close_after_failure(stack: contextlib.ExitStack) -> None:
    """Close the hosts; a process whose component failed ends with an error, which is known already."""
    with contextlib.suppress(ComponentError):
        stack.close()


def _is_whole(reader: LogReader, last: Iterable[Sequence[Record]]) -> bool:
    """Whether the log goes to the run's own end: a repaired one has a footer where it was cut."""
    return reader.closed and any(record.type_id in _ENDINGS for batch in last for record in batch)


def _ending(reader: LogReader, last: Sequence[Sequence[Record]], bus: ReplayBus) -> list[str]:
    """How the log ends, when that is not the run's own end."""
    notes = []
    if reader.closed and not _is_whole(reader, last):
        notes.append(
            f"the log was cut after seq {reader.last_seq}, before the run's end. All that is there was replayed"
        )
    elif not reader.closed:
        torn = f", {reader.torn_bytes} bytes of an incomplete record follow" if reader.torn_bytes else ""
        notes.append(
            f"the log breaks off after seq {reader.last_seq}{torn}: the run was killed or still goes on. All that is "
            "there was replayed"
        )
    final = last[-1][-1] if last else None
    message = reader.message(final) if final is not None and final.type_id in _ENDINGS else None
    if isinstance(message, Halt):
        notes.append(
            f"the run was halted: {message.reason.splitlines()[0] if message.reason else 'no reason is given'}"
        )
    if isinstance(message, ComponentFailed):
        notes.append(f"the run failed: {message.component}: {message.error}. {_same_failure(message, bus)}")
    elif bus.failure is not None:
        notes.append(f"at seq {bus.failed_at}, near the log's end: {bus.failure}")
    return notes


_ENDINGS = frozenset({TYPE_IDS[Halt], TYPE_IDS[ComponentFailed], TYPE_IDS[RunCompleted]})


def _same_failure(recorded: ComponentFailed, bus: ReplayBus) -> str:
    if bus.failure is None:
        return "It did not fail again: the cause lay outside of what the log holds"
    if bus.failure.error == recorded.error:
        return f"It failed again in the same way, at seq {bus.failed_at}"
    return f"It failed again at seq {bus.failed_at}, otherwise: {bus.failure.error}"


def _described(capture: Capture, mismatch: Mismatch, replay: ReplayPlan) -> Divergence:
    recorded, executed = mismatch.recorded, mismatch.executed
    cause = executed.cause if executed else recorded.cause if recorded else mismatch.seq
    chain, reader = causes_of(capture.path, cause)
    shown = log_tools.describe(reader, recorded) if recorded else None
    made = None
    if executed is not None:
        place = recorded if recorded is not None and mismatch.kind is Kind.DIFFERENT else None
        made = Record(
            mismatch.seq,
            place.ts if place else chain[0].ts if chain else 0,
            place.source_seq if place else 0,
            executed.cause,
            executed.source,
            executed.type_id,
            payload_of(executed),
        )
    other = log_tools.describe(reader, made) if made else None
    return Divergence(
        kind=mismatch.kind,
        seq=mismatch.seq,
        component=replay.executed.get(mismatch.source, str(mismatch.source)),
        recorded=shown,
        executed=other,
        differing=_differing(shown, other) if mismatch.kind is Kind.DIFFERENT else (),
        causes=tuple(log_tools.describe(reader, record) for record in chain),
        error=mismatch.error,
    )


def _differing(one: dict[str, Any] | None, two: dict[str, Any] | None) -> tuple[str, ...]:
    if one is None or two is None or one["type"] != two["type"]:
        return ("type",)
    names = one["message"].keys() | two["message"].keys()
    return tuple(n for n in one["message"] if n in names and one["message"].get(n) != two["message"].get(n))
