"""Searches on real worker processes and a real Dask cluster, with workers and the search itself killed."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.launching import ROOT, environment, is_alive
from tests.support.searching import FAST, SLOW, a_search
from tests.support.waiting import until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

pytest.importorskip("optuna")

WIDE = {FAST: {"low": 2, "high": 19}, SLOW: {"low": 20, "high": 60}}
LONG = {"parameters": WIDE, "sampler": "random", "trials": 60, "batch_size": 20, "executor": "local", "workers": 2}
POISON = """
import os, signal
from components.strategy.moving_average import MovingAverageCrossover


class Poison(MovingAverageCrossover):
    def start(self):
        if self.parameters.fast == 10:
            os.kill(os.getpid(), signal.SIGKILL)
"""


class Searching:
    """A search in a process of its own."""

    def __init__(self, config: Path, folder: Path, *settings: str) -> None:
        arguments = ["optimize", str(config), "--json", *(part for one in settings for part in ("--set", one))]
        self.study = folder / "runs" / "studies" / "s"
        self.popen = subprocess.Popen(
            [sys.executable, "-c", "from deploy.cli.main import main; main()", *arguments],
            cwd=ROOT,
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def has_trials(self, count: int) -> Searching:
        """Wait until so many trials are in the study."""
        until(lambda: trials_in(self.study / "study.db") >= count, 150, f"{count} trials")
        return self

    def workers(self) -> list[int]:
        return [pid for pid in children(self.popen.pid) if "spawn_main" in command_line(pid)]

    def end(self) -> tuple[int, str]:
        out, errors = self.popen.communicate(timeout=300)
        self.output = out
        return self.popen.returncode, errors

    def document(self) -> dict:
        code, errors = self.end()
        assert code == 0, errors
        assert errors == ""
        return json.loads(self.output)


def trials_in(database: Path) -> int:
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            (count,) = connection.execute("select count(*) from trials").fetchone()
    except sqlite3.OperationalError:
        return 0
    finally:
        if "connection" in locals():
            connection.close()
    return int(count)


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and is_alive(int(entry.name)):
            stat = (entry / "stat").read_text() if (entry / "stat").exists() else ""
            if stat and int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def rows(folder: Path) -> list[dict[str, str]]:
    """The table of trials, without what is measured by the wall clock."""
    with (folder / "runs" / "studies" / "s" / "trials.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "elapsed_s"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What one worker finds when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    Searching(a_search(folder, **{**LONG, "workers": 1}), folder).document()
    return rows(folder)


def test_a_killed_worker_is_replaced_and_its_trials_run_again(tmp_path, undisturbed):
    search = Searching(a_search(tmp_path, **LONG), tmp_path).has_trials(10)
    workers = search.workers()
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    assert search.document()["workers_replaced"] == 1
    assert rows(tmp_path) == undisturbed


def test_a_killed_search_leaves_no_worker_behind_and_goes_on_as_if_nothing_had_happened(tmp_path, undisturbed):
    config = a_search(tmp_path, **LONG)
    search = Searching(config, tmp_path).has_trials(10)
    pids = children(search.popen.pid)
    search.popen.kill()
    search.popen.communicate()
    until(lambda: not any(map(is_alive, pids)), 10, "the end of all workers")
    document = Searching(config, tmp_path).document()
    assert 10 <= document["resumed"] < 60
    assert rows(tmp_path) == undisturbed
    assert not (search.study / "runs").exists()


@pytest.mark.parametrize(
    ("number", "executor"),
    [(signal.SIGINT, "local"), (signal.SIGTERM, "local"), (signal.SIGINT, "inline")],
    ids=["SIGINT", "SIGTERM", "inline"],
)
def test_an_interrupted_search_stops_cleanly_and_goes_on_when_asked(tmp_path, undisturbed, number, executor):
    config = a_search(tmp_path, **{**LONG, "executor": executor})
    search = Searching(config, tmp_path).has_trials(5)
    pids = children(search.popen.pid)
    search.popen.send_signal(number)
    code, errors = search.end()
    assert code == 130
    assert errors.startswith(f"Interrupted: interrupted by {number.name}.")
    assert "the same command goes on" in errors
    assert len(errors.splitlines()) == 1
    until(lambda: not any(map(is_alive, pids)), 5, "the end of all workers")
    assert Searching(config, tmp_path).document()["resumed"] >= 5
    assert rows(tmp_path) == undisturbed


def test_a_point_that_kills_its_worker_every_time_fails_alone(tmp_path):
    (tmp_path / "poison_part.py").write_text(POISON)
    config = a_search(tmp_path, executor="local", workers=2)
    config.write_text(config.read_text().replace("class: MovingAverageCrossover", "class: poison_part.Poison"))
    document = Searching(config, tmp_path).document()
    assert document["states"] == {"completed": 4, "failed": 2}
    failed = [row for row in rows(tmp_path) if row["state"] == "failed"]
    assert [(row[FAST], row["error"]) for row in failed] == [("10", "its worker died 3 times, killed by SIGKILL")] * 2


def test_two_searches_of_one_study_do_not_mix(tmp_path):
    config = a_search(tmp_path, **LONG)
    first = Searching(config, tmp_path).has_trials(1)
    code, errors = Searching(config, tmp_path).end()
    assert code == 2
    assert "another search works on this study" in errors
    assert first.document()["trials"] == 60


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler and two workers of one thread, each with a nanny; their address and the nannies' process ids."""
    if importlib.util.find_spec("distributed") is None:
        pytest.skip("needs the extra dask")
    file = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    started: list[subprocess.Popen[bytes]] = []

    def start(module: str, *arguments: str) -> int:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *common, *arguments]
        log = (tmp_path / f"{module}.log").open("ab")
        with log:
            environ = environment(tmp_path)
            started.append(subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=log, stderr=log))
        return started[-1].pid

    start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    until(file.exists, 60, "the scheduler's file")
    nannies = [start("dask_worker", "--nthreads", "1", "--local-directory", str(tmp_path / "d")) for _ in range(2)]
    until(lambda: all(dask_workers(pid) for pid in nannies), 60, "the workers")
    address = until(lambda: file.read_text() and json.loads(file.read_text())["address"], 10, "the address")
    yield address, nannies
    for popen in reversed(started):
        popen.terminate()
    for popen in started:
        try:
            popen.wait(10)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()


def dask_workers(nanny: int) -> list[int]:
    return [pid for pid in children(nanny) if "spawn_main" in command_line(pid)]


def test_a_dask_cluster_finds_the_same_although_a_worker_is_killed(tmp_path, undisturbed, cluster):
    address, nannies = cluster
    section = {**LONG, "executor": "dask", "address": address, "workers": None}
    search = Searching(a_search(tmp_path, **section), tmp_path).has_trials(5)
    (worker,) = dask_workers(nannies[0])
    os.kill(worker, signal.SIGKILL)
    assert trials_in(search.study / "study.db") < 60
    search.document()
    until(lambda: dask_workers(nannies[0]) not in ([], [worker]), 30, "the worker's successor")
    assert rows(tmp_path) == undisturbed


def test_an_address_where_no_cluster_is_is_refused(tmp_path):
    if importlib.util.find_spec("distributed") is None:
        pytest.skip("needs the extra dask")
    config = a_search(tmp_path, executor="dask", address="tcp://127.0.0.1:9")
    code, errors = Searching(config, tmp_path).end()
    assert code == 2
    assert "optimization.address: no Dask scheduler answers at tcp://127.0.0.1:9" in errors
