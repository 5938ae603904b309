"""Live and paper runs as a user launches them: from files, from Python, with signals, over processes; and replayed."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from bus.errors import ConfigError, LogError
from bus.log import LogWriter
from bus.log_format import SEGMENT_HEAD_SIZE
from bus.log_reader import LogReader
from bus.runtime.clock import RecordingClock, WallClock
from bus.runtime.context import ExecutionContext
from bus.runtime.policies import CircuitBreakerSettings, PolicySettings, RetrySettings
from bus.runtime.settings import LiveSettings, RunSettings
from components.broker.base import BrokerParameters
from components.broker.live import LiveBrokerParameters
from components.broker.live_simulated import LiveSimulatedBrokerParameters
from components.broker.simulated import SimulatedBrokerParameters
from components.data.historical import HistoricalDataParameters
from components.data.live import FeedPolicies, LiveMarketDataParameters
from deploy.container import RunFailed, create_container
from deploy.launcher import RunResult, launch
from deploy.live import Ending, Status, Watch
from deploy.live_hosting import clock_of
from deploy.plan import Placement, make_plan
from deploy.replay.capture import open_capture
from deploy.replay.planning import plan_replay
from deploy.replay.reexecution import ReplayResult, reexecute
from deploy.stopping import StopRequest
from deploy.topology import read_yaml
from schemas import ComponentFailed, EdgeReport
from schemas.registry import TYPE_IDS
from tests.support.feeds import a_server
from tests.support.launching import ROOT, admf, environment, launch_json
from tests.support.waiting import until

PAGE = (ROOT / "docs" / "live.md").read_text()
LIVE = ExecutionContext("live_trading", "LIVE_TRADING")
SYMBOLS = ("AAPL", "MSFT", "SPY")


def block(language: str, first_words: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return next(text for text in blocks if first_words in text)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The specification's live configuration, as it stands."""
    path = tmp_path / "live.yaml"
    path.write_text(block("yaml", "mode: LIVE_TRADING"))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Daily bars that go up and down in waves, one file a symbol."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number, symbol in enumerate(SYMBOLS):
        rows = ["date,open,high,low,close,volume"]
        for n in range(150):
            close = 100 + 10 * number + abs((n + 7 * number) % 60 - 30) / 2
            day = dt.date(2022, 1, 3) + dt.timedelta(days=n)
            rows.append(f"{day},{close - 0.25},{close + 1},{close - 1},{close},1000000")
        (folder / f"{symbol}.csv").write_text("\n".join(rows) + "\n")
    return folder


def paper(tmp_path: Path, data: Path, *settings: str, mode: str = "PAPER_TRADING", **sections: Any) -> Path:
    """A topology that plays the data as fast as the run follows."""
    content = {
        "execution": {"mode": mode, "thread_model": "MULTI_THREADED"},
        "bus": {"run_dir": str(tmp_path / "runs"), "timeout_s": 20},
        "live_trading": {"symbols": list(SYMBOLS)},
        "components": {
            "data_handler": {"class": "LiveMarketDataHandler", "path": str(data), "speed": 0},
            "strategy": {"class": "MovingAverageCrossover", "fast": 2, "slow": 5},
        },
        **sections,
    }
    path = tmp_path / f"{mode.lower()}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run(config: Path, *settings: str, placement: Placement | None = None):
    return launch(make_plan(config, settings, placement))


@pytest.mark.parametrize("mode", ["PAPER_TRADING", "LIVE_TRADING"])
def test_a_recording_that_follows_the_run_gives_the_trades_of_a_backtest(tmp_path, data, mode):
    live = run(paper(tmp_path, data, mode=mode), "live_trading.close_at_end=last_close")
    assert (live.status, live.ended_by, live.error) == ("completed", "end of data", "")
    backtest = run(
        paper(tmp_path, data, mode=mode),
        "execution.mode=BACKTEST_SINGLE",
        "execution.thread_model=SINGLE_THREADED",
        "components.data_handler={class: HistoricalDataHandler, path: " + str(data) + "}",
        "components.broker={class: SimulatedBroker}",
        "backtest.symbols=[AAPL, MSFT, SPY]",
    )
    assert len(live.trades) == len(backtest.trades) > 5
    assert live.statistics["total_return_pct"] == pytest.approx(backtest.statistics["total_return_pct"], rel=1e-3)


