"""The parts of a search that need no run: periods, constraints, settings, seeds, judgement, the Pareto front."""

from __future__ import annotations

import datetime as dt

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bus.errors import ConfigError
from deploy.optimize.constraints import parse_constraints, split_by_kind
from deploy.optimize.extras import need
from deploy.optimize.job import Outcome
from deploy.optimize.section import Objective, OptimizationSection, ParameterRange, ValidationSection
from deploy.optimize.space import axis, grid, setting
from deploy.optimize.trial import Trial, best_of, judge, seed_of
from deploy.optimize.windows import Period, make_folds

WHOLE = Period(dt.date(2000, 1, 1), dt.date(2009, 12, 31))
UP, DOWN = Objective(key="gain"), Objective(key="loss", direction="minimize")


def days(period: Period) -> set[dt.date]:
    return {period.start + dt.timedelta(days=n) for n in range(period.days)}


@given(
    length=st.integers(1, 400),
    train=st.integers(1, 90),
    test=st.integers(1, 60),
    embargo=st.integers(0, 10),
    anchored=st.booleans(),
)
def test_no_fold_tests_a_day_that_it_or_an_earlier_fold_trained_on(length, train, test, embargo, anchored):
    whole = Period(WHOLE.start, WHOLE.start + dt.timedelta(days=length - 1))
    validation = ValidationSection(
        method="walk_forward", train_days=train, test_days=test, embargo_days=embargo, anchored=anchored
    )
    if length < train + embargo + test:
        with pytest.raises(ConfigError, match="too few for one fold"):
            make_folds(whole, validation)
        return
    trained: set[dt.date] = set()
    tested: set[dt.date] = set()
    for fold in make_folds(whole, validation):
        assert fold.train is not None
        assert fold.test is not None
        trained |= days(fold.train)
        assert not days(fold.test) & (trained | tested)
        assert (fold.test.start - fold.train.end).days == embargo + 1
        assert fold.test.days == test
        assert fold.train.days == train or anchored
        assert whole.start <= fold.train.start
        assert fold.test.end <= whole.end
        tested |= days(fold.test)


@given(fraction=st.floats(0.01, 0.99), embargo=st.integers(0, 30))
def test_a_split_tests_the_end_and_trains_on_what_is_before_it(fraction, embargo):
    (fold,) = make_folds(WHOLE, ValidationSection(method="split", test_fraction=fraction, embargo_days=embargo))
    assert fold.test is not None
    assert fold.train is not None
    assert fold.test.end == WHOLE.end
    assert fold.train.start == WHOLE.start
    assert (fold.test.start - fold.train.end).days == embargo + 1


@pytest.mark.parametrize(
    ("text", "values", "holds"),
    [
        ("a <= 1", {"a": 1}, True),
        ("a < 1", {"a": 1}, False),
        ("a>=b", {"a": 2, "b": 1.5}, True),
        ("0.5 > a", {"a": 0.5}, False),
        ("a <= 1e-3", {"a": None}, False),
    ],
)
def test_a_constraint_holds_or_is_violated_by_more_than_zero(text, values, holds):
    (constraint,), faults = parse_constraints([text], [])
    assert faults == []
    assert constraint.holds(values) is holds
    assert (constraint.violation(values) <= 0) is holds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_drawdown = 3", "optimization.constraints.0: 'max_drawdown = 3' is not a comparison"),
        ("x.fsat < 3", "optimization.constraints.0: x.fsat is not searched; did you mean 'x.fast'?"),
        ("1 < 3", "'1 < 3' compares two numbers"),
    ],
)
def test_a_wrong_constraint_is_refused_with_what_to_write(text, expected):
    assert any(expected in fault for fault in parse_constraints([text], ["x.fast"])[1])


def test_constraints_on_parameters_alone_are_decided_before_a_run():
    constraints, _ = parse_constraints(["x.a < x.b", "trades >= 3", "x.a < trades"], ["x.a", "x.b"])
    before, after = split_by_kind(constraints, ["x.a", "x.b"])
    assert [c.text for c in before] == ["x.a < x.b"]
    assert [c.text for c in after] == ["trades >= 3", "x.a < trades"]


@given(st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.none()))
def test_a_setting_reads_back_as_the_same_value(value):
    back = yaml.safe_load(setting("a.b", value).partition("=")[2])
    assert (back, type(back)) == (value, type(value))


