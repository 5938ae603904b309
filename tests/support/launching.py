"""Runs the command line as a user does, in a process of its own, with everything it leaves in one folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = ROOT / "tests" / "support" / "parts.yaml"


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """Ours, with temporary files in `folder`, so that a test sees what is left behind."""
    temporary = folder / "t"
    temporary.mkdir(exist_ok=True)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": path, "COLUMNS": "120", **extra}


def admf(*arguments: str, folder: Path, keys: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    """`admf ARGUMENTS`, to its end; `keys` are on its standard input."""
    command = [sys.executable, "-c", "from deploy.cli.main import main; main()", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(folder, **extra),
        input=keys,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def launch_json(config: Path, folder: Path, *arguments: str, **extra: str) -> dict[str, Any]:
    """`admf launch CONFIG --json`, which must succeed; its document."""
    done = admf(
        "launch", str(config), "--json", "--set", f"bus.run_dir={folder / 'runs'}", *arguments, folder=folder, **extra
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@dataclass
class Running:
    """A launched run that is under way."""

    popen: subprocess.Popen[str]
    folder: Path
    run_dir: Path

    @property
    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.run_dir / "manifest.json").read_text())
        return content

    @property
    def pids(self) -> dict[str, int]:
        """Component to process id."""
        return {p["components"][0]: p["pid"] for p in self.manifest["processes"] if p["role"] == "component"}

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(pid, number)

    def end(self, within_s: float) -> tuple[int, str]:
        """Exit code and standard error, when it ends in time."""
        _, errors = self.popen.communicate(timeout=within_s)
        return self.popen.returncode, errors

    def left_behind(self) -> list[str]:
        """Processes that still run, and temporary files that still exist."""
        alive = [f"process of {name}" for name, pid in self.pids.items() if is_alive(pid)]
        return alive + [str(path) for path in (self.folder / "t").iterdir()]


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that is only waiting to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def start(config: Path, folder: Path, *settings: str, placement: str = "processes") -> Running:
    """Launch a run and wait until records flow."""
    arguments = ["launch", str(config), "--set", f"bus.run_dir={folder / 'runs'}"]
    arguments += ["--placement", placement] if placement else []
    for setting in settings:
        arguments += ["--set", setting]
    popen = subprocess.Popen(
        [sys.executable, "-c", "from deploy.cli.main import main; main()", *arguments],
        cwd=ROOT,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    manifest = until(lambda: next(folder.glob("runs/*/manifest.json"), None), 30, "the run folder's appearance")
    run_dir = manifest.parent
    until(lambda: sum(p.stat().st_size for p in run_dir.glob("log/*")) > 50_000, 40, "the flow of records")
    return Running(popen, folder, run_dir)