def test_positions_stay_open_unless_told_otherwise(tmp_path, data):
    config = paper(tmp_path, data)
    seen: list[Status] = []
    result = launch(make_plan(config), watch=Watch(status=seen.append))
    assert "ClosePositions" not in result.counts
    assert {status.total for status in seen} == {3 * 150}
    with pytest.raises(ConfigError, match="close_at_end: next_open is for backtests"):
        make_plan(config, ["live_trading.close_at_end=next_open"])


def replayed(result: RunResult) -> ReplayResult:
    capture = open_capture(Path(result.run_dir))
    return reexecute(capture, plan_replay(capture), lambda: None)


def assert_replays(result: RunResult) -> None:
    """Every output of every component but the edges, executed again, is what the log holds, and so is the digest."""
    again = replayed(result)
    assert again.divergence is None
    assert again.digest == result.digest
    assert again.compared > 30


STRATEGIES = [
    {"class": "MovingAverageCrossover", "isolation": "isolated"},
    {"class": "MovingAverageCrossover", "isolation": "thread_isolated"},
    {"class": "tests.support.served.ByKey", "thread_model": "MULTI_THREADED", "isolation": "isolated"},
    {"class": "tests.support.served.Crossover", "thread_model": "ASYNC_SINGLE", "isolation": "shared"},
    {"class": "tests.support.served.Crossover", "thread_model": "ASYNC_MULTI"},
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: "-".join(map(str, s.values())))
def test_the_captured_log_of_a_paper_run_replays_to_the_same_digest_in_every_thread_model(tmp_path, data, strategy):
    windows = {} if "ByKey" in strategy["class"] else {"fast": 2, "slow": 5}
    components = {
        "data_handler": {"class": "LiveMarketDataHandler", "path": str(data), "speed": 0},
        "strategy": {**strategy, **windows},
    }
    config = paper(tmp_path, data, components=components)
    result = run(config, "execution.thread_model=ASYNC_MULTI", "live_trading.end_date=2022-03-15")
    assert result.status == "completed", result.error
    assert_replays(result)


def test_a_run_that_is_played_faster_than_it_can_follow_replays_to_the_same_digest(tmp_path, data):
    result = run(paper(tmp_path, data), "components.data_handler.speed=100000000", placement=Placement.THREADS)
    assert result.status == "completed", result.error
    assert_replays(result)


@pytest.mark.processes
def test_a_live_run_over_processes_completes_and_replays_to_the_same_digest(tmp_path, data):
    settings = ["live_trading.end_date=2022-03-15", "components.data_handler.speed=10000000"]
    settings += ["components.data_handler.isolation=process_isolated"]
    settings += ["components.order_manager={class: OrderManager, isolation: process_isolated}"]
    settings += ["components.broker={class: LiveBrokerHandler, isolation: process_isolated}"]
    result = run(paper(tmp_path, data, mode="LIVE_TRADING"), *settings)
    assert result.status == "completed", result.error
    assert result.counts["Order"] > 5
    assert len(result.processes) == 4
    assert_replays(result)


@pytest.mark.processes
def test_a_source_that_fails_in_a_process_of_its_own_ends_the_run_and_is_named(tmp_path, data):
    source = {"class": "tests.support.live.Hasty", "fail_at": 20, "isolation": "process_isolated"}
    components = {"data_handler": source, "strategy": {"class": "tests.support.parts.EveryNth"}}
    result = run(paper(tmp_path, data, components=components, live_trading={}))
    assert result.status == "failed"
    assert result.error.startswith("component 'data_handler' failed: ValueError: the file ends here")


def test_a_live_run_says_plainly_that_no_real_orders_are_sent(tmp_path, data, caplog):
    result = run(paper(tmp_path, data, mode="LIVE_TRADING"), "live_trading.end_date=2022-01-20")
    assert "no real orders are sent" in caplog.text
    reports = [r for r in LogReader(Path(result.run_dir) / "log") if r.type_id == TYPE_IDS[EdgeReport]]
    assert b"no real orders are sent" in reports[0].payload


