"""Runs from Python, as the specification's usage examples have them, and its configuration example as it stands."""

from __future__ import annotations

import datetime as dt
import gc
import os
import re
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml

from bus.errors import ConfigError
from bus.runtime.affinity import usable_cpus
from bus.runtime.context import ExecutionContext
from components.broker.simulated import SimulatedBroker
from deploy.container import RunFailed, TradingSystem, create_container
from deploy.launcher import RunResult, launch
from deploy.plan import Placement, make_plan
from deploy.topology import Topology, read_yaml
from tests.support.launching import PARTS, ROOT, admf, launch_json

PAGE = (ROOT / "docs" / "execution-modes.md").read_text()
SINGLE = ExecutionContext("backtest", "BACKTEST_SINGLE")
LIVE = ExecutionContext("live", "LIVE_TRADING")
SYMBOLS = ("AAPL", "MSFT", "SPY")


def block(language: str, first_words: str) -> str:
    """The block of the page that has these words in it."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return next(text for text in blocks if first_words in text)


def parts(tmp_path: Path, **sections: dict) -> dict:
    return {**read_yaml(PARTS), "bus": {"run_dir": str(tmp_path / "runs"), "capture": "digest"}, **sections}


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The specification's backtest configuration, as it stands."""
    path = tmp_path / "backtest.yaml"
    path.write_text(block("yaml", "mode: BACKTEST_SINGLE"))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Weekday bars of 2022 that go up and down in waves, one file a symbol."""
    folder = tmp_path / "data"
    folder.mkdir()
    days = [dt.date(2022, 1, 3) + dt.timedelta(days=n) for n in range(360)]
    for number, symbol in enumerate(SYMBOLS):
        rows = ["date,open,high,low,close,volume"]
        for n, day in enumerate(d for d in days if d.weekday() < 5):
            close = 100 + 10 * number + abs((n + 7 * number) % 60 - 30) / 2
            rows.append(f"{day},{close - 0.25},{close + 1},{close - 1},{close},1000000")
        (folder / f"{symbol}.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_documented_backtest_runs(example, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ADMF_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    names = {"config": example}
    exec(block("python", 'resolve("backtest_engine")'), names)
    performance = names["results"]["statistics"]
    assert capsys.readouterr().out.startswith(f"Total return: {performance['total_return_pct']:.2f}%\nSharpe ratio: ")
    assert isinstance(performance["sharpe_ratio"], float)
    assert {trade["symbol"] for trade in names["results"]["trades"]} == set(SYMBOLS)
    assert ExecutionContext.get_current() is None


def test_the_configuration_example_launches_with_a_path(example, data, tmp_path):
    document = launch_json(example, tmp_path, "--set", f"components.data_handler.path={data}", ADMF_DATA="")
    assert document["status"] == "completed"
    assert document["bars"] == 3 * 258
    assert document["fills"] > 10


def test_the_configuration_example_without_data_says_what_is_missing(example, tmp_path):
    done = admf("launch", str(example), folder=tmp_path, ADMF_DATA="")
    words = " ".join(done.stderr.split())
    assert done.returncode == 2
    for part in ("SPY, AAPL, MSFT", "2022-01-01", "2022-12-31", "--set components.data_handler.path=", "ADMF_DATA"):
        assert part in words


def test_the_configuration_example_names_each_symbol_that_a_folder_lacks(example, data, tmp_path):
    (data / "SPY.csv").unlink()
    (data / "MSFT.csv").unlink()
    done = admf(
        *("launch", str(example), "--set", f"bus.run_dir={tmp_path / 'runs'}"), folder=tmp_path, ADMF_DATA=str(data)
    )
    assert done.returncode == 2
    assert "has no file for SPY" in done.stderr
    assert "has no file for MSFT" in done.stderr
    assert "has no file for AAPL" not in done.stderr


def test_a_path_its_content_and_a_topology_give_the_same_run(example, data, tmp_path, monkeypatch):
    monkeypatch.setenv("ADMF_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    content = read_yaml(example)
    configs = [example, str(example), content, Topology.model_validate(content)]
    results = [create_container(config, SINGLE).resolve("backtest_engine").run() for config in configs]
    assert len({result["digest"] for result in results}) == 1
    assert content == read_yaml(example)


def test_ten_runs_in_one_process_give_one_digest_and_take_no_more_memory(tmp_path):
    engine = create_container(parts(tmp_path), SINGLE).resolve("backtest_engine")
    digests, sizes = set(), []
    tracemalloc.start()
    try:
        for _ in range(10):
            digests.add(engine.run()["digest"])
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert len(digests) == 1
    # One run of these 200 bars publishes about 900 records, 100 kB and more if they were kept.
    assert sizes[-1] - sizes[2] < 30_000, sizes


def test_the_results_have_an_equity_curve_as_columns(tmp_path, data):
    components = {
        "bars": {"class": "HistoricalDataHandler", "path": str(data)},
        "strategy": {"class": "MovingAverageCrossover"},
    }
    results = create_container(parts(tmp_path, components=components), SINGLE).resolve("backtest_engine").run()
    curve = results["equity_curve"]
    assert {len(column) for column in curve.values()} == {258}
    assert curve["equity"][-1] == pytest.approx(100_000 * (1 + results["statistics"]["total_return_pct"] / 100))


def test_components_are_found_by_name_type_and_class(tmp_path):
    container = create_container(parts(tmp_path, components={**read_yaml(PARTS)["components"]}), SINGLE)
    assert container.resolve("manager") is container.resolve("order_manager")
    assert container.resolve(type(container.resolve("risk"))) is container.resolve("risk_manager")


def test_what_is_not_there_or_not_clear_is_refused(tmp_path):
    components = {**read_yaml(PARTS)["components"], "second": {"class": "tests.support.parts.EveryNth", "n": 5}}
    container = create_container(parts(tmp_path, components=components), SINGLE)
    assert container.resolve("strategy").name == "strategy"
    for key, expected in [
        ("brokr", "there is no 'brokr' in ExecutionContext('backtest', BACKTEST_SINGLE, SINGLE_THREADED); did you"),
        (SimulatedBroker, "there is no 'SimulatedBroker' in"),
        ("trading_system", "there is no 'trading_system' in"),
        (type(container.resolve("second")), "'EveryNth' may be second or strategy; name one of them"),
    ]:
        with pytest.raises(ConfigError) as caught:
            container.resolve(key)
        assert expected in str(caught.value)


def test_the_context_decides_the_mode_and_another_one_is_refused(tmp_path):
    content = parts(tmp_path)
    del content["execution"]
    parallel = ExecutionContext("parallel", "BACKTEST_PARALLEL")
    plan = create_container(content, parallel).resolve("backtest_engine").plan
    assert (plan.mode, plan.thread_model) == ("BACKTEST_PARALLEL", "MULTI_THREADED")
    with parallel:
        assert create_container(content).context is parallel
    assert create_container(content).context.execution_mode == "BACKTEST_SINGLE"
    content["execution"] = {"mode": "BACKTEST_SINGLE"}
    with pytest.raises(ConfigError, match=r"execution\.mode: the configuration says BACKTEST_SINGLE and .* make them"):
        create_container(content, parallel)


def test_a_configuration_with_faults_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match=r"bus\.captur: unknown key"):
        create_container(parts(tmp_path, bus={"captur": "none"}), SINGLE)
    with pytest.raises(ConfigError, match="execution: must be a mapping"):
        create_container(parts(tmp_path, execution=["BACKTEST_SINGLE"]), SINGLE)


def test_a_run_that_fails_raises_with_what_it_gave(tmp_path):
    content = parts(tmp_path)
    content["components"]["strategy"]["raise_at"] = 5
    engine = create_container(content, SINGLE).resolve("backtest_engine")
    with pytest.raises(RunFailed, match=r"component 'strategy' failed: .*the strategy has no idea") as caught:
        engine.run()
    assert caught.value.exit_code == caught.value.result.exit_code == 1
    assert caught.value.result.run_dir in str(caught.value)


def test_live_modes_have_a_trading_system_and_no_engine(tmp_path):
    content = parts(tmp_path)
    content |= {"execution": {}, "bus": {**content["bus"], "capture": "full"}}
    container = create_container(content, LIVE)
    assert isinstance(container.resolve("trading_system"), TradingSystem)
    with pytest.raises(ConfigError, match=r"no 'backtest_engine' in .*LIVE_TRADING.*There are trading_system"):
        container.resolve("backtest_engine")


WATCHER = """
import os
import threading
from bus.runtime.affinity import usable_cpus
from bus.runtime.context import ExecutionContext
from tests.support.parts import EveryNth


