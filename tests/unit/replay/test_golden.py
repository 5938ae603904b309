"""Making a regression test of a capture, and writing it anew when behaviour is meant to change."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bus.errors import ConfigError
from bus.log_reader import LogReader
from bus.replay import Kind
from deploy.replay.capture import open_capture
from deploy.replay.golden import keep_as_story, read_story, stories, update_story
from deploy.replay.planning import plan_replay
from deploy.replay.reexecution import reexecute
from schemas import Fill, OrderStatus
from schemas.registry import TYPE_IDS
from tests.support import parts
from tests.support.captures import captured
from tests.support.commands import command, text_of


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return Path(captured(tmp_path_factory.mktemp("run"), "components.bars.count=40").run_dir)


def verified(folder: Path):
    story, capture = read_story(folder), open_capture(folder)
    return reexecute(capture, plan_replay(capture, story.components), lambda: None).divergence


def count(path: Path, message_type) -> int:
    return sum(r.type_id == TYPE_IDS[message_type] for r in LogReader(path))


def test_one_command_makes_a_story_of_a_capture(run, tmp_path):
    said = command("replay", run, "--to-golden", tmp_path / "story", "--component", "broker").output
    assert f"Kept in {tmp_path / 'story'}" in said
    assert "Equal: every output is as recorded" in said
    assert [s.components for s in stories(tmp_path)] == [("broker",)]
    assert verified(tmp_path / "story") is None
    assert "host" not in (tmp_path / "story" / "manifest.json").read_text()


def test_a_story_needs_components_and_a_folder_of_its_own(run, tmp_path):
    assert "name the components" in text_of(command("replay", run, "--to-golden", tmp_path / "s", code=2))
    exists = command("replay", run, "--to-golden", tmp_path, "--component", "broker", code=2)
    assert "exists already" in text_of(exists)
    (tmp_path / "story.yaml").write_text(yaml.safe_dump({"components": []}))
    with pytest.raises(ConfigError, match="name those to be verified"):
        read_story(tmp_path)


def test_an_update_of_what_has_not_changed_changes_nothing(run, tmp_path):
    story = keep_as_story(open_capture(run), ["broker", "manager", "risk"], tmp_path / "story")
    before = [p.read_bytes() for p in (tmp_path / "story" / "log").iterdir()]
    update_story(story)
    assert [p.read_bytes() for p in (tmp_path / "story" / "log").iterdir()] == before


def test_a_change_of_behaviour_fails_the_story_until_it_is_written_anew(run, tmp_path, monkeypatch):
    story = keep_as_story(open_capture(run), ["manager"], tmp_path / "story")
    original = parts.PlainManager.on_fill

    def twice(self, fill):
        original(self, fill)
        original(self, fill)

    monkeypatch.setattr(parts.PlainManager, "on_fill", twice)
    assert verified(story.folder).kind is Kind.ADDITIONAL
    update_story(story)
    assert verified(story.folder) is None
    assert count(story.folder, OrderStatus) == count(run, OrderStatus) + count(run, Fill)


def test_what_answered_a_message_that_is_gone_goes_with_it(run, tmp_path, monkeypatch):
    story = keep_as_story(open_capture(run), ["broker"], tmp_path / "story")
    original = parts.PlainBroker.on_order

    def every_other(self, submit):
        if int(submit.order.order_id.rpartition("-")[2]) % 2:
            original(self, submit)

    monkeypatch.setattr(parts.PlainBroker, "on_order", every_other)
    assert verified(story.folder).component == "broker"
    update_story(story)
    assert verified(story.folder) is None
    fills = count(story.folder, Fill)
    assert fills == (count(run, Fill) + 1) // 2
    statuses = [r for r in LogReader(story.folder) if r.type_id == TYPE_IDS[OrderStatus]]
    assert len(statuses) == count(run, OrderStatus) - count(run, Fill) + fills
