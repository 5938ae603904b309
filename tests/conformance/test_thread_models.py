"""The matrix of modes, thread models and isolation levels: every cell gives the one digest, or says why it cannot be.

The tables of the outcomes in docs/execution-modes.md are what the cells here are held to.
"""

from __future__ import annotations

import copy
import functools
import itertools
import re
import tempfile
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bus.errors import ConfigError
from bus.log_reader import LogReader
from bus.runtime.affinity import usable_cpus
from bus.runtime.clock import Clock
from bus.runtime.context import ExecutionContext
from bus.runtime.modes import ExecutionMode, Isolation, ThreadModel
from deploy.catalog import component_class
from deploy.container import create_container
from deploy.launcher import launch
from deploy.plan import Plan, plan_of
from deploy.replay.capture import open_capture
from deploy.replay.planning import plan_replay
from deploy.replay.reexecution import reexecute
from schemas import Bar, ComponentFailed
from tests.support.launching import ROOT
from tests.support.waiting import until

SMALL = yaml.safe_load((ROOT / "tests" / "support" / "thread_models.yaml").read_text())
COMPONENTS = ("strategy", "risk", "manager", "broker", "portfolio", "coordinator")
BACKTESTS = (ExecutionMode.BACKTEST_SINGLE, ExecutionMode.BACKTEST_PARALLEL, ExecutionMode.OPTIMIZATION)
IN_THREADS = (Isolation.SHARED, Isolation.ISOLATED, Isolation.THREAD_ISOLATED)
ASYNC = "tests.support.served.Crossover"
REASONS = {
    "replicas": r"components\.strategy\.isolation: replicas are processes",
    "one thread": r"execution\.thread_model: \w+ needs more than the one thread of BACKTEST_SINGLE",
    "async": r"components\.strategy\.thread_model: on_bar of Crossover is async def, which only an event loop",
}


def small(folder: Path, mode: str, thread_model: str | None = None) -> dict[str, Any]:
    content = copy.deepcopy(SMALL)
    content["bus"]["run_dir"] = str(folder)
    content["execution"] = {"mode": str(mode), "thread_model": thread_model and str(thread_model)}
    return content


def with_model(content: dict[str, Any], model: str, isolation: str, names: Iterable[str] = COMPONENTS) -> Plan:
    """The plan in which these components have the thread model and the isolation, and the others share a thread."""
    for name, entry in content["components"].items():
        entry["isolation"] = "shared"
        if name in names:
            entry |= {"thread_model": str(model), "isolation": str(isolation)}
            if model == ThreadModel.MIXED:
                entry["handlers"] = in_turn(entry["class"])
    return plan_of(content, Path("topology"))


def in_turn(class_name: str) -> dict[str, str]:
    """A model for each handler of a class, all of them in turn."""
    handlers = sorted({handler.__name__ for handler in component_class(class_name)("x").handlers().values()})
    loops = ["ASYNC_SINGLE", "ASYNC_MULTI"]
    models = loops if class_name == ASYNC else ["MULTI_THREADED", "ASYNC_MULTI", "SINGLE_THREADED", "ASYNC_SINGLE"]
    return dict(zip(handlers, itertools.cycle(models), strict=False))


def digest(plan: Plan) -> str | None:
    result = launch(plan)
    assert result.error == ""
    assert result.counts["Fill"] > 10
    return result.digest


@functools.cache
def plain_digest(class_name: str = "MovingAverageCrossover") -> str | None:
    """What the plainest run gives."""
    with tempfile.TemporaryDirectory() as folder:
        content = small(Path(folder), "BACKTEST_SINGLE")
        content["components"]["strategy"]["class"] = class_name
        return digest(plan_of(content, Path("topology")))


def documented(heading: str) -> dict[tuple[str, str], str]:
    """(row, column) to cell, of the table under a heading of docs/execution-modes.md."""
    text = (ROOT / "docs" / "execution-modes.md").read_text().partition(f"### {heading}\n")[2]
    lines = itertools.takewhile(lambda line: line.startswith("|"), text[text.index("\n|") + 1 :].splitlines())
    header, _, *rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
    return {(row[0], column): cell for row in rows for column, cell in zip(header[1:], row[1:], strict=True)}


COMPONENT_CELLS = documented("A component's thread model")
ASYNC_CELLS = documented("A component with `async def` handlers")
RUN_CELLS = documented("The run's thread model")