class Watcher(EveryNth):
    def reset(self):
        super().reset()
        self.threads, self.cpus = set(), set()

    def on_bar(self, bar):
        self.threads.add(f"{threading.current_thread().name} in {ExecutionContext.get_current()}")
        self.cpus.add(tuple(os.sched_getaffinity(threading.get_native_id())))
        super().on_bar(bar)
"""


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """The parts, with a strategy that notes in which threads and on which CPUs it works."""
    (tmp_path / "watcher_part.py").write_text(WATCHER)
    path = tmp_path / "watched.yaml"
    content = parts(tmp_path)
    content["components"]["strategy"]["class"] = "watcher_part.Watcher"
    path.write_text(yaml.safe_dump(content))
    return path


def run(config: Path, *settings: str) -> tuple[RunResult, Any]:
    """A run's result, and its strategy."""
    plan = make_plan(config, settings)
    return launch(plan), next(entry.component for entry in plan.entries if entry.name == "strategy")


def test_a_strategy_is_isolated_on_the_configured_pool_of_a_parallel_backtest(watched):
    before = threading.active_count()
    result, strategy = run(
        watched, "execution.mode=BACKTEST_PARALLEL", "execution.thread_pools.compute.max_workers=1", "system.name=x"
    )
    assert strategy.threads == {"compute_worker_0 in ExecutionContext('x', BACKTEST_PARALLEL, MULTI_THREADED)"}
    assert result.digest == run(watched)[0].digest
    assert threading.active_count() == before


