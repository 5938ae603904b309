"""Captures as regression tests: the components that a story names answer as they did when it was captured.

`admf replay LOG --to-golden tests/golden/NAME --component broker` makes a story of a capture. With `--update-golden`
every story is written anew from what its components answer now.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.replay.capture import open_capture
from deploy.replay.golden import Story, stories, update_story
from deploy.replay.planning import plan_replay
from deploy.replay.reexecution import reexecute

STORIES = stories(Path(__file__).parent)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.folder.name)
def test_the_components_of_a_story_answer_as_captured(story: Story, request):
    if request.config.getoption("--update-golden"):
        update_story(story)
    capture = open_capture(story.folder)
    result = reexecute(capture, plan_replay(capture, story.components), lambda: None)
    assert result.divergence is None, result.divergence.document()
    assert result.compared > 0
    assert result.is_whole


def test_there_are_stories():
    assert STORIES
