"""The same run in every placement: one digest, and logs that are equal to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.log_reader import find_segments
from tests.support.launching import PARTS, ROOT, admf, launch_json

pytestmark = pytest.mark.processes

BACKTEST = ROOT / "configs" / "backtest.yaml"
IN_PROCESSES = ROOT / "configs" / "backtest_processes.yaml"


def log_bytes(document) -> bytes:
    return b"".join(path.read_bytes() for path in find_segments(Path(document["run_dir"])))


def test_the_main_job_gives_equal_bytes_in_every_placement_and_under_every_hash_seed(tmp_path):
    runs = [
        launch_json(BACKTEST, tmp_path, PYTHONHASHSEED="0"),
        launch_json(BACKTEST, tmp_path, "--placement", "threads", PYTHONHASHSEED="1"),
        launch_json(BACKTEST, tmp_path, "--placement", "processes", PYTHONHASHSEED="2"),
        launch_json(IN_PROCESSES, tmp_path, PYTHONHASHSEED="3"),
    ]
    assert len({run["digest"] for run in runs}) == 1
    first, *others = map(log_bytes, runs)
    assert all(other == first for other in others)
    assert runs[0]["fills"] > 100


def test_the_digest_of_the_main_job_is_the_same_on_every_python(tmp_path):
    """The stored digest was computed on another interpreter; whoever changes behaviour on purpose stores a new one."""
    stored = (ROOT / "tests" / "golden" / "backtest.digest").read_text().strip()
    assert launch_json(BACKTEST, tmp_path)["digest"] == stored


def test_every_component_of_the_processes_topology_has_a_process_of_its_own(tmp_path):
    document = launch_json(IN_PROCESSES, tmp_path, "--set", "backtest.end_date=2005-06-30")
    assert document["mode"] == "BACKTEST_PARALLEL"
    components = [process["components"] for process in document["processes"] if process["role"] == "component"]
    assert sorted(name for (name,) in components) == [
        "broker",
        "coordinator",
        "data_handler",
        "order_manager",
        "portfolio",
        "risk_manager",
        "strategy",
    ]
    assert len({process["pid"] for process in document["processes"]}) == 8


def test_processes_talk_over_tcp_as_well(tmp_path):
    over_tcp = launch_json(PARTS, tmp_path, "--placement", "processes", "--set", "bus.endpoint=tcp://127.0.0.1")
    assert over_tcp["digest"] == launch_json(PARTS, tmp_path)["digest"]


def test_one_config_may_mix_threads_a_pool_processes_and_the_main_thread(tmp_path):
    mixed = launch_json(
        PARTS,
        tmp_path,
        *("--set", "components.broker.isolation=process_isolated"),
        *("--set", "components.strategy.isolation=thread_isolated"),
        *("--set", "components.risk.isolation=isolated"),
        *("--set", "components.bars.isolation=process_isolated"),
    )
    assert mixed["placement"] == "mixed"
    assert mixed["digest"] == launch_json(PARTS, tmp_path)["digest"]


def test_what_is_captured_does_not_change_the_digest(tmp_path):
    full = launch_json(PARTS, tmp_path)
    assert launch_json(PARTS, tmp_path, "--set", "bus.capture=digest")["digest"] == full["digest"]
    nothing = launch_json(PARTS, tmp_path, "--set", "bus.capture=none")
    assert (nothing["digest"], nothing["records"]) == (None, full["records"])


def test_diff_of_two_placements_finds_nothing_and_of_two_configs_the_first_difference(tmp_path):
    one = launch_json(PARTS, tmp_path)
    two = launch_json(PARTS, tmp_path, "--placement", "threads")
    other = launch_json(PARTS, tmp_path, "--set", "components.strategy.n=4")
    same = admf("log", "diff", one["run_dir"], two["run_dir"], folder=tmp_path)
    assert (same.returncode, same.stdout.strip()) == (0, "equal")
    different = admf("log", "diff", one["run_dir"], other["run_dir"], folder=tmp_path)
    assert different.returncode == 3
    assert "first difference at seq" in different.stdout
    assert "RunStarted" in different.stdout
