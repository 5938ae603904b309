"""What would have been: a part replaced, the same market data, and the consequences order by order and in P&L."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bus.errors import ConfigError
from deploy.launcher import RunResult, launch
from deploy.plan import Placement
from deploy.replay.capture import open_capture
from deploy.replay.consequences import Consequences, Fate, compare_outcomes, outcome_of
from deploy.replay.counterfactual import plan_counterfactual, recorded_data, replaced
from deploy.replay.planning import plan_replay
from deploy.replay.reexecution import reexecute
from tests.support.captures import captured
from tests.support.commands import command
from tests.support.launching import ROOT

BACKTEST = ROOT / "configs" / "backtest.yaml"
SHORT = ("backtest.start_date=2010-01-01", "backtest.symbols=[AAPL, IBM]")
SMALL = "quantity=50"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunResult:
    """A real backtest of three years, with 100 shares an order."""
    folder = tmp_path_factory.mktemp("run")
    return captured(folder, *SHORT, "components.risk_manager={class: RiskStub, quantity: 100}", config=BACKTEST)


def what_if(run: RunResult, folder: Path, *settings: str, config: Path | None = None, placement=None) -> RunResult:
    capture = open_capture(Path(run.run_dir))
    plan = plan_counterfactual(capture, config, settings, folder / "runs", placement)
    result = launch(plan, recorded=recorded_data(capture))
    assert result.status == "completed", result.error
    return result


def consequences(run: RunResult, other: RunResult) -> Consequences:
    return compare_outcomes(outcome_of(Path(run.run_dir)), outcome_of(Path(other.run_dir)))


def test_a_replaced_part_gives_what_a_run_with_that_part_gives(run, tmp_path):
    impact = "components.broker.slippage.price_impact=0.002"
    risk = "components.risk_manager={class: RiskStub, quantity: 100}"
    really = captured(tmp_path, *SHORT, risk, impact, config=BACKTEST)
    would = what_if(run, tmp_path, impact)
    assert would.statistics == really.statistics
    assert would.statistics != run.statistics
    assert would.counts["Fill"] == really.counts["Fill"]


def test_with_the_same_value_again_every_order_is_the_same(run, tmp_path):
    other = what_if(run, tmp_path, "components.broker.slippage.price_impact=0.0002")
    assert consequences(run, other).counts == {
        Fate.SAME: run.counts["Order"],
        Fate.CHANGED: 0,
        Fate.ADDED: 0,
        Fate.MISSING: 0,
    }
    assert other.statistics == run.statistics


def test_another_slippage_changes_every_fill_and_no_order(run, tmp_path):
    found = consequences(run, what_if(run, tmp_path, "components.broker.slippage.model=none"))
    assert found.counts[Fate.CHANGED] == run.counts["Order"]
    change = found.changes[0]
    assert change.differing == ("price", "fees", "slippage")
    assert change.before.order_id == change.after.order_id
    assert change.after.slippage == 0.0
    assert change.effect > 0.0
    before, after = found.statistics["final_equity"]
    assert after > before
    assert sum(c.effect for c in found.changes) == pytest.approx(after - before)


def test_another_strategy_adds_and_omits_orders_matched_by_the_bar_that_caused_them(run, tmp_path):
    other = what_if(run, tmp_path, "components.strategy.fast=5", "components.strategy.slow=20")
    found = consequences(run, other)
    counts = found.counts
    assert counts[Fate.ADDED] > 10
    assert counts[Fate.MISSING] > 10
    assert counts[Fate.SAME] + counts[Fate.CHANGED] + counts[Fate.MISSING] == run.counts["Order"]
    assert counts[Fate.SAME] + counts[Fate.CHANGED] + counts[Fate.ADDED] == other.counts["Order"]
    both = [c for c in found.changes if c.before and c.after]
    assert all((c.before.ts, c.before.symbol) == (c.after.ts, c.after.symbol) for c in both)


def test_a_config_replaces_the_components_that_it_names_and_nothing_else(run, tmp_path):
    config = tmp_path / "other.yaml"
    config.write_text("components: {broker: {class: SimulatedBroker, commission: {model: fixed, cost_per_trade: 7}}}\n")
    capture = open_capture(Path(run.run_dir))
    plan = plan_counterfactual(capture, config, (), tmp_path / "runs", None)
    assert {line.partition(":")[0] for line in replaced(capture, plan)} == {
        "components.broker.commission",
        "components.broker.slippage",
    }
    found = consequences(run, what_if(run, tmp_path, config=config))
    assert found.statistics["fees"][1] == 7 * run.counts["Fill"]


def test_the_new_run_is_captured_and_replays_itself(run, tmp_path):
    other = what_if(run, tmp_path, "components.risk_manager.quantity=50")
    capture = open_capture(Path(other.run_dir))
    result = reexecute(capture, plan_replay(capture), lambda: None)
    assert result.divergence is None
    assert result.digest == other.digest


def test_it_does_not_matter_where_the_components_run(run, tmp_path):
    settings = ("components.risk_manager.quantity=50",)
    here = what_if(run, tmp_path, *settings)
    assert what_if(run, tmp_path, *settings, placement=Placement.THREADS).digest == here.digest


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ((), "nothing is replaced"),
        (("components.brokr.max_volume_pct=1",), "there is no component 'brokr'; did you mean 'broker'?"),
        (("components.data_handler.path=x",), "what data_handler says is taken from the log"),
        (("components.broker.slippage.model=fxed",), "did you mean 'fixed'?"),
        (("components.broker.max_volume=0.1",), "did you mean 'max_volume_pct'?"),
        (("execution.mode=LIVE_TRADING",), "execution.mode: LIVE_TRADING waits for nobody"),
        (("execution=3", "bus=null"), "execution: is 3, not a mapping"),
        (("live_trading.initial_cash=5",), "live_trading: the captured run has the section backtest in its place"),
    ],
)
def test_what_cannot_be_replaced_is_refused(run, tmp_path, settings, text):
    with pytest.raises(ConfigError) as error:
        plan_counterfactual(open_capture(Path(run.run_dir)), None, settings, tmp_path, None)
    assert text in str(error.value)


def test_a_section_of_another_shape_is_a_fault_like_any_other(run, tmp_path):
    (tmp_path / "other.yaml").write_text("backtest: 3\n")
    with pytest.raises(ConfigError, match=r"backtest: must be a mapping"):
        plan_counterfactual(open_capture(Path(run.run_dir)), tmp_path / "other.yaml", (), tmp_path, None)


def test_the_command_shows_the_orders_and_the_results_side_by_side(run, tmp_path):
    options = ("--set", "components.broker.slippage.price_impact=0.002", "--run-dir", tmp_path)
    said = command("replay", run.run_dir, *options).output
    assert "Replaced  components.broker.slippage: " in said
    assert f"Orders    {run.counts['Order']}: 0 the same, {run.counts['Order']} changed, 0 added, 0 missing" in said
    row = r"changed +20\d\d-\d\d-\d\d +risk_manager-\d+ +BUY \w+ MARKET +100 +[\d.,]+ +[\d.]+ +-[\d.]+ "
    assert re.search(row, said), said
    assert re.search(r"final_equity +[\d,.]+ +[\d,.]+ +-[\d,.]+", said)
    document = json.loads(command("replay", run.run_dir, *options, "--json").output)
    assert document["orders"] == {"same": 0, "changed": run.counts["Order"], "added": 0, "missing": 0}
    assert document["statistics"]["final_equity"]["before"] == run.statistics["final_equity"]
    usage = command("replay", run.run_dir, *options, "--component", "broker", code=2).output
    assert "do not go with --with and --set" in usage
