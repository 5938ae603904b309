"""Runs in every thread model that do not come to their end: interrupted, failed, or with a part of them gone."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import yaml

from tests.support.launching import ROOT, Running, admf, start
from tests.support.waiting import until

SERVED = "tests.support.served"
BASE = {
    "execution": {"mode": "BACKTEST_PARALLEL"},
    "bus": {"timeout_s": 10},
    "components": {
        "bars": {"class": f"{SERVED}.LeavingBars", "count": 60},
        "strategy": {"class": f"{SERVED}.LeavingStrategy"},
        "risk": {"class": f"{SERVED}.LeavingRisk"},
        "manager": {"class": "tests.support.parts.PlainManager"},
        "broker": {"class": "tests.support.parts.PlainBroker"},
        "sink": {"class": f"{SERVED}.LeavingSink"},
        "coordinator": {"class": f"{SERVED}.LeavingCoordinator"},
    },
}
ORDER = ["bars", "strategy", "risk", "sink", "coordinator"]
LONG = 2_000_000
MODELS = {
    "MULTI_THREADED": {"thread_model": "MULTI_THREADED"},
    "ASYNC_SINGLE": {"class": f"{SERVED}.LeavingAsyncStrategy", "thread_model": "ASYNC_SINGLE"},
    "ASYNC_MULTI": {"class": f"{SERVED}.LeavingAsyncStrategy", "thread_model": "ASYNC_MULTI"},
    "MIXED": {"thread_model": "MIXED", "handlers": {"on_bar": "MULTI_THREADED"}},
}
SIGNALS = [signal.SIGINT, signal.SIGTERM]
SPREAD = {"bars": "process_isolated", "strategy": "thread_isolated", "risk": "isolated", "sink": "process_isolated"}


def a_config(folder: Path, count: int = 60, **components: dict) -> Path:
    content = yaml.safe_load(yaml.safe_dump(BASE))
    for name, entry in components.items():
        content["components"][name] |= entry
    for entry in content["components"].values():
        if "Leaving" in entry["class"]:
            entry["notes"] = str(folder / "notes")
    content["components"]["bars"]["count"] = count
    path = folder / "topology.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def launched(config: Path, folder: Path):
    return admf("launch", str(config), "--set", f"bus.run_dir={folder / 'runs'}", folder=folder)


def left(folder: Path) -> list[str]:
    """Names of components in the order in which they were stopped."""
    return (folder / "notes").read_text().split()


@pytest.fixture
def long_run(tmp_path: Path):
    running: list[Running] = []

    def begin(**components: dict) -> Running:
        running.append(start(a_config(tmp_path, LONG, **components), tmp_path, placement=""))
        return running[-1]

    yield begin
    for run in running:
        if run.popen.poll() is None:
            run.popen.kill()
            run.popen.communicate()


@pytest.mark.processes
@pytest.mark.parametrize(("model", "number"), list(zip(MODELS, SIGNALS * 2, strict=True)))
def test_an_interrupted_run_ends_cleanly_in_every_thread_model(long_run, model, number, tmp_path):
    run = long_run(strategy=MODELS[model])
    run.kill(run.popen.pid, number)
    code, errors = run.end(within_s=8)
    assert code == 130
    assert f"Interrupted: interrupted by {number.name}" in errors
    assert "Task" not in errors
    assert left(tmp_path) == ORDER
    assert run.left_behind() == []


@pytest.mark.processes
@pytest.mark.parametrize("end", ["fails", "is interrupted"])
def test_sources_stop_first_and_who_only_listens_last_wherever_they_are(long_run, end, tmp_path):
    spread = {name: {"isolation": isolation} for name, isolation in SPREAD.items()}
    if end == "is interrupted":
        run = long_run(**spread)
        run.kill(run.popen.pid, signal.SIGTERM)
        assert run.end(within_s=8)[0] == 130
    else:
        spread["strategy"] |= {"raise_at": 20}
        assert launched(a_config(tmp_path, **spread), tmp_path).returncode == 1
    assert left(tmp_path) == ["bars", "strategy", "risk", "coordinator", "sink"]


@pytest.mark.processes
def test_a_killed_replica_ends_the_run_and_is_named(long_run):
    run = long_run(
        strategy={"class": "MovingAverageCrossover", "thread_model": "PROCESS_PARALLEL", "fast": 2, "slow": 3}
    )
    run.kill(run.pids["strategy#2"])
    code, errors = run.end(within_s=8)
    assert code == 1
    assert f"component 'strategy#2' failed: its process {run.pids['strategy#2']} was killed by SIGKILL" in errors
    assert run.left_behind() == []


@pytest.mark.processes
@pytest.mark.parametrize("isolation", ["shared", "process_isolated"])
def test_a_blocking_handler_is_named_in_output_and_manifest_and_ends_the_run(isolation, tmp_path):
    strategy = {"class": f"{SERVED}.Troubled", "how": "blocks", "isolation": isolation}
    config = a_config(tmp_path, strategy=strategy)
    settings = ("--set", "bus.timeout_s=1", "--set", "execution.slow_handler_s=0.2")
    done = admf("launch", str(config), *settings, "--set", f"bus.run_dir={tmp_path / 'runs'}", folder=tmp_path)
    assert done.returncode == 1
    assert "component 'strategy' failed: " in done.stderr
    assert "strategy.on_bar has held its event loop for 0." in done.stderr
    (path,) = tmp_path.glob("runs/*/manifest.json")
    (slow,) = json.loads(path.read_text())["slow_handlers"]
    assert (slow["component"], slow["handler"]) == ("strategy", "on_bar")
    assert str(ROOT / "tests" / "support" / "served.py") in slow["stack"]
    until(lambda: list((tmp_path / "t").iterdir()) == [], 5, "the end of all temporary files")
