"""Files of a run's folder are written in one step."""

from __future__ import annotations

import math

import pytest

from deploy.run_folder import write_json, write_text


def test_a_file_is_replaced_by_the_new_one(tmp_path):
    path = tmp_path / "results.json"
    for text in ("old", "new"):
        write_text(path, (text, "\n"))
    assert path.read_text() == "new\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_to_its_end_leaves_the_old_one_alone(tmp_path):
    path = tmp_path / "manifest.json"
    write_json(path, {"status": "running"})

    def pieces():
        yield "{"
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_text(path, pieces())
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"status": math.nan})
    assert path.read_text() == '{\n  "status": "running"\n}\n'
    assert list(tmp_path.iterdir()) == [path]
