"""Makes a sound log of a damaged one, beside it: all sound records from the first on, sealed and closed.

Whatever the version of the damaged one, the new log is one of today, with today's digest.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bus.errors import LogError
from bus.log import LogWriter
from bus.log_reader import DigestError, LogReader, Place, find_segments
from bus.record import encode_record

_BESIDE_A_LOG = ("manifest.json", "topology.yaml")
"""What makes a log's folder a run folder."""


@dataclass(frozen=True)
class Repair:
    """What was kept and what was cut. `damage` is the reader's error, empty when only the end is lacking."""

    records: int
    digest: str
    cut_bytes: int
    cut_segments: int
    damage: str

    def text(self) -> str:
        """What was done, in sentences."""
        cut = f"{self.cut_bytes:,} bytes behind them were cut" if self.cut_bytes else "nothing was cut"
        if self.cut_segments:
            cut += f", {self.cut_segments} whole segments among them"
        why = f" The damage: {self.damage}." if self.damage else ""
        return f"kept {self.records:,} records (seq 1 to {self.records}); {cut}.{why} A footer now closes the log."


def repair(path: Path, to: Path) -> Repair | None:
    """Copy what is sound of the log at `path` to the folder `to`; None, and no copy, when there is nothing to repair.

    A log has no gaps: sound records that stand behind damage are cut with it. Records that fit their checksum and not
    the next stored digest were changed by somebody who knew how; then only what an earlier digest proves is kept.

    Raises:
        LogError: there is no log, none of its records is sound, `to` is not empty, or the disk refuses.
    """
    segments = find_segments(path)
    reader = LogReader(path)
    damage, end = "", None
    try:
        reader.verify()
        end = reader.sound
    except DigestError as error:
        damage, end = str(error), reader.proven
    except LogError as error:
        damage, end = str(error), reader.sound
    if not damage and reader.closed:
        return None
    if end is None or not end.seq:
        raise LogError(f"{path}: not one of its records is sound{f': {damage}' if damage else ''}")
    try:
        return _copy(path, segments, end, to, damage)
    except OSError as error:
        raise LogError(f"{to}: cannot write the repaired log: {error.strerror}") from error


def _copy(path: Path, segments: list[Path], end: Place, to: Path, damage: str) -> Repair:
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise LogError(f"{to}: exists already; a repaired log goes to a folder of its own")
    folder = to / "log" if (path / "log").is_dir() else to
    folder.mkdir(parents=True)
    for name in _BESIDE_A_LOG:
        if (path / name).is_file():
            shutil.copyfile(path / name, to / name)
    digest = _copy_records(path, end.seq, folder)
    last = segments.index(end.segment)
    cut = sum(segment.stat().st_size for segment in segments[last:]) - end.offset
    return Repair(end.seq, digest, cut, len(segments) - last - 1, damage)


def _copy_records(path: Path, upto: int, to: Path) -> str:
    """Write the records up to a seq to a log of its own, close it, and return its digest."""
    log, left = LogWriter(to), upto
    for batch in LogReader(path, check_digest=False).batches():
        for record in batch[:left]:
            log.append_record(encode_record(*record))
        log.settle()
        left -= len(batch)
        if left <= 0:
            break
    return log.close()
