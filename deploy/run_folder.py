"""A run's folder: its manifest, log and results. All that differs between equal runs is in the manifest."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import platform
import secrets
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bus.errors import ConfigError
from deploy import __version__
from deploy.plan import Plan

RUNNING, COMPLETED, FAILED, INTERRUPTED = "running", "completed", "failed", "interrupted"


@dataclass
class RunFolder:
    """`runs/<run_id>/` with `manifest.json`, `topology.yaml`, `log/`, `processes/` and `results.json`."""

    path: Path
    run_id: str
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Folder of the message log."""
        return self.path / "log"

    @property
    def processes(self) -> Path:
        """Folder of what the processes write to standard error."""
        return self.path / "processes"

    def update(self, **values: Any) -> None:
        """Change the manifest, on disk too."""
        self.manifest.update(values)
        write_json(self.path / "manifest.json", self.manifest)


def make_run_folder(plan: Plan) -> RunFolder:
    """A new folder for a run of this plan, with its manifest and the topology as resolved.

    Raises:
        ConfigError: the folder cannot be made.
    """
    started = dt.datetime.now(dt.UTC)
    run_id = f"{started:%Y%m%dT%H%M%S}-{plan.path.stem}-{secrets.token_hex(3)}"
    path = plan.topology.bus.run_dir / run_id
    try:
        path.mkdir(parents=True)
        folder = RunFolder(path, run_id)
        (path / "topology.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(plan.content, default=str))))
        _begin(folder, plan, started)
    except (OSError, ValueError) as error:
        raise ConfigError(f"bus.run_dir: cannot make {path}: {getattr(error, 'strerror', None) or error}") from None
    return folder


def _begin(folder: RunFolder, plan: Plan, started: dt.datetime) -> None:
    folder.update(
        run_id=folder.run_id,
        status=RUNNING,
        mode=plan.mode,
        placement=plan.placement,
        config=str(plan.path),
        config_folder=str(plan.path.parent.resolve()),
        config_hash=plan.behaviour_hash(),
        code_hash=code_hash(),
        started=started.isoformat(),
        host=platform.node(),
        platform=platform.platform(),
        python=platform.python_version(),
        version=__version__,
        hash_seed=os.environ.get("PYTHONHASHSEED", ""),
        command=sys.argv,
    )


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one step, as `write_text` does.

    Raises:
        ValueError: the content holds NaN or infinity, which JSON does not have.
    """
    write_text(path, (json.dumps(content, indent=2, allow_nan=False), "\n"))


def write_text(path: Path, pieces: Iterable[str]) -> None:
    """Write text in one step: a reader sees the old file or the new one, never half of either."""
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def code_hash() -> str:
    """Over the source files of our packages."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.blake2b(digest_size=16)
    for package in ("bus", "components", "deploy", "schemas"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
