"""The command line as a user meets it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest import mock

import pytest

from deploy.cli import main
from tests.support.commands import command
from tests.support.launching import PARTS, ROOT, admf, launch_json

BACKTEST = ROOT / "configs" / "backtest.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return launch_json(PARTS, tmp_path_factory.mktemp("run"), "--set", "components.bars.count=60")


def lines(done) -> list[dict]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_help_lists_the_commands(tmp_path):
    done = admf("--help", folder=tmp_path)
    assert done.returncode == 0
    for name in ("check", "data", "launch", "log", "schema"):
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("command", [["check"], ["launch"], ["log"], ["log", "cat"], ["log", "diff"], ["schema"]])
def test_every_command_explains_itself(tmp_path, command):
    done = admf(*command, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")


@pytest.mark.parametrize(("given", "found"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_numpy_has_no_threads_beside_ours_unless_somebody_wants_them(monkeypatch, given, found):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    seen = []
    monkeypatch.setattr(main.admf, "main", lambda **_: seen.append(os.environ["OPENBLAS_NUM_THREADS"]))
    with mock.patch.dict(os.environ, given):
        main.main()
    assert seen == [found]


def test_an_unknown_command_is_a_usage_error(tmp_path):
    assert admf("lanch", folder=tmp_path).returncode == 2


def test_json_is_exactly_one_document_with_the_promised_keys(tmp_path):
    document = launch_json(BACKTEST, tmp_path)
    promised = {"run_id", "run_dir", "mode", "placement", "digest", "records", "bars", "orders", "fills"}
    promised |= {"statistics", "trades", "elapsed_s", "cpu_s", "processes"}
    assert promised <= document.keys()
    assert document["bars"] > 6000
    assert document["cpu_s"] > 0
    assert document["statistics"]["total_return_pct"] == pytest.approx(100 * document["statistics"]["total_return"])
    assert len(document["trades"]) > 50
    assert json.loads((Path(document["run_dir"]) / "results.json").read_text()) == document


def test_the_report_shows_what_a_trader_looks_for(tmp_path):
    done = admf("launch", str(BACKTEST), "--set", f"bus.run_dir={tmp_path / 'runs'}", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("Total return", "Maximum drawdown", "Sharpe ratio", "Trades", "Fees", "Run folder", "Digest", "Next:"):
        assert word in done.stdout
    assert done.stderr == "", "no progress bar when nobody watches"


def test_check_prints_hosts_threads_components_and_who_publishes_what_to_whom(tmp_path):
    done = admf("check", str(ROOT / "configs" / "backtest_processes.yaml"), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in (
        "process broker (ZeroMQ, ipc)",
        "SubmitOrder -> broker",
        "Signal -> risk_manager",
        "Order -> order_manager",
    ):
        assert text in done.stdout


def test_set_changes_a_value_of_the_topology(run, tmp_path):
    fewer = launch_json(PARTS, tmp_path, "--set", "components.bars.count=30")
    assert (run["bars"], fewer["bars"]) == (60, 30)
    assert run["digest"] != fewer["digest"]


def test_log_info_counts_records_by_type_and_source(run, tmp_path):
    (info,) = lines(admf("log", "info", run["run_dir"], "--json", folder=tmp_path))
    assert info["records"] == run["records"]
    assert (info["digest"], info["version"]) == (run["digest"], 3)
    assert info["types"]["Bar"] == 60
    assert info["sources"]["bars"] == 61
    text = admf("log", "info", run["run_dir"], folder=tmp_path).stdout
    assert "Signal" in text
    assert "2020-01-02T00:00:00Z" in text


def test_log_cat_filters_by_type_source_component_seq_and_time(run, tmp_path):
    def cat(*arguments: str) -> list[dict]:
        return lines(admf("log", "cat", run["run_dir"], "--json", *arguments, folder=tmp_path))

    everything = cat()
    assert len(everything) == run["records"]
    fills = cat("--type", "Fill")
    assert {r["type"] for r in fills} == {"Fill"}
    assert len(fills) == run["fills"]
    assert {r["source"] for r in cat("--source", "risk")} == {"risk"}
    assert {r["type"] for r in cat("--component", "risk")} == {"Signal", "Order", "Fill"}
    assert [r["seq"] for r in cat("--from-seq", "100", "--to-seq", "103")] == [100, 101, 102, 103]
    day = cat("--type", "Bar", "--from", "2020-01-05", "--to", "2020-01-07T00:00:00Z")
    assert [r["time"] for r in day] == [f"2020-01-0{n}T00:00:00Z" for n in (5, 6, 7)]
    assert len(cat("--limit", "5")) == 5


def test_the_cause_of_every_record_leads_back_to_market_data(run, tmp_path):
    records = {r["seq"]: r for r in lines(admf("log", "cat", run["run_dir"], "--json", folder=tmp_path))}
    fill = next(r for r in records.values() if r["type"] == "Fill")
    chain = [fill["type"]]
    while fill["cause"]:
        fill = records[fill["cause"]]
        chain.append(fill["type"])
    assert chain == ["Fill", "Bar"]


def test_log_cat_prints_one_readable_line_a_record(run, tmp_path):
    line = admf("log", "cat", run["run_dir"], "--type", "Fill", "--limit", "1", folder=tmp_path).stdout
    assert "broker" in line
    assert "order_id=risk-1" in line
    assert "<- " in line


def test_log_cat_suggests_the_name_that_was_meant(run, tmp_path):
    done = admf("log", "cat", run["run_dir"], "--source", "strateg", folder=tmp_path)
    assert done.returncode == 1
    assert "the log knows no 'strateg'; did you mean 'strategy'?" in done.stderr
    assert "did you mean 'Fill'?" in admf("log", "cat", run["run_dir"], "--type", "Fil", folder=tmp_path).stderr


def test_log_verify_finds_a_flipped_bit(run, tmp_path):
    assert admf("log", "verify", run["run_dir"], folder=tmp_path).stdout.startswith("ok ")
    segment = next(Path(run["run_dir"]).glob("log/*"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / segment.name
    damaged.write_bytes(data)
    done = admf("log", "verify", str(damaged), folder=tmp_path)
    assert done.returncode == 1
    assert f"BAD  {damaged}: byte " in done.stderr


def test_log_commands_say_when_there_is_no_log(tmp_path):
    done = admf("log", "info", str(tmp_path / "nothing"), folder=tmp_path)
    assert done.returncode == 1
    assert "no such file or folder" in done.stderr
    assert "holds no message log" in admf("log", "info", str(tmp_path), folder=tmp_path).stderr
    other = tmp_path / "other.txt"
    other.write_text("hello")
    assert "not a message log" in admf("log", "verify", str(other), folder=tmp_path).stderr


def test_schema_lists_types_and_prints_one(tmp_path):
    listing = admf("schema", folder=tmp_path).stdout
    assert "  48  Fill" in listing
    schema = json.loads(admf("schema", "Fill", folder=tmp_path).stdout)
    assert schema["x-type-id"] == 48
    assert "order_id" in schema["properties"]
    assert "did you mean 'Fill'?" in admf("schema", "Fil", folder=tmp_path).stderr


def test_log_repair_writes_a_sound_log_beside_a_torn_one(run, tmp_path):
    segment = next(Path(run["run_dir"]).glob("log/*"))
    torn = tmp_path / "torn" / segment.name
    torn.parent.mkdir()
    torn.write_bytes(segment.read_bytes()[:-100])
    said = command("log", "repair", torn, "--to", tmp_path / "new").output
    assert f"{tmp_path / 'new'}: kept " in said
    assert "records (seq 1 to " in said
    command("log", "verify", tmp_path / "new")
    command("log", "verify", torn, code=1)
    assert "sound already" in command("log", "repair", run["run_dir"], "--to", tmp_path / "other").output