def held_to(cell: str, make: Any, expected: str | None) -> None:
    if cell == "yes":
        assert digest(make()) == expected
    else:
        with pytest.raises(ConfigError, match=REASONS[cell.removeprefix("no: ")]):
            make()


def test_the_documented_tables_have_every_row_and_column():
    models = [str(model) for model in ThreadModel]
    cells = list(itertools.product(models, map(str, Isolation)))
    assert list(COMPONENT_CELLS) == list(ASYNC_CELLS) == cells
    assert list(RUN_CELLS) == list(itertools.product(models, map(str, (*BACKTESTS, ExecutionMode.REPLAY))))


@pytest.mark.parametrize("mode", BACKTESTS)
@pytest.mark.parametrize("isolation", IN_THREADS)
@pytest.mark.parametrize("model", ThreadModel)
def test_every_thread_model_of_components_in_every_mode(mode, model, isolation, tmp_path):
    names = ["strategy"] if model is ThreadModel.PROCESS_PARALLEL else COMPONENTS
    held_to(
        COMPONENT_CELLS[model, isolation],
        lambda: with_model(small(tmp_path, mode), model, isolation, names),
        plain_digest(),
    )


@pytest.mark.parametrize("isolation", IN_THREADS)
@pytest.mark.parametrize("model", [m for m in ThreadModel if m is not ThreadModel.PROCESS_PARALLEL])
def test_every_thread_model_of_a_component_with_async_handlers(model, isolation, tmp_path):
    content = small(tmp_path, "BACKTEST_PARALLEL")
    content["components"]["strategy"]["class"] = ASYNC
    held_to(
        ASYNC_CELLS[model, isolation],
        lambda: with_model(content, model, isolation, ["strategy"]),
        plain_digest(ASYNC),
    )


@pytest.mark.processes
@pytest.mark.parametrize("class_name", ["MovingAverageCrossover", ASYNC])
@pytest.mark.parametrize("model", ThreadModel)
def test_every_thread_model_in_a_process(model, class_name, tmp_path):
    content = small(tmp_path, "BACKTEST_PARALLEL")
    content["components"]["strategy"]["class"] = class_name
    cells = ASYNC_CELLS if class_name == ASYNC else COMPONENT_CELLS
    held_to(
        cells[model, "process_isolated"],
        lambda: with_model(content, model, "process_isolated", ["strategy"]),
        plain_digest(class_name),
    )


IN_ONE_PROCESS = [(model, mode) for model, mode in RUN_CELLS if mode not in ("OPTIMIZATION", "REPLAY")]


@pytest.mark.parametrize(
    ("model", "mode"), [c for c in IN_ONE_PROCESS if c != ("PROCESS_PARALLEL", "BACKTEST_PARALLEL")]
)
def test_every_thread_model_of_a_run(model, mode, tmp_path):
    held_to(RUN_CELLS[model, mode], lambda: plan_of(small(tmp_path, mode, model), Path("topology")), plain_digest())


@pytest.mark.processes
@pytest.mark.parametrize(("model", "mode"), [("PROCESS_PARALLEL", "BACKTEST_PARALLEL"), ("MIXED", "OPTIMIZATION")])
def test_runs_whose_components_are_processes_by_default(model, mode, tmp_path):
    plan = plan_of(small(tmp_path, mode, model), Path("topology"))
    assert {entry.isolation for entry in plan.entries} == {Isolation.PROCESS_ISOLATED}
    held_to(RUN_CELLS[model, mode], lambda: plan, plain_digest())


@pytest.mark.processes
@pytest.mark.parametrize("model", ThreadModel)
def test_a_capture_is_replayed_alike_under_every_thread_model(model, tmp_path):
    result = launch(plan_of(small(tmp_path, "BACKTEST_SINGLE"), Path("topology")))
    capture = open_capture(Path(result.run_dir))
    assert RUN_CELLS[model, "REPLAY"] == "yes"
    replayed = reexecute(capture, plan_replay(capture, thread_model=model), lambda: None)
    assert (replayed.divergence, replayed.is_whole) == (None, True)


def test_every_run_model_in_optimization_is_allowed_and_puts_components_into_processes(tmp_path):
    for model in ThreadModel:
        assert RUN_CELLS[model, "OPTIMIZATION"] == "yes"
        plan = plan_of(small(tmp_path, "OPTIMIZATION", model), Path("topology"))
        assert {entry.isolation for entry in plan.entries} == {Isolation.PROCESS_ISOLATED}


