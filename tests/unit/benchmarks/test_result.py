"""Figures, their aims, and what is written of them."""

from __future__ import annotations

import itertools
import json
import subprocess

import pytest

from tests.benchmarks import growth, processes, result, run, workloads
from tests.benchmarks.peers.common import PAIRS
from tests.benchmarks.peers.run import PEERS, ratios
from tests.benchmarks.result import Options, Result, alone, in_turn, median_of, ratio_of, until_sure, write_down


@pytest.mark.parametrize(
    ("value", "bound", "met"),
    [(1.6, "at most", True), (1.61, "at most", False), (1.6, "at least", True), (1.59, "at least", False)],
)
def test_an_aim_is_met_up_to_its_bound(value, bound, met):
    one = Result("capture", value, "ratio", aim=1.6, bound=bound)
    assert one.met is met
    assert one.document()["met"] is met


def test_a_figure_without_an_aim_is_neither_met_nor_missed():
    assert Result("W4", 2.0, "us/bar").document() == {"name": "W4", "value": 2.0, "unit": "us/bar", "runs": 1}


def test_a_median_has_its_extremes():
    document = median_of("W2", [3.0, 1.0, 2.0], "us/bar").document()
    assert (document["value"], document["low"], document["high"], document["runs"]) == (2.0, 1.0, 3.0, 3)


def test_a_ratio_is_the_median_of_those_of_neighbours():
    one = ratio_of("W2", [3.0, 8.0, 30.0], [1.0, 4.0, 5.0])
    assert (one.value, one.low, one.high) == (3.0, 2.0, 6.0)


@pytest.mark.parametrize(
    ("ratios", "full", "count"),
    [
        ([1.0, 1.01, 0.99], True, 3),
        ([1.0, 1.01, 0.99], False, 3),
        ([1.0, 2.0], True, 31),
        ([1.0, 2.0], False, 3),
        ([1.0, 1.04, 0.96], True, 14),
    ],
)
def test_at_full_size_a_ratio_is_measured_until_it_is_sure(ratios, full, count):
    endless = itertools.cycle(ratios)
    values, bases = until_sure(lambda: (10 * next(endless), 10.0), Options(3, full))
    assert (len(values), set(bases)) == (count, {10.0})
    assert values == [10 * ratio for ratio in itertools.islice(itertools.cycle(ratios), count)]


@pytest.mark.parametrize(("full", "count"), [(True, 2), (False, 1)])
def test_a_ratio_that_was_measured_once_is_not_sure(full, count):
    assert len(until_sure(lambda: (3.0, 2.0), Options(1, full))[0]) == count


def test_large_figures_have_no_fraction_and_small_ones_four_digits():
    assert Result("rate", 203_049.4, "bars/s").document()["value"] == 203_049
    assert Result("time", 0.123456, "s").document()["value"] == 0.1235


def test_results_are_added_to_the_history_only_when_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(result, "HISTORY", tmp_path / "history.jsonl")
    figures = [Result("W4", 2.0, "us/bar")]
    write_down({"name": "machine"}, figures, record=False)
    assert not result.HISTORY.exists()
    write_down({"name": "machine"}, figures, record=True)
    written = result.HISTORY.read_text()
    assert capsys.readouterr().out == written * 2
    assert [json.loads(line)["name"] for line in written.splitlines()] == ["machine", "W4"]


def test_the_recorded_history_is_readable():
    names = [json.loads(line)["name"] for line in result.HISTORY.read_text().splitlines()]
    assert "local, one order a bar" in names


def test_every_module_that_measures_is_found():
    known = run.benchmarks()
    assert {"growth", "processes", "workloads"} <= known.keys()
    assert "bars" not in known


def test_a_function_is_run_in_a_process_of_its_own():
    assert alone(workloads.us_per_bar, "W4", 100) > 0


def test_what_is_switched_on_costs_and_is_put_against_its_aim(monkeypatch):
    taken = {"none": iter([2.0, 2.0]), "full": iter([3.0, 3.4])}
    monkeypatch.setattr(workloads, "WORKLOADS", {"W2": {}})
    monkeypatch.setattr(workloads, "alone", lambda _function, _workload, _bars, capture: next(taken[capture]))
    plain, captured = workloads.measure(Options(runs=2))
    assert plain.value == 2.0
    assert captured.value == pytest.approx(1.6)
    assert captured.aim == workloads.CAPTURE_AIM


def test_growth_is_measured_piece_by_piece():
    turns: list[None] = []
    times = growth.piece_times(growth._ladder(3), 3 * growth.PIECE, lambda: turns.append(None))
    assert len(times) == 2, "the first piece has no mark before it"
    assert min(times) > 0
    assert len(turns) == 3


def test_runs_of_different_length_go_on_in_turn():
    long, short = in_turn(growth.quiet_bars, (2, 5 * growth.PIECE), (0, 3 * growth.PIECE))
    assert (len(long), len(short)) == (3, 1)


def test_a_process_that_fails_in_its_turn_is_an_error():
    with pytest.raises(subprocess.CalledProcessError):
        in_turn(growth.quiet_bars, (2,), (0, growth.PIECE))


def test_a_run_in_threads_gives_its_document():
    document = processes.launched("W2", 50, "threads")
    assert document["orders"] == 50
    assert 0 < document["run_s"] < document["elapsed_s"]


def test_peers_are_compared_with_the_fastest_that_is_event_driven():
    times = {w: {"admf": [1.0], "vnpy": [2.0], "vectorbt": [0.1], "nautilus": [30.0]} for w in ("W4", "W1", "W2", "W3")}
    times["W5"] = {"admf": [1.2], "vectorbt": [1.0]}
    found = {one.name: one for one in ratios(times)}
    assert not found["W5, admf to vectorbt"].met
    best = found["W4, admf to vnpy, the fastest event-driven peer"]
    assert (best.value, best.aim, best.met) == (0.5, 0.6, True)
    assert not found["W1, admf to vnpy, the fastest event-driven peer"].met
    assert found["W3, nautilus to admf"].met


def test_the_sweep_has_the_pairs_of_the_comparison():
    assert len(set(PAIRS)) == 64
    assert all(fast < slow for fast, slow in PAIRS)
    assert all(version for peer in PEERS.values() for version in peer.requirements)