def test_a_component_isolated_by_hand_gets_a_pool_though_the_mode_has_none(watched):
    _, strategy = run(watched, "components.strategy.isolation=isolated")
    assert {name.partition("_worker_")[0] for name in strategy.threads} == {"compute"}
    assert all(name.endswith("in ExecutionContext('ADMF-Trader', BACKTEST_SINGLE, MIXED)") for name in strategy.threads)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this platform binds no threads")
@pytest.mark.parametrize(
    ("isolation", "key"),
    [
        ("thread_isolated", "components.strategy.affinity"),
        ("isolated", "execution.thread_pools.compute.affinity"),
    ],
)
def test_the_affinity_of_a_component_is_that_of_its_threads_alone(watched, isolation, key):
    before = os.sched_getaffinity(0)
    _, strategy = run(watched, f"components.strategy.isolation={isolation}", f"{key}=[{min(before)}]")
    assert strategy.cpus == {(min(before),)}
    assert os.sched_getaffinity(0) == before


def test_a_placement_that_takes_the_thread_away_takes_its_affinity_too(watched):
    settings = ("components.strategy.isolation=thread_isolated", f"components.strategy.affinity=[{min(usable_cpus())}]")
    for placement, affinity in [(Placement.LOCAL, ()), (Placement.THREADS, (min(usable_cpus()),))]:
        plan = make_plan(watched, settings, placement)
        assert {entry.affinity for entry in plan.entries if entry.name == "strategy"} == {affinity}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            ["execution.thread_pools.comput.max_workers=1"],
            "thread_pools.comput: unknown key; did you mean 'compute'?",
        ),
        (["execution.thread_pools.compute.max_workers=0"], "thread_pools.compute.max_workers: Input should be greater"),
        (["execution.thread_pools.data.affinity=[4000]"], "execution.thread_pools.data.affinity: names CPU 4000; this"),
        (
            ["components.broker.affinity=[4000]", "components.broker.isolation=thread_isolated"],
            "components.broker.affinity: names CPU 4000; this process may use",
        ),
        (
            ["components.broker.affinity=[0]"],
            "broker.affinity: the component is shared and has no thread of its own",
        ),
    ],
)
def test_wrong_pools_and_affinities_are_configuration_errors(settings, expected):
    with pytest.raises(ConfigError) as caught:
        make_plan(PARTS, settings)
    assert expected in str(caught.value)