def test_a_grid_counts_steps_exactly_and_keeps_to_its_constraints():
    assert axis("x", ParameterRange(low=0.1, high=0.5, step=0.1)) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert axis("x", ParameterRange(low=1, high=9, step=3)) == [1, 4, 7]
    constraints, _ = parse_constraints(["x.a < x.b"], ["x.a", "x.b"])
    cells = list(grid({"x.a": ParameterRange(low=1, high=3), "x.b": ParameterRange(choices=(2, 3))}, constraints))
    assert cells == [{"x.a": 1, "x.b": 2}, {"x.a": 1, "x.b": 3}, {"x.a": 2, "x.b": 3}]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"low": 1}, "needs low and high, or a list of choices"),
        ({"low": 3, "high": 1}, "low 3 is above high 1"),
        ({"low": 0, "high": 1, "log": True}, "log needs low above 0"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "log and step do not go together"),
        ({"choices": (1, 1)}, "1 stands there twice"),
        ({"choices": (1, 2), "low": 1}, "give either choices, or low and high"),
    ],
)
def test_a_parameter_range_that_means_nothing_is_refused(values, expected):
    with pytest.raises(ValidationError, match=expected):
        ParameterRange.model_validate(values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"objective": ["a", "a"]}, "a key stands there twice"),
        ({"objective": ["a", "b"], "pruning": "median"}, "works with one objective only"),
        ({"objective": ["a", "b"], "sampler": "cmaes"}, "cmaes works with one objective only"),
        ({"executor": "dask"}, "goes with `executor: dask`"),
        ({"address": "tcp://a:1"}, "goes with `executor: dask`"),
        ({"validation": "walk_forward"}, "walk_forward needs train_days and test_days"),
        ({"validation": {"method": "split", "train_days": 3}}, "are for walk_forward"),
        ({"pruning": {"fractions": [0.5, 0.2]}}, "must rise"),
    ],
)
def test_a_section_whose_parts_do_not_fit_is_refused(values, expected):
    with pytest.raises(ValidationError, match=expected):
        OptimizationSection.model_validate({"objective": "a", "parameters": {"x.y": [1, 2]}, **values})


def test_seeds_follow_from_the_place_in_the_search_and_differ():
    seeds = [seed_of(7, fold, trial, repeat) for fold in (1, 2) for trial in range(50) for repeat in range(3)]
    assert len(set(seeds)) == len(seeds)
    assert seeds[0] == seed_of(7, 1, 0, 0) != seed_of(8, 1, 0, 0)
    assert all(0 <= seed < 2**31 for seed in seeds)


def outcome(**statistics: object) -> Outcome:
    return Outcome("completed", statistics, digest="d")


def test_a_trial_with_several_seeds_has_the_mean_of_its_runs():
    trial = judge(0, {}, [outcome(gain=1.0, name="x"), outcome(gain=4.0, name="y")], [UP], [], {})
    assert trial.values == (2.5,)
    assert trial.statistics == {"gain": 2.5, "name": "x"}


def test_a_trial_without_a_defined_objective_has_failed_and_says_why():
    trial = judge(0, {}, [outcome(gain=None)], [UP], [], {})
    assert (trial.state, trial.error) == ("failed", "gain is not defined for this run")


def test_a_result_key_that_runs_do_not_have_suggests_the_right_one():
    with pytest.raises(ConfigError, match=r"optimization.objective: a run has no result 'gian'; did you mean 'gain'\?"):
        judge(0, {}, [outcome(gain=1.0)], [Objective(key="gian")], [], {})


def test_a_trial_that_breaks_a_constraint_is_never_the_best():
    constraints, _ = parse_constraints(["loss <= 2"], [])
    trials = [judge(n, {}, [outcome(gain=g, loss=v)], [UP], constraints, {}) for n, g, v in ((0, 9.0, 3), (1, 5.0, 2))]
    assert [trial.is_feasible for trial in trials] == [False, True]
    assert [trial.number for trial in best_of(trials, [UP])] == [1]


def test_the_first_of_equally_good_trials_is_the_best():
    trials = [Trial(n, {}, "completed", (v,)) for n, v in enumerate((1.0, 3.0, 3.0))]
    assert [trial.number for trial in best_of(trials, [UP])] == [1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=15))
def test_the_pareto_front_is_what_no_trial_beats_in_everything(values):
    trials = [Trial(n, {}, "completed", (float(a), float(b))) for n, (a, b) in enumerate(values)]
    front = {trial.number for trial in best_of(trials, [UP, DOWN])}
    for n, (gain, loss) in enumerate(values):
        beaten = any(g >= gain and v <= loss and (g, v) != (gain, loss) for g, v in values)
        assert (n in front) is not beaten


def test_a_missing_package_is_an_error_that_says_how_to_install_it():
    with pytest.raises(
        ConfigError, match=r"admf optimize needs no_such_package, .* pip install 'admf-trader\[optimize\]'"
    ):
        need("no_such_package.inner", "optimize", "admf optimize")
