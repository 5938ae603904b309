"""Real processes, really killed: whatever dies, the run ends soon, says why, and leaves nothing but a sound log."""

from __future__ import annotations

import os
import signal
from collections import deque
from pathlib import Path

import pytest

from bus.log_reader import LogReader
from schemas import ComponentFailed, Halt
from tests.support.launching import PARTS, Running, admf, is_alive, launch_json, start
from tests.support.waiting import until

# How a run ends whose processes die is decided by signals and sockets; every version of Python sees the same.
pytestmark = [pytest.mark.processes, pytest.mark.one_python]

COMPONENTS = ("bars", "strategy", "risk", "manager", "broker", "portfolio", "sink", "coordinator")
LONG = "components.bars.count=2000000"


@pytest.fixture
def long_run(tmp_path: Path):
    running: list[Running] = []

    def begin(*settings: str, placement: str = "processes") -> Running:
        running.append(start(PARTS, tmp_path, LONG, *settings, placement=placement))
        return running[-1]

    yield begin
    for run in running:
        if run.popen.poll() is None:
            run.popen.kill()
            run.popen.communicate()


def last_message(run: Running):
    reader = LogReader(run.run_dir)
    (last,) = deque(reader, maxlen=1)
    assert reader.torn_bytes == 0
    return reader.message(last), reader


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_killed_component_ends_the_run_within_five_seconds_and_is_named(long_run, name):
    run = long_run()
    run.kill(run.pids[name])
    code, errors = run.end(within_s=5)
    assert code == 1
    assert f"component '{name}' failed: its process {run.pids[name]} was killed by SIGKILL" in errors
    assert run.left_behind() == []
    message, reader = last_message(run)
    assert isinstance(message, ComponentFailed)
    assert message.component == name
    assert reader.closed
    assert run.manifest["status"] == "failed"
    assert run.manifest["digest"] == reader.digest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("placement", ["local", "threads", "processes"])
def test_an_interrupted_run_stops_cleanly_and_says_so(long_run, number, placement):
    run = long_run(placement=placement)
    run.kill(run.popen.pid, number)
    code, errors = run.end(within_s=5)
    assert code == 130
    assert f"Interrupted: interrupted by {number.name}" in errors
    assert run.left_behind() == []
    message, reader = last_message(run)
    assert isinstance(message, Halt)
    assert reader.closed
    assert run.manifest["status"] == "interrupted"


def test_when_the_launcher_is_killed_its_processes_end_and_the_log_stays_readable(long_run):
    run = long_run()
    pids = run.pids
    run.popen.kill()
    run.popen.communicate()
    until(lambda: not any(map(is_alive, pids.values())), 5, "the end of all component processes")
    reader = LogReader(run.run_dir)
    assert sum(1 for _ in reader) > 100
    assert not reader.closed
    done = admf("log", "verify", str(run.run_dir), folder=run.folder)
    assert done.returncode == 1
    assert "not closed: the run was killed or still goes on" in done.stderr


@pytest.mark.parametrize("placement", ["local", "threads", "processes"])
def test_a_component_that_raises_is_named_with_its_traceback(tmp_path, placement):
    done = launch_parts(tmp_path, placement, "components.strategy.raise_at=50")
    assert done.returncode == 1
    assert "component 'strategy' failed: RuntimeError: the strategy has no idea" in done.stderr
    assert "in on_bar" in done.stderr


@pytest.mark.parametrize("placement", ["local", "threads", "processes"])
def test_a_source_that_raises_half_way_is_named(tmp_path, placement):
    done = launch_parts(tmp_path, placement, "components.bars.fail_at=50")
    assert done.returncode == 1
    assert "component 'bars' failed: ValueError: the file ends here" in done.stderr


@pytest.mark.parametrize("placement", ["threads", "processes"])
def test_a_component_that_hangs_is_named_after_the_time_out(tmp_path, placement):
    done = launch_parts(tmp_path, placement, "components.strategy.hang_at=50", "bus.timeout_s=1")
    assert done.returncode == 1
    assert "component 'strategy' failed: did not answer within 1 s; is a handler blocked?" in done.stderr


