"""A captured run: its log, the configuration that travels with it, and what its folder says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.errors import LogError
from bus.log_reader import LogReader, find_segments
from bus.runtime.modes import ExecutionMode
from deploy.topology import read_yaml
from schemas import RunStarted, SourceDeclared, TypeDeclared
from schemas.codec import DecodeError

_LIVE_SECTION = "live_trading"
_LIVE = frozenset({ExecutionMode.LIVE_TRADING, ExecutionMode.PAPER_TRADING})


@dataclass(frozen=True)
class Capture:
    """What there is to know of a captured run before its records are read.

    `manifest` and `topology` are those of the run folder, empty where the log stands alone: the log itself says
    all that decides what the run did.
    """

    path: Path
    started: RunStarted
    sources: dict[int, SourceDeclared]
    types: dict[int, TypeDeclared]
    manifest: dict[str, Any]
    topology: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The run's folder, or where its log lies."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def behaviour(self) -> dict[str, Any]:
        """All that decided what the run did, as resolved when it was captured, by section."""
        content: dict[str, Any] = json.loads(self.started.config)
        return content

    @property
    def in_order(self) -> bool:
        """Whether the log's order is that of a deterministic run, and not that of arrival."""
        mode = self.manifest.get("mode") or (self.topology.get("execution") or {}).get("mode")
        return mode not in _LIVE if mode else _LIVE_SECTION not in self.behaviour

    @property
    def status(self) -> str:
        """How the run ended: completed, failed, interrupted, running (or killed), or nothing where nobody says."""
        return str(self.manifest.get("status", ""))

    def source_id(self, name: str) -> int | None:
        """The id under which the log has a component."""
        return next((i for i, declared in self.sources.items() if declared.name == name), None)


def open_capture(path: Path) -> Capture:
    """Read the beginning of a log, and the files of its run folder.

    Raises:
        LogError: there is no log, or it ends or is damaged before it says how the run was configured.
        ConfigError: the run folder's topology is not readable.
    """
    started, reader = _beginning(path)
    folder = _run_folder(path)
    return Capture(
        path=path,
        started=started,
        sources=dict(reader.sources),
        types=dict(reader.types),
        manifest=_manifest(folder),
        topology=read_yaml(folder / "topology.yaml") if (folder / "topology.yaml").is_file() else {},
    )


def _beginning(path: Path) -> tuple[RunStarted, LogReader]:
    reader = LogReader(path)
    for record in reader:
        name = reader.type_name(record.type_id)
        if name == RunStarted.__name__:
            try:
                message = reader.message(record)
                assert isinstance(message, RunStarted)
                json.loads(message.config)
            except (DecodeError, ValueError) as error:
                raise LogError(f"{path}: seq {record.seq}: the run's configuration cannot be read: {error}") from None
            return message, reader
        if record.cause or name not in ("TypeDeclared", "SourceDeclared", "type 1"):
            break
    raise LogError(
        f"{path}: the log does not say how its run was configured: RunStarted is not among its first records"
        + (f", of which there are {reader.records}" if reader.records < 3 else "")
    )


def _run_folder(path: Path) -> Path:
    """The folder that holds the log's manifest, wherever in it the path leads."""
    segment = find_segments(path)[0]
    candidates = [path, segment.parent, segment.parent.parent]
    return next((folder for folder in candidates if (folder / "manifest.json").is_file()), segment.parent)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LogError(f"{path}: the run's manifest cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise LogError(f"{path}: the run's manifest is {type(content).__name__}, not an object")
    return content
