"""How often the garbage collector looks while a run goes on, and that memory stays bounded whatever components do."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.runtime.component import Component, handles
from bus.runtime.garbage import COLLECT_EVERY, collected_rarely
from deploy.launcher import RunResult, launch
from deploy.plan import Placement, plan_of
from deploy.run_folder import COMPLETED, FAILED
from deploy.topology import read_yaml
from schemas import Bar, Signal
from tests.support.launching import PARTS

USUAL = (700, 10, 10)


class Node:
    """Refers to itself, so that only the collector can find it."""

    alive = most = 0

    def __init__(self) -> None:
        self.itself = self
        Node.alive += 1
        Node.most = max(Node.most, Node.alive)

    def __del__(self) -> None:
        Node.alive -= 1


class Cycles(Component):
    """Lets a cycle go with every bar, and remembers how often the collector looks."""

    component_type = "strategy"
    emits = (Signal,)

    @handles(Bar)
    def on_bar(self, _: Bar) -> None:
        Node()
        self.threshold = gc.get_threshold()


class Failing(Cycles):
    @handles(Bar)
    def on_bar(self, _: Bar) -> None:
        raise RuntimeError("the strategy has no idea")


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """The collector as Python sets it, and as it was before afterwards."""
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    gc.enable()
    gc.set_threshold(*before)


def a_run(folder: Path, strategy: type[Component], bars: int) -> tuple[RunResult, Component]:
    content = read_yaml(PARTS)
    content["bus"] = {"capture": "none", "run_dir": str(folder / "runs")}
    content["components"]["bars"] |= {"count": bars, "block": 1000}
    content["components"]["strategy"] = {"class": f"{__name__}.{strategy.__name__}"}
    plan = plan_of(content, folder / "cycles.yaml", Placement.LOCAL)
    return launch(plan), next(entry.component for entry in plan.entries if entry.name == "strategy")


def test_cycles_of_a_component_are_collected_while_the_run_goes_on(tmp_path):
    gc.collect()
    Node.most = Node.alive
    result, strategy = a_run(tmp_path, Cycles, 5 * COLLECT_EVERY // 2)
    assert result.status == COMPLETED
    assert strategy.threshold[0] == COLLECT_EVERY
    assert Node.most <= COLLECT_EVERY


def test_a_run_leaves_the_collector_as_it_was(tmp_path):
    frozen = gc.get_freeze_count()
    a_run(tmp_path, Cycles, 10)
    assert (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()) == (True, USUAL, frozen)


def test_so_does_a_run_that_fails(tmp_path):
    result, _ = a_run(tmp_path, Failing, 10)
    assert result.status == FAILED
    assert gc.get_threshold() == USUAL


def test_of_runs_beside_each_other_the_last_one_restores():
    ended, go_on = threading.Event(), threading.Event()

    def other() -> None:
        with collected_rarely():
            ended.set()
            go_on.wait(10)

    thread = threading.Thread(target=other)
    with collected_rarely():
        thread.start()
        assert ended.wait(10)
    assert gc.get_threshold() == (COLLECT_EVERY, 10, 10)
    go_on.set()
    thread.join()
    assert gc.get_threshold() == USUAL


@pytest.mark.parametrize("own", [(0, 10, 10), (COLLECT_EVERY, 1, 1), (50_000, 20, 100)])
def test_a_collector_that_is_off_or_slow_is_let_be(own):
    gc.set_threshold(*own)
    with collected_rarely():
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_one_that_is_switched_off_stays_off():
    gc.disable()
    with collected_rarely():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_what_a_component_sets_meanwhile_stays():
    with collected_rarely():
        gc.set_threshold(5000, 3, 3)
    assert gc.get_threshold() == (5000, 3, 3)


def test_old_objects_of_a_long_run_are_collected_before_the_next():
    with collected_rarely():
        left = Node()
        gc.collect(1)  # as a long run's allocations make it do
        gc.collect(1)
    found = weakref.ref(left)
    del left
    assert found() is not None
    with collected_rarely():
        assert found() is None
