"""Whole searches with `executor: compiled`: what they find is what event-driven searches find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from bus.errors import ConfigError, Divergence
from deploy.optimize import optimizer
from deploy.optimize.optimizer import optimize
from tests.compiled.engine import assert_same
from tests.support.launching import ROOT
from tests.support.searching import FAST, SLOW, a_search

RULE = {
    "class": "ArrayStrategy",
    "rule": "tests.support.array_rules.crossover",
    "params": {"fast": 5, "slow": 20},
    "lookback": "slow",
}
PARAMS = {f"components.strategy.params.{name}": values for name, values in (("fast", [3, 8]), ("slow", [15, 30]))}
WALK = {"method": "walk_forward", "train_days": 300, "test_days": 120}


def compiled_and_not(folder: Path, change=lambda content: None, **section):
    """The result of a search event by event, and that of the same one compiled."""
    results = []
    for executor in ("inline", "compiled"):
        config = a_search(folder, study=executor, executor=executor, **section)
        content = yaml.safe_load(config.read_text())
        change(content)
        config.write_text(yaml.safe_dump(content))
        results.append(optimize(config))
    return results


def test_a_search_finds_the_same_compiled(tmp_path):
    def several(content):
        content["backtest"] |= {"symbols": ["AAPL", "IBM", "MSFT"]}
        content["components"]["broker"] = {
            "class": "SimulatedBroker",
            "slippage": {"model": "fixed", "price_impact": 0.0005},
            "commission": {"model": "per_share", "rate": 0.005, "minimum": 1},
        }

    apart, together = compiled_and_not(tmp_path, several, validation=WALK, constraints=["trades >= 3"])
    assert [t.state for t in together.trials] == [t.state for t in apart.trials]
    for one, other in zip(together.trials, apart.trials, strict=True):
        assert one.point == other.point
        assert_same(one.statistics, other.statistics)
    assert together.chosen.point == apart.chosen.point
    assert together.digest == apart.digest
    assert [f.test.statistics["final_equity"] for f in together.folds] == [
        f.test.statistics["final_equity"] for f in apart.folds
    ]


def test_a_rule_of_arrays_is_searched_compiled_and_its_best_runs_event_by_event(tmp_path):
    def rule(content):
        content["components"]["strategy"] = RULE

    apart, together = compiled_and_not(tmp_path, rule, parameters=PARAMS)
    assert [t.values for t in together.trials] == [pytest.approx(t.values, rel=1e-12) for t in apart.trials]
    assert together.digest == apart.digest is not None
    assert together.chosen.statistics["trades"] > 3


def test_a_compiled_trial_that_the_engine_does_not_confirm_is_a_divergence(tmp_path, monkeypatch):
    monkeypatch.setattr("deploy.optimize.compiled.program._slippage", lambda _model: (1, 0.001, 0.0, 0.0))
    with pytest.raises(Divergence, match=r"trial \d, compiled, has total_return .* in the event-driven run"):
        optimize(a_search(tmp_path, executor="compiled"))


def test_what_one_trial_makes_impossible_is_that_trials_error(tmp_path):
    section = {"components.broker.slippage.model": ["none", "square_root"], FAST: [5], SLOW: [20]}
    config = a_search(tmp_path, executor="compiled", parameters=section)
    content = yaml.safe_load(config.read_text())
    content["components"]["broker"] = {"class": "SimulatedBroker"}
    config.write_text(yaml.safe_dump(content))
    fine, refused = optimize(config).trials
    assert (fine.state, refused.state) == ("completed", "invalid")
    assert refused.error.startswith("components.broker.slippage.model: square_root has no compiled form")


def test_run_folders_are_not_to_be_had(tmp_path):
    with pytest.raises(ConfigError, match="keep_runs: compiled runs leave no folders"):
        optimize(a_search(tmp_path, executor="compiled", keep_runs=True))


def test_without_numba_it_says_what_to_install(tmp_path, monkeypatch):
    def missing(module, extra, what):
        raise ConfigError(f"{what} needs {module}: admf-trader[{extra}]")

    monkeypatch.setattr(optimizer, "need", missing)
    with pytest.raises(ConfigError, match="needs"):
        optimize(a_search(tmp_path, executor="compiled"))


def test_the_shipped_example_is_one_that_compiles(tmp_path):
    settings = [f"bus.run_dir={json.dumps(str(tmp_path))}", "optimization.trials=4"]
    result = optimize(ROOT / "configs" / "optimize_compiled.yaml", settings)
    assert result.digest
