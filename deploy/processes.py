"""The processes of a run: started, watched, and stopped so that none is left behind."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.errors import ComponentError
from bus.runtime.settings import RunContext
from deploy.host_settings import HostSettings
from deploy.plan import Entry

SLOW_HANDLERS = ".slow.jsonl"
"""How the files end in which processes tell of handlers that held their event loop."""
_TAIL_LINES = 20
_ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Process:
    """One component in a process of its own."""

    entry: Entry
    token: str
    popen: subprocess.Popen[bytes]
    errors: Path

    @property
    def pid(self) -> int:
        """The operating system's process id."""
        return self.popen.pid


@dataclass
class ProcessGroup:
    """All processes of a run. `folder` keeps what they write to standard error."""

    folder: Path
    settings: HostSettings = field(default_factory=HostSettings)
    processes: list[Process] = field(default_factory=list)
    stopping: bool = False

    def start(self, entry: Entry, token: str, context: RunContext, addresses: tuple[str, str]) -> None:
        """Start one component. Its token goes through standard input, where no other user can read it.

        Standard input stays open: its end tells the process that we are gone.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        errors = self.folder / f"{entry.name}.err"
        with errors.open("wb") as error_file:
            popen = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                [sys.executable, "-P", "-m", "deploy.host", entry.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=error_file,
                env=_environment(),
                start_new_session=True,
            )
        assert popen.stdin is not None
        self.processes.append(Process(entry, token, popen, errors))
        # If it has died already, `check` reports that with its last words.
        with contextlib.suppress(BrokenPipeError):
            orders = {**_orders(entry, token, context, addresses), "settings": self.settings.model_dump(mode="json")}
            orders["slow_handlers"] = str(self.folder / f"{entry.name}{SLOW_HANDLERS}")
            popen.stdin.write(json.dumps(orders).encode() + b"\n")
            popen.stdin.flush()

    def check(self) -> None:
        """Raise ComponentError when a process has ended that should not have."""
        if self.stopping:
            return
        for process in self.processes:
            code = process.popen.poll()
            if code is not None:
                raise ComponentError(process.entry.name, _how_it_ended(process, code), tail(process.errors))

    def await_sources(self, timeout_s: float) -> None:
        """Wait until the data sources have ended, who were asked to; not for ever."""
        self.stopping = True
        deadline = time.monotonic() + timeout_s
        for process in self.processes:
            if process.entry.component.component_type == "data_handler":
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.popen.wait(max(0.0, deadline - time.monotonic()))

    def slow_handlers(self) -> list[dict[str, Any]]:
        """What the processes have told of handlers that held their event loop."""
        files = sorted(self.folder.glob(f"*{SLOW_HANDLERS}"))
        return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]

    def stop(self, timeout_s: float) -> None:
        """Wait for all to end; then SIGTERM, then SIGKILL, `timeout_s` apart.

        Raises:
            ComponentError: one of them ended by itself with an error.
        """
        self.stopping = True
        deadline = time.monotonic() + timeout_s
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                for process in _running(self.processes):
                    process.popen.send_signal(number)
            for process in _running(self.processes):
                try:
                    process.popen.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    break
            deadline = time.monotonic() + timeout_s
        for process in self.processes:
            assert process.popen.stdin is not None
            with contextlib.suppress(OSError):
                process.popen.stdin.close()
        for process in self.processes:
            if process.popen.returncode > 0:
                text = f"{_how_it_ended(process, process.popen.returncode)} while it was stopped"
                raise ComponentError(process.entry.name, text, tail(process.errors))


def _running(processes: Sequence[Process]) -> list[Process]:
    return [process for process in processes if process.popen.poll() is None]


def _orders(entry: Entry, token: str, context: RunContext, addresses: tuple[str, str]) -> dict[str, Any]:
    router, xpub = addresses
    return {
        "name": entry.name,
        "component": entry.component.name,
        "class": entry.class_name,
        "service": dataclasses.asdict(entry.service),
        "lock": entry.lock,
        "parameters": json.loads(json.dumps(entry.parameters, default=str)),
        "source_id": entry.source_id,
        "affinity": entry.affinity,
        "context": context.model_dump(mode="json"),
        "token": token,
        "router": router,
        "xpub": xpub,
    }


def _environment() -> dict[str, str]:
    """Ours, with this project first on the path. The topology file's folder comes last, so the host appends it."""
    path = [str(_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}


def _how_it_ended(process: Process, code: int) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"its process {process.pid} was killed by {name}"
    return f"its process {process.pid} ended with exit code {code}"


def tail(path: Path) -> str:
    """The last lines of a process's standard error."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-_TAIL_LINES:])
