"""Captures of live and paper runs, whose order is that of arrival, take the same path as those of backtests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bus.errors import ConfigError
from bus.log_reader import LogReader
from bus.replay import Kind
from deploy.launcher import launch
from deploy.plan import Placement
from deploy.replay.capture import open_capture
from deploy.replay.consequences import Fate, compare_outcomes, outcome_of
from deploy.replay.counterfactual import plan_counterfactual, recorded_data
from deploy.replay.planning import plan_replay
from deploy.replay.reexecution import ReplayResult, reexecute
from deploy.replay.stats import statistics_of
from schemas import OrderStatus, PositionUpdate
from schemas.registry import TYPE_IDS
from tests.support.captures import captured, rewritten
from tests.support.launching import ROOT

SHORT = (
    "live_trading.start_date=2010-01-04",
    "live_trading.end_date=2010-04-30",
    "live_trading.symbols=[AAPL]",
    "components.strategy.fast=3",
    "components.strategy.slow=8",
)


def a_capture(name: str, folder: Path, *settings: str) -> Path:
    run = captured(folder, *SHORT, *settings, config=ROOT / "configs" / f"{name}.yaml")
    assert run.status == "completed", run.error
    assert run.counts["Fill"] > 5
    return Path(run.run_dir)


@pytest.fixture(scope="module")
def paper(tmp_path_factory) -> Path:
    return a_capture("paper", tmp_path_factory.mktemp("paper"))


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Path:
    return a_capture("live", tmp_path_factory.mktemp("live"))


def replayed(path: Path, placement: Placement | None = None) -> ReplayResult:
    capture = open_capture(path)
    assert not capture.in_order
    return reexecute(capture, plan_replay(capture, (), placement), lambda: None)


@pytest.mark.parametrize("placement", [None, Placement.THREADS])
def test_a_paper_run_replays_with_its_simulated_broker(paper, placement):
    result = replayed(paper, placement)
    assert result.divergence is None
    assert result.taken == ("data_handler",)
    assert "broker" in result.executed


def test_a_live_run_replays_with_the_records_of_its_broker(live):
    result = replayed(live)
    assert result.divergence is None
    assert result.taken == ("data_handler", "broker")


def test_the_log_alone_tells_that_its_order_is_that_of_arrival(live, tmp_path):
    shutil.copytree(live / "log", tmp_path / "alone")
    assert replayed(tmp_path / "alone").divergence is None


def test_a_live_broker_is_not_re_executed_even_when_asked_for(live):
    with pytest.raises(ConfigError, match="--component broker: what it says comes from outside"):
        plan_replay(open_capture(live), ["broker"])


def test_a_lost_answer_is_noticed_at_the_components_next_one(paper, tmp_path):
    lost, following = [r for r in LogReader(paper) if r.type_id == TYPE_IDS[PositionUpdate]][3:5]
    found = replayed(rewritten(paper, tmp_path, lambda rs: [r for r in rs if r != lost])).divergence
    assert found.component == "portfolio"
    assert found.executed["type"] == "PositionUpdate"
    assert lost.seq <= found.seq < following.seq


def test_a_lost_answer_at_the_end_is_noticed_there(paper, tmp_path):
    last = [r for r in LogReader(paper) if r.type_id == TYPE_IDS[OrderStatus]][-1]
    records = list(LogReader(paper))
    found = replayed(rewritten(paper, tmp_path, lambda rs: [r for r in rs if r != last])).divergence
    assert (found.kind, found.component) == (Kind.ADDITIONAL, "order_manager")
    assert found.seq == len(records)


def test_the_latencies_of_hops_are_told_in_time(paper):
    stats = statistics_of(paper)
    assert stats.is_live
    assert stats.document()["hops"][0]["ns"] is not None
    assert stats.refusals.total() == 0


def test_a_simulated_broker_in_the_place_of_a_live_one_gives_consequences(live, tmp_path):
    capture = open_capture(live)
    with pytest.raises(ConfigError, match=r"components.broker: LiveBrokerHandler touches the world outside"):
        plan_counterfactual(capture, None, ["components.risk_manager.percent_of_equity=10"], tmp_path, None)
    plan = plan_counterfactual(capture, None, ["components.broker.class=SimulatedBroker"], tmp_path, None)
    other = launch(plan, recorded=recorded_data(capture))
    assert other.status == "completed", other.error
    found = compare_outcomes(outcome_of(live), outcome_of(Path(other.run_dir)))
    assert found.counts[Fate.CHANGED] > 5
    assert found.counts[Fate.MISSING] == found.counts[Fate.ADDED] == 0
    assert found.statistics["fees"][1] == 0.0
