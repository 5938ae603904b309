"""Regression tests from captures: a log, and the components that must go on answering as it says."""

from __future__ import annotations

import json
import shutil
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bus.errors import ConfigError, LogError
from bus.log import LogWriter
from bus.log_reader import LogReader, find_segments
from bus.record import Record
from bus.replay import payload_of
from bus.runtime.runner import Member, Output, Runner
from deploy.replay.capture import Capture, open_capture
from deploy.replay.planning import ReplayPlan, plan_replay
from deploy.topology import read_yaml
from schemas.codec import decode

STORY = "story.yaml"
_AT_THE_END = (2**64, 0)
"""A place behind all others."""
_KEPT = ("mode", "version", "status", "config_hash")
"""Of a run's manifest: what does not belong to one machine and one moment."""


@dataclass(frozen=True)
class Story:
    """A folder with a capture and a `story.yaml`: `components` are re-executed, `about` says what it is good for."""

    folder: Path
    components: tuple[str, ...]
    about: str = ""


def stories(folder: Path) -> list[Story]:
    """Every story in the folders of a folder."""
    return [read_story(path.parent) for path in sorted(folder.glob(f"*/{STORY}"))]


def read_story(folder: Path) -> Story:
    """The story in a folder.

    Raises:
        ConfigError: its `story.yaml` is missing or does not name components.
    """
    content = read_yaml(folder / STORY)
    components = content.get("components")
    if not isinstance(components, list) or not components or not all(isinstance(name, str) for name in components):
        raise ConfigError(f"{folder / STORY}: components: is {components!r:.60}; name those to be verified: [broker]")
    return Story(folder, tuple(components), str(content.get("about", "")))


def keep_as_story(capture: Capture, components: Sequence[str], folder: Path) -> Story:
    """Copy a capture's log to a new folder, with what a test needs to verify these components.

    Raises:
        ConfigError: the folder exists, or the capture has no such components.
        LogError: the disk refuses.
    """
    if not components:
        raise ConfigError("--to-golden: name the components that the test is to verify, by --component NAME")
    plan_replay(capture, components)
    if folder.exists():
        raise ConfigError(f"--to-golden: {folder} exists already; a story gets a folder of its own")
    try:
        (folder / "log").mkdir(parents=True)
        for segment in find_segments(capture.path):
            shutil.copyfile(segment, folder / "log" / segment.name)
        _write_manifest(folder, capture.manifest)
        story = {"about": f"captured by version {capture.started.version}", "components": list(components)}
        (folder / STORY).write_text(yaml.safe_dump(story, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise LogError(f"{folder}: cannot write the story: {error.strerror}") from error
    return read_story(folder)


def update_story(story: Story) -> str:
    """Write a story's log anew from what its components answer now; its digest.

    What the others said stays, except for what they said to messages that are no longer there.

    Raises:
        ComponentError: a component fails.
        LogError, ConfigError: the story cannot be read.
    """
    capture = open_capture(story.folder)
    new = story.folder / "new"
    shutil.rmtree(new, ignore_errors=True)
    digest = _Rewriting(capture, plan_replay(capture, story.components), LogWriter(new)).run()
    shutil.rmtree(story.folder / "log")
    new.rename(story.folder / "log")
    return digest


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    kept = {key: manifest[key] for key in _KEPT if key in manifest}
    (folder / "manifest.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


@dataclass
class _Rewriting:
    """Feeds a log to components and writes it again with what they answer, each answer in its place."""

    capture: Capture
    replay: ReplayPlan
    log: LogWriter
    _new_seq: dict[int, int] = field(default_factory=dict)
    """Seq in the old log to seq in the new one, for what is in both."""
    _pending: deque[Output] = field(default_factory=deque)
    _last: Counter[int] = field(default_factory=Counter)
    _seq: int = 0
    _ts: int = 0

    def run(self) -> str:
        plan = self.replay.plan
        self._runner = Runner([Member(e.source_id, e.component) for e in plan.entries], plan.context)
        with plan.execution:
            self._runner.initialize()
            try:
                for record in LogReader(self.capture.path):
                    self._take(record)
                self._flush(_AT_THE_END)
            finally:
                self._runner.stop()
        return self.log.close()

    def _take(self, record: Record) -> None:
        cause = self._new_seq.get(record.cause) if record.cause else 0
        if cause is None:
            return  # it answered something that is no longer there
        executed = record.source in self.replay.executed and record.cause
        self._flush((cause, record.source) if cause else _AT_THE_END)
        self._ts = max(self._ts, record.ts)
        if not executed:
            seq = self._append(cause, record.source, record.type_id, record.payload)
            self._new_seq[record.seq] = seq
        elif self._pending and self._pending[0][:2] == (cause, record.source):
            self._new_seq[record.seq] = self._append_output()

    def _flush(self, before: tuple[int, int]) -> None:
        while self._pending and (self._pending[0].cause, self._pending[0].source) < before:
            self._append_output()

    def _append_output(self) -> int:
        output = self._pending.popleft()
        return self._append(output.cause, output.source, output.type_id, payload_of(output))

    def _append(self, cause: int, source: int, type_id: int, payload: bytes) -> int:
        self._seq = seq = self._seq + 1
        self._last[source] += 1
        self.log.append(seq, self._ts, self._last[source], cause, source, type_id, payload)
        if type_id in self._runner.takes:
            self._runner.handle(seq, self._ts, type_id, decode(type_id, payload))
            self._pending += self._runner.take_outputs()
        return seq