def test_a_process_that_dies_at_its_start_is_reported_with_its_last_words(tmp_path):
    (tmp_path / "broken_part.py").write_text(
        "import os, sys\nfrom tests.support.parts import Sink\n\n"
        "class Broken(Sink):\n    def start(self):\n        sys.stderr.write('no licence found')\n        os._exit(7)\n"
    )
    config = tmp_path / "topology.yaml"
    config.write_text(PARTS.read_text().replace("tests.support.parts.Sink", "broken_part.Broken"))
    done = admf(
        "launch", str(config), "--placement", "processes", "--set", f"bus.run_dir={tmp_path / 'runs'}", folder=tmp_path
    )
    assert done.returncode == 1
    assert "component 'sink' failed: its process" in done.stderr
    assert "ended with exit code 7" in done.stderr
    assert "no licence found" in done.stderr


@pytest.mark.parametrize("placement", ["local", "threads", "processes"])
@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("exit", "SystemExit: 0"),
        ("exit in start", "SystemExit: 0"),
        ("interrupt", "KeyboardInterrupt"),
        ("unreadable", "Unreadable: its text cannot be read"),
        ("surrogate", "RuntimeError: bad \\ud800 text"),
        ("raise in stop", "it will not stop"),
    ],
)
def test_whatever_a_component_does_the_run_fails_with_its_name_and_a_result(tmp_path, placement, how, text):
    done = launch_parts(tmp_path, placement, *ODD, f"components.strategy.how={how}")
    assert done.returncode == 1
    assert "component 'strategy' failed: " in done.stderr
    assert text in done.stderr
    (manifest,) = tmp_path.glob("runs/*/manifest.json")
    assert '"status": "failed"' in manifest.read_text()


def test_json_stays_one_document_when_a_component_prints(tmp_path):
    document = launch_json(PARTS, tmp_path, "--set", ODD[0], "--set", "components.strategy.how=print")
    assert document["status"] == "completed"


@pytest.mark.parametrize("isolation", ["shared", "isolated", "thread_isolated"])
def test_a_blocked_handler_does_not_keep_an_interrupt_from_ending_the_run(long_run, isolation):
    run = long_run("components.strategy.hang_at=30000", f"components.strategy.isolation={isolation}", placement="")
    run.kill(run.popen.pid, signal.SIGINT)
    code, errors = run.end(within_s=5)
    assert code == 130
    assert "Interrupted: interrupted by SIGINT" in errors
    assert run.manifest["status"] == "interrupted"
    assert sum(1 for _ in LogReader(run.run_dir)) > 100


def test_a_second_interrupt_does_not_lose_the_result(long_run):
    run = long_run(placement="local")
    run.kill(run.popen.pid, signal.SIGINT)
    run.kill(run.popen.pid, signal.SIGINT)
    code, errors = run.end(within_s=5)
    assert code == 130
    assert "Interrupted: interrupted by SIGINT" in errors
    assert run.manifest["status"] == "interrupted"


def test_a_blocked_handler_on_the_pool_is_named_after_the_time_out_and_the_launcher_ends(tmp_path):
    settings = ("components.strategy.hang_at=50", "components.strategy.isolation=isolated", "bus.timeout_s=1")
    done = launch_parts(tmp_path, "", *settings)
    assert done.returncode == 1
    assert "component 'strategy' failed: did not answer within 1 s" in done.stderr


def test_modules_in_the_users_folders_do_not_shadow_ours_or_the_standard_library(tmp_path):
    folder = tmp_path / "user"
    folder.mkdir()
    for name in ("random.py", "deploy.py", "bus.py", "zmq.py"):
        (folder / name).write_text("raise ImportError('shadowed')\n")
    config = folder / "topology.yaml"
    config.write_text(PARTS.read_text())
    assert launch_json(config, tmp_path, "--placement", "processes")["status"] == "completed"


ODD = ("components.strategy.class=tests.support.parts.Odd",)


def launch_parts(folder: Path, placement: str, *settings: str):
    arguments = [part for setting in settings for part in ("--set", setting)]
    run_dir = f"bus.run_dir={folder / 'runs'}"
    where = ["--placement", placement] if placement else []
    done = admf("launch", str(PARTS), *where, "--set", run_dir, *arguments, folder=folder)
    assert os.listdir(folder / "t") == []  # noqa: PTH208 (only the names matter)
    return done