def test_every_reason_is_used():
    cells = {*COMPONENT_CELLS.values(), *ASYNC_CELLS.values(), *RUN_CELLS.values()}
    assert cells == {"yes", *(f"no: {reason}" for reason in REASONS)}
    assert not re.search(r"\bno\b(?!:)", " ".join(cells))


@pytest.mark.parametrize("isolation", ["shared", "isolated"])
def test_other_threads_may_ask_while_the_run_goes_on(isolation, tmp_path):
    plan = with_model(small(tmp_path, "BACKTEST_PARALLEL"), "SINGLE_THREADED", isolation)
    parts: dict[str, Any] = {entry.name: entry.component for entry in plan.entries}
    looks: list[tuple[int, int]] = []
    ended = threading.Event()

    def look() -> None:
        manager, portfolio, broker = parts["manager"], parts["portfolio"], parts["broker"]
        while not ended.is_set():
            with manager.lock.read():
                known = manager.statistics()
                looks.append((len(manager.orders()), known["active"] + known["completed"]))
            for order in manager.orders():
                broker.get_order_status(order.order.order_id)
            assert set(portfolio.positions()) <= {"AAPL", "IBM", "MSFT", "ORCL"}

    on_bar = parts["strategy"].on_bar

    def on_bar_and_wait(bar: Bar) -> None:
        on_bar(bar)
        before = len(looks)
        until(lambda: len(looks) > before + 1 or not thread.is_alive(), 10, "another look")

    parts["strategy"].on_bar = on_bar_and_wait
    for name in ("manager", "portfolio", "broker"):
        parts[name].initialize(plan.context, lambda _: None, Clock())
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        assert digest(plan) == plain_digest()
    finally:
        ended.set()
        thread.join(10)
    assert len({known for known, _ in looks}) > 3
    assert all(known == counted for known, counted in looks)


def test_the_loop_of_a_component_has_the_cpus_that_it_asks_for(tmp_path):
    cpu = max(usable_cpus())
    content = small(tmp_path, "BACKTEST_PARALLEL")
    content["components"]["strategy"] = {"class": "tests.support.served.Placed", "affinity": [cpu]}
    plan = with_model(content, "ASYNC_MULTI", "shared", ["strategy"])
    assert launch(plan).error == ""
    placed: Any = next(entry.component for entry in plan.entries if entry.name == "strategy")
    assert placed.places == {("loop of strategy", cpu)}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("isolation", ["isolated", "thread_isolated"])
@pytest.mark.parametrize("model", ["SINGLE_THREADED", "MULTI_THREADED"])
def test_a_host_whose_thread_ends_ends_the_run_as_a_failure_in_result_and_log(isolation, model, tmp_path):
    content = small(tmp_path, "BACKTEST_PARALLEL")
    content["components"]["strategy"] = {"class": "tests.support.served.Doomed"}
    content["components"]["bars"]["count"] = 20_000
    content["execution"]["thread_pools"] = {"compute": {"max_workers": 1}}
    result = launch(with_model(content, model, isolation, ["strategy"]))
    assert (result.status, result.exit_code) == ("failed", 1)
    assert re.search("has ended by itself|SystemExit", result.error)
    reader = LogReader(Path(result.run_dir))
    (last,) = deque(reader, maxlen=1)
    failed = reader.message(last)
    assert isinstance(failed, ComponentFailed)
    assert failed.component in ("strategy", "thread pool compute")
    assert reader.closed


def test_a_trial_runs_from_python_as_well(tmp_path):
    context = ExecutionContext("trial", "OPTIMIZATION")
    content = small(tmp_path, "OPTIMIZATION")
    for entry in content["components"].values():
        entry["isolation"] = "shared"
    engine = create_container(content, context).resolve("backtest_engine")
    assert engine.run()["digest"] == plain_digest()


def test_runs_of_every_thread_model_leave_no_thread_behind_and_repeat_themselves(tmp_path):
    before = threading.active_count()
    models = [m for m in ThreadModel if m is not ThreadModel.PROCESS_PARALLEL]
    plans = [with_model(small(tmp_path, "BACKTEST_PARALLEL"), model, "isolated") for model in models]
    assert {digest(plan) for plan in plans * 2} == {plain_digest()}
    until(lambda: threading.active_count() == before, 10, "the end of all threads")
