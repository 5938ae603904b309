"""The check that hot paths stay as fast as they were."""

from __future__ import annotations

import gc
import itertools
import json

import pytest

from tests.benchmarks import regression
from tests.benchmarks.regression import CASES, PYTHON, Case, allowance, counts_a_bar, main, measure_times
from tests.support.tracing import traced

FOUND = {"W2: calls": 100.0, "W2: instructions": 900.0, "W2: time": 4.0}


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Runs the command with a baseline and figures of its own."""

    def command(baseline, found, *arguments):
        monkeypatch.setattr(regression, "BASELINE", tmp_path / "baseline.json")
        if baseline is not None:
            regression.BASELINE.write_text(json.dumps(baseline))
        monkeypatch.setattr(regression, "measure_counts", lambda: {k: v for k, v in found.items() if "time" not in k})
        monkeypatch.setattr(regression, "measure_times", lambda _r, _b: {k: v for k, v in found.items() if "time" in k})
        monkeypatch.setattr("sys.argv", ["regression", *arguments])
        return main()

    return command


def test_what_is_as_it_was_passes(check, capsys):
    assert check({PYTHON: FOUND}, FOUND) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["name"], line["value"], line["met"]) for line in lines] == [
        ("W2: calls", 1.0, True),
        ("W2: instructions", 1.0, True),
        ("W2: time", 1.0, True),
    ]


@pytest.mark.parametrize("name", FOUND)
def test_what_is_too_much_slower_fails_and_is_named(check, capsys, name):
    slower = {**FOUND, name: FOUND[name] * (allowance(name) + 0.01)}
    assert check({PYTHON: FOUND}, slower) == 1
    assert f"Too far above the baseline: {name}. " in capsys.readouterr().err


def test_without_a_baseline_of_this_python_it_says_how_to_make_one(check, capsys):
    assert check({"2.7": FOUND}, FOUND) == 2
    assert f"no baseline of these cases for Python {PYTHON}; it has some for 2.7" in capsys.readouterr().err


def test_a_new_case_needs_a_baseline(check):
    assert check({PYTHON: FOUND}, {**FOUND, "W9: calls": 1.0}) == 2


def test_a_baseline_is_rewritten_for_this_python_only(check):
    assert check({"2.7": FOUND, PYTHON: FOUND}, {"W2: calls": 50.0}, "--rewrite") == 0
    assert json.loads(regression.BASELINE.read_text()) == {"2.7": FOUND, PYTHON: {"W2: calls": 50.0}}


def test_counts_are_the_same_every_time_and_higher_where_more_is_done(tmp_path):
    first, again = (counts_a_bar(Case("W2", "none", 4_000), tmp_path) for _ in range(2))
    assert tuple(first) == pytest.approx(tuple(again), rel=1e-2)
    more = counts_a_bar(Case("W2", "full", 4_000), tmp_path)
    assert more.calls > first.calls
    assert more.instructions > first.instructions > first.calls


def test_the_collector_which_others_may_listen_to_waits_while_something_is_counted():
    calls = []

    def on_collection(phase, _info):
        calls.append(phase)

    gc.callbacks.append(on_collection)
    try:
        with traced(lambda *_: None):
            calls.clear()
            kept = [[] for _ in range(2 * gc.get_threshold()[0])]
            assert not calls
        kept += ([] for _ in range(2 * gc.get_threshold()[0]))
        assert calls
    finally:
        gc.callbacks.remove(on_collection)


def test_a_time_is_measured_longer_before_it_is_called_slower(monkeypatch):
    takes = itertools.chain([0.9] * 3 * len(CASES), itertools.repeat(0.4))
    monkeypatch.setattr(regression, "calibration", lambda: 0.1)
    monkeypatch.setattr(regression, "cpu_s", lambda _case, _folder: next(takes))
    baseline = {f"{case}: time": 4.0 for case in CASES}
    assert measure_times(2, baseline) == pytest.approx(baseline)


def test_every_case_of_every_python_has_its_baseline():
    kept = json.loads(regression.BASELINE.read_text())
    names = {f"{case}: {what}" for case in CASES for what in ("calls", "instructions", "time")}
    assert {"3.11", "3.12", "3.13"} == kept.keys()
    assert all(figures.keys() == names for figures in kept.values())