def test_the_documented_configuration_launches_with_a_path(example, data, tmp_path):
    settings = (f"components.data_handler.path={data}", "components.data_handler.speed=0")
    document = launch_json(example, tmp_path, *[f"--set={setting}" for setting in settings], ADMF_DATA="")
    assert (document["status"], document["mode"], document["ended_by"]) == ("completed", "LIVE_TRADING", "end of data")
    assert document["bars"] == 3 * 150
    assert document["fills"] > 10


def test_the_documented_configuration_without_data_says_what_is_missing(example, tmp_path):
    done = admf("launch", str(example), folder=tmp_path, ADMF_DATA="")
    assert done.returncode == 2
    for part in ("SPY, AAPL, MSFT", "--set components.data_handler.path=", "ADMF_DATA"):
        assert part in " ".join(done.stderr.split())


def test_the_documented_program_runs(example, data, tmp_path, monkeypatch):
    monkeypatch.setenv("ADMF_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt))
    names = {"config": example}
    exec(block("python", 'resolve("trading_system")'), names)
    system = names["trading_system"]
    assert not system.is_running()
    assert system.results["ended_by"] == "stop()"
    assert system.results["status"] == "completed"
    assert ExecutionContext.get_current() is None


def test_a_trading_system_that_has_ended_has_results_and_can_be_started_again(tmp_path, data):
    system = create_container(read_yaml(paper(tmp_path, data)), ExecutionContext("p", "PAPER_TRADING")).resolve(
        "trading_system"
    )
    assert (system.is_running(), system.results) == (False, None)
    system.stop()
    for _ in range(2):
        system.start()
        until(lambda: not system.is_running(), 20)
        assert system.results["statistics"]["final_equity"] > 0
        assert len(system.results["equity_curve"]["equity"]) == 150


def test_a_trading_system_that_fails_says_so_when_it_is_stopped(tmp_path, data):
    content = read_yaml(paper(tmp_path, data))
    content["components"]["strategy"] = {"class": "tests.support.parts.EveryNth", "raise_at": 5}
    system = create_container(content, ExecutionContext("p", "PAPER_TRADING")).resolve("trading_system")
    system.start()
    until(lambda: not system.is_running(), 20)
    with pytest.raises(RunFailed, match="the strategy has no idea"):
        system.stop()
    with pytest.raises(RunFailed) as caught:
        assert system.results
    *_, last = LogReader(Path(caught.value.result.run_dir) / "log")
    assert last.type_id == TYPE_IDS[ComponentFailed]


def test_a_trading_system_that_cannot_begin_raises_at_once(tmp_path, data):
    content = read_yaml(paper(tmp_path, data))
    content["components"]["strategy"] = {"class": "tests.support.parts.Odd", "how": "exit in start"}
    system = create_container(content, ExecutionContext("p", "PAPER_TRADING")).resolve("trading_system")
    with pytest.raises(RunFailed, match="component 'strategy' failed"):
        system.start()
    assert not system.is_running()


def test_a_context_without_a_thread_model_leaves_it_to_the_configuration(example, data, monkeypatch):
    monkeypatch.setenv("ADMF_DATA", str(data))
    assert create_container(example, LIVE).resolve("trading_system").plan.thread_model == "MULTI_THREADED"
    other = ExecutionContext("live", "LIVE_TRADING", "SINGLE_THREADED")
    with pytest.raises(ConfigError, match="thread_model: the configuration says MULTI_THREADED"):
        create_container(example, other)


def test_ctrl_c_ends_a_live_run_in_good_order_with_its_result(tmp_path, data):
    config = paper(tmp_path, data)
    command = [sys.executable, "-c", "from deploy.cli.main import main; main()", "launch", str(config), "--json"]
    command += ["--set", "components.data_handler.speed=864000", "--set", "components.data_handler.symbols=[SPY]"]
    popen = subprocess.Popen(
        command, cwd=ROOT, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: _records(tmp_path) > 60, 30, "the run")
    popen.send_signal(signal.SIGINT)
    out, errors = popen.communicate(timeout=30)
    document = json.loads(out)
    assert popen.returncode == 0, errors
    assert (document["status"], document["ended_by"]) == ("completed", "SIGINT")
    assert 0 < document["bars"] < 150
    assert list((tmp_path / "t").iterdir()) == []


def _records(tmp_path: Path) -> int:
    """How many records the log of the one run has so far; none before its head is written."""
    segment = next(tmp_path.glob("runs/*/log/*.admflog"), None)
    if segment is None or segment.stat().st_size < SEGMENT_HEAD_SIZE:
        return 0
    return sum(1 for _ in LogReader(segment.parent))


def test_a_run_ends_after_its_duration_or_at_its_time(tmp_path, data):
    config = paper(tmp_path, data)
    slow = ["components.data_handler.speed=1"]
    assert run(config, *slow, "live_trading.duration_s=0.2").ended_by == "duration_s: 0.2"
    settings = LiveSettings.model_validate({"until": "2026-01-02T10:00:00+01:00"})
    nine = int(dt.datetime(2026, 1, 2, 9, tzinfo=dt.UTC).timestamp()) * 10**9
    assert Ending(settings, StopRequest(), lambda: nine - 1).why() == ""
    assert Ending(settings, StopRequest(), lambda: nine).why().startswith("until: 2026-01-02")


def test_a_feed_over_tcp_trades(tmp_path, data):
    with a_server() as server:
        settings = f"components.data_handler={{class: LiveMarketDataHandler, feed: '{server.address}'}}"
        plan = make_plan(paper(tmp_path, data), [settings, "live_trading.clock=data"])
        stop, seen = StopRequest(), []

        def status(now: Status) -> None:
            seen.append(now)
            if now.counts.get("Bar", 0) >= 40:
                stop.ask("the test")

        def serve() -> None:
            connection = server.accept()
            for n in range(40):
                close = 100 + abs(n % 10 - 5)
                ts = f"2026-01-02T10:{n:02}:00Z"
                connection.sendall(f"bar,{ts},SPY,{close},{close + 1},{close - 1},{close},1000000\n".encode())

        server_thread = threading.Thread(target=serve)
        server_thread.start()
        result = launch(plan, stop=stop, watch=Watch(status=status))
        server_thread.join()
    assert (result.status, result.ended_by) == ("completed", "the test"), result.error
    assert result.counts["Bar"] == 40
    assert result.counts["Order"] > 3
    assert_replays(result)
    assert seen[-1].lag >= 0
    assert result.counts["EdgeReport"] >= 1


def test_without_anything_said_recordings_have_their_own_time_and_feeds_the_time_of_day(tmp_path, data):
    config = paper(tmp_path, data)
    assert isinstance(clock_of(make_plan(config)), RecordingClock)
    assert isinstance(clock_of(make_plan(config, ["live_trading.clock=wall"])), WallClock)
    feed = "components.data_handler={class: LiveMarketDataHandler, feed: 'tcp://127.0.0.1:1'}"
    assert isinstance(clock_of(make_plan(config, [feed])), WallClock)
    assert isinstance(clock_of(make_plan(config, [feed, "live_trading.clock=data"])), RecordingClock)


def test_each_live_mode_has_its_defaults(tmp_path, data, monkeypatch):
    monkeypatch.setenv("ADMF_DATA", str(data))
    for mode, broker in [("LIVE_TRADING", "LiveBrokerHandler"), ("PAPER_TRADING", "LiveSimulatedBroker")]:
        plan = make_plan(paper(tmp_path, data, mode=mode, components={"s": {"class": "MovingAverageCrossover"}}))
        classes = {entry.name: type(entry.component).__name__ for entry in plan.entries}
        assert (classes["data_handler"], classes["broker"]) == ("LiveMarketDataHandler", broker)
        levels = {entry.name: str(entry.isolation) for entry in plan.entries}
        assert levels["data_handler"] == levels["s"] == "thread_isolated"
        assert levels["order_manager"] == "shared"


@pytest.mark.parametrize("name", ["LiveMarketDataHandler", "LiveBrokerHandler"])
def test_what_is_for_live_runs_is_refused_in_a_backtest(tmp_path, data, name):
    key = "data_handler" if "Data" in name else "broker"
    settings = ["execution={mode: BACKTEST_SINGLE}", f"components.{key}={{class: {name}}}"]
    with pytest.raises(ConfigError, match=f"{name} is for LIVE_TRADING and PAPER_TRADING"):
        make_plan(paper(tmp_path, data), settings)


def test_a_recording_that_follows_the_run_stays_in_the_hubs_process(tmp_path, data):
    config = paper(tmp_path, data)
    with pytest.raises(ConfigError, match=r"components\.data_handler\.isolation: a recording that is played as fast"):
        make_plan(config, ["components.data_handler.isolation=process_isolated"])
    levels = {e.name: str(e.isolation) for e in make_plan(config, (), Placement.PROCESSES).entries}
    assert levels.pop("data_handler") == "thread_isolated"
    assert set(levels.values()) == {"process_isolated"}
    quick = make_plan(config, ["components.data_handler.speed=1000"], Placement.PROCESSES)
    assert {str(entry.isolation) for entry in quick.entries} == {"process_isolated"}


def test_live_orders_need_a_log_on_disk_to_be_in_before_they_leave(tmp_path, data):
    for capture in ("digest", "none"):
        with pytest.raises(
            ConfigError, match=r"bus\.capture: is .*; LIVE_TRADING needs full: an order leaves only after"
        ):
            make_plan(paper(tmp_path, data, mode="LIVE_TRADING"), [f"bus.capture={capture}"])
        make_plan(paper(tmp_path, data), [f"bus.capture={capture}"])


@pytest.mark.parametrize(
    ("model", "base"),
    [
        (LiveSettings, RunSettings),
        (LiveMarketDataParameters, HistoricalDataParameters),
        (LiveBrokerParameters, BrokerParameters),
        (LiveSimulatedBrokerParameters, SimulatedBrokerParameters),
        (RetrySettings, None),
        (CircuitBreakerSettings, None),
        (FeedPolicies, PolicySettings),
    ],
)
def test_the_page_names_every_key(model, base):
    own = set(model.model_fields) - set(base.model_fields if base else ())
    assert [name for name in own if not re.search(rf"`(\w+\.)?{name}`", PAGE)] == []


def test_the_documented_venue_trades_beside_us_and_in_a_process_and_is_not_asked_again_by_a_replay(tmp_path):
    (tmp_path / "my_venue.py").write_text(block("python", "class AtLastClose"))
    config = tmp_path / "topology.yaml"
    config.write_text(block("yaml", "my_venue.AtLastClose"))
    shutil.copy(ROOT / "configs" / "data" / "daily.csv", tmp_path)
    run_dir = f"bus.run_dir={tmp_path / 'runs'}"
    here = run(config, run_dir)
    assert here.status == "completed", here.error
    assert here.counts["Fill"] == here.counts["Order"] > 5
    assert here.statistics["fees"] == here.counts["Fill"]
    assert_replays(here)
    apart = run(config, run_dir, "components.broker.isolation=process_isolated")
    assert (apart.status, apart.counts["Fill"]) == ("completed", here.counts["Fill"]), apart.error


def test_a_log_that_cannot_be_written_ends_the_run_before_anybody_hears_of_the_record(tmp_path, data, monkeypatch):
    written = LogWriter.flush

    def full(log: LogWriter, sealed: bool = False) -> None:
        if log.records > 300:
            raise LogError("the disk is full")
        written(log, sealed)

    monkeypatch.setattr(LogWriter, "flush", full)
    plan = make_plan(paper(tmp_path, data))
    result = launch(plan)
    assert (result.status, result.exit_code) == ("failed", 1)
    assert "the disk is full" in result.error
    broker = next(entry.component for entry in plan.entries if entry.name == "order_manager")
    assert len(broker.active_orders) + len(broker.completed_orders) <= result.counts["Order"]
