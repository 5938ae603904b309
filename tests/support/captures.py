"""Captured runs for tests, and copies of them in which something was changed on purpose."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from bus.log import LogWriter
from bus.log_reader import LogReader
from bus.record import Record
from deploy.launcher import RunResult, launch
from deploy.plan import Placement, make_plan
from tests.support.launching import PARTS


def captured(folder: Path, *settings: str, config: Path = PARTS, placement: Placement | None = None) -> RunResult:
    """A run in this process, captured below `folder`."""
    return launch(make_plan(config, [f"bus.run_dir={folder / 'runs'}", *settings], placement))


def rewritten(run: Path, folder: Path, change: Callable[[list[Record]], list[Record]], close: bool = True) -> Path:
    """A copy of a run folder whose records were changed; they are numbered anew, and their causes follow."""
    records = change(list(LogReader(run)))
    log = LogWriter(folder / "log")
    seq_of = {0: 0}
    for n, record in enumerate(records, 1):
        seq_of.setdefault(record.seq, n)
        log.append(n, record.ts, record.source_seq, seq_of[record.cause], record.source, record.type_id, record.payload)
    if close:
        log.close()
    else:
        log.abandon()
    for name in ("manifest.json", "topology.yaml"):
        if (run / name).exists():
            (folder / name).write_text((run / name).read_text())
    return folder


def store_capture(run: Path, to: Path) -> None:
    """Keep a run's log where tests are kept, and of its manifest what does not belong to this machine and moment."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(run / "log", to / "log")
    manifest = json.loads((run / "manifest.json").read_text())
    kept = {key: manifest[key] for key in ("mode", "version", "status", "digest")}
    (to / "manifest.json").write_text(json.dumps(kept, indent=2) + "\n")
