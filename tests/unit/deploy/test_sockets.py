"""The folder of a run's sockets goes with the run, or with the next one."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from deploy.sockets import PREFIX, socket_folder, sweep


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short path to an empty folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_is_private_and_gone_after_the_run(place: Path):
    with socket_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.parent == place
        assert sweep(place) == [], "its launcher lives"
    assert not list(place.iterdir())


def test_a_path_too_long_for_a_socket_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with socket_folder() as folder:
        assert folder.parent == Path("/tmp")
    assert not list(deep.iterdir())


def test_what_a_dead_launcher_left_the_next_one_takes_away(place: Path):
    left = place / f"{PREFIX}left"
    left.mkdir()
    (left / "lock").touch()
    (left / "in").touch()
    with socket_folder() as folder:
        assert [path.name for path in place.iterdir()] == [folder.name]


def test_a_folder_without_a_lock_is_somebody_elses(place: Path):
    other = place / f"{PREFIX}other"
    other.mkdir()
    assert sweep(place) == []
    assert other.exists()
