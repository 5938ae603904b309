"""Whole searches in this process: what they find, that they repeat themselves, what they refuse, what they leave."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import shlex
from pathlib import Path

import pytest

from bus.errors import ConfigError
from deploy.optimize.job import Job, run_job
from deploy.optimize.market_data import map_bars, share
from deploy.optimize.optimizer import Hooks, SearchResult, optimize
from deploy.plan import make_plan
from tests.support.launching import admf
from tests.support.searching import FAST, SLOW, a_search

pytest.importorskip("optuna")

TPE = {"type": "tpe", "options": {"n_startup_trials": 4}}
WIDE = {FAST: {"low": 2, "high": 19}, SLOW: {"low": 20, "high": 60, "step": 5}}


def found(result: SearchResult) -> list[tuple[object, ...]]:
    return [(t.number, t.state, tuple(t.point.items()), t.values, t.digests) for t in result.trials]


def test_a_grid_runs_every_cell_once_and_the_best_gives_the_same_digest_by_hand(tmp_path):
    result = optimize(a_search(tmp_path))
    points = [(t.point[FAST], t.point[SLOW]) for t in result.trials]
    assert points == list(itertools.product([5, 10, 15], [20, 40]))
    assert result.chosen is not None
    assert result.chosen.values[0] == max(t.values[0] for t in result.trials)
    arguments = shlex.split(result.command)
    assert arguments[:2] == ["admf", "launch"]
    done = admf(*arguments[1:], "--json", folder=tmp_path)
    assert result.digest is not None
    assert f'"digest": "{result.digest}"' in done.stdout
    assert result.chosen.digests == (result.digest,)


def test_a_search_leaves_a_small_folder_unless_it_is_told_to_keep_the_runs(tmp_path):
    result = optimize(a_search(tmp_path))
    assert not (result.folder / "runs").exists()
    kept = optimize(a_search(tmp_path, study="kept", keep_runs=True))
    assert len(list((kept.folder / "runs").glob("*/results.json"))) == 6


@pytest.mark.parametrize("sampler", ["random", TPE, {"type": "nsga2", "options": {"population_size": 4}}, "cmaes"])
def test_a_search_repeats_itself_and_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path, sampler):
    section = {"parameters": WIDE, "sampler": sampler, "seed": 3, "batch_size": 3}
    whole = optimize(a_search(tmp_path, study="whole", trials=10, **section))
    first = optimize(a_search(tmp_path, study="parts", trials=4, **section))
    both = optimize(a_search(tmp_path, study="parts", trials=10, **section))
    assert found(first) == found(whole)[:4]
    assert both.resumed == 4
    assert found(both) == found(whole)
    again = optimize(a_search(tmp_path, study="again", trials=10, **section))
    assert found(again) == found(whole)


def test_a_search_that_is_stopped_in_the_middle_of_a_batch_ends_up_the_same(tmp_path):
    section = {"parameters": WIDE, "sampler": TPE, "trials": 12, "batch_size": 4}
    whole = optimize(a_search(tmp_path, study="whole", **section))

    def stop_after_six(_fold, trial, _best):
        if trial.number == 6:
            raise KeyboardInterrupt

    config = a_search(tmp_path, study="stopped", **section)
    with pytest.raises(KeyboardInterrupt):
        optimize(config, hooks=Hooks(on_trial=stop_after_six))
    resumed = optimize(config)
    assert resumed.resumed == 6
    assert found(resumed) == found(whole)


def test_another_seed_draws_other_points_and_gives_other_seeds(tmp_path):
    one, other = (
        optimize(a_search(tmp_path, study=f"s{n}", parameters=WIDE, sampler="random", trials=3, seed=n)) for n in (1, 2)
    )
    assert [t.point for t in one.trials] != [t.point for t in other.trials]


def test_several_seeds_run_each_point_several_times(tmp_path):
    result = optimize(a_search(tmp_path, seeds_per_trial=2, parameters={FAST: [5]}))
    (trial,) = result.trials
    assert len(set(trial.digests)) == 2


def test_constraints_on_parameters_keep_points_from_running_and_those_on_results_from_winning(tmp_path):
    limits = [f"{FAST} >= 10", "trades >= 12"]
    result = optimize(a_search(tmp_path, constraints=limits))
    assert all(t.point[FAST] >= 10 for t in result.trials)
    assert {t.is_feasible for t in result.trials} == {True, False}
    assert result.chosen is not None
    assert result.chosen.statistics["trades"] >= 12


def test_a_sampler_draws_again_where_a_point_breaks_a_constraint(tmp_path):
    section = {"parameters": WIDE, "sampler": "random", "trials": 6, "constraints": [f"{FAST} >= 15"]}
    assert [t.point[FAST] >= 15 for t in optimize(a_search(tmp_path, **section)).trials] == [True] * 6


def test_a_point_that_the_topology_refuses_does_not_end_the_search(tmp_path):
    result = optimize(a_search(tmp_path, parameters={FAST: [10, 25], SLOW: [20]}))
    assert [t.state for t in result.trials] == ["completed", "invalid"]
    assert "fast (25) must be less than slow (20)" in result.trials[1].error


def test_several_objectives_give_a_pareto_front_and_its_picture(tmp_path):
    from deploy.optimize.report import write_report

    objectives = ["total_return", {"key": "max_drawdown", "direction": "minimize"}]
    result = optimize(a_search(tmp_path, objective=objectives, sampler="nsga2", parameters=WIDE, trials=12))
    front = result.folds[0].best
    assert front
    for trial in result.trials:
        for best in front:
            gain, loss = trial.values
            assert not (gain > best.values[0] and loss < best.values[1])
    write_report(result)
    assert_drawn(result.folder / "pictures" / "pareto.png")


def test_pruning_gives_up_on_trials_that_lag_behind_and_repeats_itself(tmp_path):
    pruning = {"type": "median", "fractions": [0.3, 0.6], "options": {"n_startup_trials": 2}}
    section = {"parameters": WIDE, "sampler": "random", "trials": 12, "batch_size": 3, "pruning": pruning}
    result = optimize(a_search(tmp_path, **section))
    states = [t.state for t in result.trials]
    assert "pruned" in states
    assert "completed" in states
    assert all(1 in t.intermediate for t in result.trials)
    assert result.chosen is not None
    assert result.chosen.state == "completed"
    assert found(optimize(a_search(tmp_path, **section))) == found(result)
    assert found(optimize(a_search(tmp_path, study="t", **section))) == found(result)


def test_a_walk_forward_searches_each_window_and_tests_its_best_on_the_next(tmp_path):
    validation = {"method": "walk_forward", "train_days": 365, "test_days": 120}
    result = optimize(a_search(tmp_path, validation=validation))
    assert len(result.folds) == 3
    for fold in result.folds:
        assert fold.test is not None
        assert fold.test.state == "completed"
        assert fold.test.point == fold.best[0].point
        train, test = (shlex.split(command) for command in fold.commands)
        assert f"backtest.end_date={fold.fold.train.end}" in train
        assert f"backtest.start_date={fold.fold.test.start}" in test


def test_shared_bars_are_those_of_the_file_mapped_and_give_the_same_digest(tmp_path):
    config = a_search(tmp_path)
    shared = tuple(share(make_plan(config), tmp_path / "data"))
    window = ("backtest.start_date=2006-06-01", "backtest.end_date=2007-05-31")
    for settings in (window, (*window, "backtest.close_at_end=next_open"), ("backtest.start_date=2005-06-01",)):
        job = Job(config, settings, tmp_path / "runs")
        plain, mapped = run_job(job), run_job(Job(config, settings, tmp_path / "runs", shared))
        assert plain.status == mapped.status == "completed"
        assert plain.digest == mapped.digest
    bars = map_bars(shared[0].arrow)
    assert not bars.ts.flags.owndata
    assert not bars.ts.flags.writeable


def test_data_that_are_not_there_give_the_error_of_a_run_by_hand(tmp_path):
    config = a_search(tmp_path)
    shared = tuple(share(make_plan(config), tmp_path / "data"))
    settings = ("backtest.start_date=2006-01-01", "backtest.end_date=2006-01-01")
    plain, mapped = (run_job(Job(config, settings, tmp_path / "runs", s)) for s in ((), shared))
    assert plain.error == mapped.error
    assert "has no rows for IBM" in mapped.error


def test_trials_are_written_as_csv_and_parquet_and_drawn(tmp_path):
    from deploy.optimize.report import write_report

    result = optimize(a_search(tmp_path))
    names = write_report(result)
    assert names == ["report.html", "trials.csv", "trials.parquet", "result.json"]
    with (result.folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row[FAST]) for row in rows] == [5, 5, 10, 10, 15, 15]
    assert [row["best"] for row in rows].count("True") == 1
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(result.folder / "trials.parquet").num_rows == 6
    for name in ("course", "importance", "map-strategy.fast-strategy.slow", "map-strategy.slow-strategy.fast"):
        path = result.folder / "pictures" / f"{name}.png"
        if path.exists() or not name.startswith("map-"):
            assert_drawn(path)
    assert len(list((result.folder / "pictures").glob("map-*.png"))) == 1
    page = (result.folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert result.digest is not None
    assert result.digest in page
    assert "<th>return %</th><th>drawdown</th><th>trades</th>" in page


def assert_drawn(path: Path) -> None:
    """The file is a picture of the right size with more than one colour, and with a good share of ink."""
    from matplotlib import image

    pixels = image.imread(path)
    assert pixels.shape[:2] == (484, 792)
    ink = (pixels[..., :3].min(axis=2) < 0.9).mean()
    assert 0.005 < ink < 0.95
    assert len({tuple(pixel) for pixel in (pixels[::7, ::7, :3] * 255).astype(int).reshape(-1, 3).tolist()}) > 3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"parameters": {"components.strategy.fsat": [1]}},
            "components.strategy.fsat: unknown key; did you mean 'fast'?",
        ),
        (
            {"parameters": {"components.stratgy.fast": [1]}},
            "no component is called 'stratgy'; did you mean 'strategy'?",
        ),
        (
            {"parameters": {"component.strategy.fast": [1]}},
            "lies under components or backtest; did you mean 'components'?",
        ),
        ({"parameters": {FAST: ["quick"]}}, f"optimization.parameters.{FAST}: Input should be a valid integer"),
        ({"parameters": {FAST: [0, 5]}}, f"optimization.parameters.{FAST}: Input should be greater than or equal to 1"),
        ({"parameters": {"backtest.seed": [1, 2]}}, "backtest.seed: is decided by the search itself"),
        ({"parameters": {"components.strategy": [1]}}, "write it as components.NAME.PARAMETER"),
        ({"parameters": {FAST: {"low": 1.0, "high": 2.0}}}, "a grid needs step, or a list of choices"),
        ({"constraints": [f"{FAST} > 99"]}, "optimization.constraints: no cell of the grid meets them"),
        (
            {"sampler": {"type": "tpe", "options": {"n_startup": 1}}},
            "n_startup: unknown option; did you mean 'n_startup_tr",
        ),
        ({"pruning": "percentile"}, "optimization.pruning.options: "),
        (
            {"objective": "sharp_ratio"},
            "optimization.objective: a run has no result 'sharp_ratio'; did you mean 'sharpe_ratio'?",
        ),
        ({"constraints": ["max_drawdwon < 1"]}, "a run has no result 'max_drawdwon'; did you mean 'max_drawdown'?"),
        ({"storage": "nosuch://x"}, "optimization.storage: cannot open nosuch://x"),
        ({"sampler": "gird"}, "optimization.sampler.type: Input should be"),
    ],
)
def test_a_wrong_search_is_refused_with_the_place_and_what_was_meant(tmp_path, change, expected):
    with pytest.raises(ConfigError) as caught:
        optimize(a_search(tmp_path, **change))
    assert any(expected in fault for fault in caught.value.faults), caught.value.faults


def test_a_search_of_live_runs_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"execution.mode: PAPER_TRADING is a run by the clock"):
        optimize(a_search(tmp_path), ["execution.mode=PAPER_TRADING", "live_trading.symbols=[A]"])


def test_a_topology_without_the_section_is_refused_with_an_example(tmp_path):
    config = a_search(tmp_path)
    config.write_text(
        config.read_text().partition("optimization:")[0] + "components:\n  s: {class: MovingAverageCrossover}\n"
    )
    with pytest.raises(ConfigError, match=r"has no `optimization:` section"):
        optimize(config, [f"components.data_handler={{class: HistoricalDataHandler, path: {config}}}"])


def test_a_study_of_another_search_is_refused_and_can_be_begun_anew(tmp_path):
    optimize(a_search(tmp_path))
    changed = a_search(tmp_path, objective="sharpe_ratio")
    with pytest.raises(ConfigError, match=r"study 's' was made with another optimization section; .* --restart"):
        optimize(changed)
    assert optimize(changed, restart=True).resumed == 0
    with pytest.raises(ConfigError, match="another topology"):
        optimize(changed, ["backtest.initial_cash=5"])


def test_a_url_names_another_database(tmp_path):
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    assert optimize(a_search(tmp_path, storage=url)).storage == url
    assert optimize(a_search(tmp_path, storage=url)).resumed == 6


@pytest.mark.skipif(importlib.util.find_spec("psycopg") is not None, reason="the driver of PostgreSQL is installed")
def test_a_url_of_postgresql_goes_to_its_driver_and_hides_the_password(tmp_path):
    with pytest.raises(ConfigError, match=r"postgresql\+psycopg://me:\*\*\*@host/db .*psycopg"):
        optimize(a_search(tmp_path, storage="postgresql+psycopg://me:secret@host/db"))
