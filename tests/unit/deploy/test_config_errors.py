"""A wrong configuration: every fault at once, each with its place and a suggestion, and nothing started."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import ConfigError
from bus.runtime.component import EXECUTION_TYPES
from deploy.catalog import CATALOG, component_class
from deploy.plan import make_plan
from schemas import Order, Signal
from tests.support.launching import ROOT, admf

SMALL = """
components:
  bars: {class: tests.support.parts.Bars}
  strategy: {class: tests.support.parts.EveryNth}
"""


def faults(tmp_path: Path, text: str, *settings: str) -> list[str]:
    path = tmp_path / "topology.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        make_plan(path, settings)
    return caught.value.faults


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("executon: {}\n" + SMALL, "executon: unknown key; did you mean 'execution'?"),
        (
            "execution: {mode: BACKTEST_SINGEL}\n" + SMALL,
            "execution.mode: 'BACKTEST_SINGEL' is not allowed; did you mean",
        ),
        (
            "execution: {mode: LIVE_TRADING}\nlive_trading: {close_at_end: next_open}\n" + SMALL,
            "live_trading.close_at_end: next_open is for backtests",
        ),
        ("bus: {capture: some}\n" + SMALL, "bus.capture: Input should be 'full', 'digest' or 'none' (found 'some')"),
        ("bus: {endpoint: 'tcp://0.0.0.0'}\n" + SMALL, "bus.endpoint: 'tcp://0.0.0.0' is neither 'ipc' nor"),
        ("bus: {timeout_s: -1}\n" + SMALL, "bus.timeout_s: Input should be greater than 0 (found -1)"),
        ("backtest: {symbols: A}\n" + SMALL, "backtest.symbols: must be a list, such as [a, b] (found 'A')"),
        ("backtest: 3\n" + SMALL, "backtest: must be a mapping, such as {key: value} (found 3)"),
        ("bus: {run_dir: 3}\n" + SMALL, "bus.run_dir: must be a path (found 3)"),
        (
            "execution: {mode: LIVE_TRADING}\nbacktest: {symbols: [A]}\n" + SMALL,
            "backtest: is not read in mode LIVE_TRADING, which has its own section, live_trading",
        ),
        ("live_trading: {symbols: [A]}\n" + SMALL, "live_trading: is not read in mode BACKTEST_SINGLE"),
        ("backtest: {symbols: [A, A]}\n" + SMALL, "backtest.symbols: named more than once: A"),
        ("backtest: {close_at_end: last}\n" + SMALL, "close_at_end: 'last' is not allowed; did you mean 'last_close'?"),
        (
            "backtest: {start_date: 2012-01-01, end_date: 2011-01-01}\n" + SMALL,
            "start_date 2012-01-01 is after end_date",
        ),
        ("backtest: {start_date: soon}\n" + SMALL, "backtest.start_date: Input should be a valid date"),
        ("components: [a, b]\n", "components: is list, not a mapping of names to components"),
        ("components: {a: 3}\n", "components.a: is 3, not a mapping with at least 'class'"),
        ("components: {a: {fast: 3}}\n", "components.a.class: is required and missing"),
        (
            SMALL + "  x: {class: SimulatedBrokr}\n",
            "components.x.class: no class is called 'SimulatedBrokr'; did you mean 'Sim",
        ),
        (SMALL + "  x: {class: no_such_module.X}\n", "components.x.class: cannot import 'no_such_module'"),
        (SMALL + "  x: {class: tests.support.parts.Snik}\n", "has no class 'Snik'; did you mean 'Sink'?"),
        (SMALL + "  x: {class: pathlib.Path}\n", "components.x.class: 'pathlib.Path' is not a component"),
        (
            SMALL + "  x: {class: tests.support.parts.Sink, isolaton: shared}\n",
            "x.isolaton: unknown key; did you mean 'isolation'?",
        ),
        (SMALL + "  x: {class: tests.support.parts.Sink, isolation: process}\n", "did you mean 'process_isolated'?"),
        (
            SMALL + "  x: {class: tests.support.parts.Bars, cuont: 1}\n",
            "components.x.cuont: unknown key; did you mean 'count'?",
        ),
        (
            SMALL + "  x: {class: tests.support.parts.Bars, count: -1}\n",
            "components.x.count: Input should be greater than or",
        ),
        (SMALL + "  x: {class: BacktestCoordinator}\n  y: {class: BacktestCoordinator}\n", "a run has one coordinator"),
        (SMALL + "  x: {class: OrderManager}\n  y: {class: OrderManager}\n", "a run has one order_manager"),
        ("components: {bars: {class: tests.support.parts.Bars}}\n", "of this topology publishes; add a strategy"),
    ],
)
def test_a_fault_is_reported_with_its_place_and_what_to_do(tmp_path, text, expected):
    found = faults(tmp_path, text)
    assert any(expected in fault for fault in found), found


def test_all_faults_come_at_once(tmp_path):
    text = (
        "executon: {}\nbus: {captur: full}\nbacktest: {initial_cash: 0}\n"
        + SMALL
        + "  x: {class: Nothing}\n  y: {class: tests.support.parts.Bars, count: -1, isolation: x}\n"
    )
    found = faults(tmp_path, text)
    for place in ("executon", "bus.captur", "backtest.initial_cash", "components.x.class", "components.y.count"):
        assert any(fault.startswith(f"{place}:") for fault in found), place
    assert any(fault.startswith("components.y.isolation:") for fault in found)


def test_two_brokers_for_one_symbol_are_refused(tmp_path):
    text = SMALL + (
        "  one: {class: SimulatedBroker, symbols: [AAPL, IBM]}\n  two: {class: PassthroughBroker, symbols: [AAPL]}\n"
    )
    assert "components.two.symbols: AAPL is served by one and two; one symbol has one broker" in faults(tmp_path, text)


def test_two_brokers_for_everything_are_refused(tmp_path):
    text = SMALL + "  one: {class: SimulatedBroker}\n  two: {class: PassthroughBroker}\n"
    assert any("brokers one and two both serve every symbol" in fault for fault in faults(tmp_path, text))


def test_a_symbol_that_no_broker_serves_is_named(tmp_path):
    text = "backtest: {symbols: [AAPL, IBM]}\n" + SMALL + "  one: {class: SimulatedBroker, symbols: [AAPL]}\n"
    assert "backtest.symbols: no broker serves IBM; served are AAPL" in faults(tmp_path, text)


def test_an_execution_component_that_takes_signals_is_refused(tmp_path):
    (tmp_path / "spy_part.py").write_text(
        "from bus.runtime.component import handles\nfrom components.broker.passthrough import PassthroughBroker\n"
        "from schemas import Signal\n\n\nclass Spy(PassthroughBroker):\n"
        "    @handles(Signal)\n    def on_signal(self, signal):\n        pass\n"
    )
    found = faults(tmp_path, SMALL + "  broker: {class: spy_part.Spy}\n")
    assert any("a broker takes Signal; the execution side acts on orders only" in fault for fault in found)


def test_a_strategy_that_publishes_orders_is_refused(tmp_path):
    (tmp_path / "bold_part.py").write_text(
        "from schemas import Order, Signal\nfrom tests.support.parts import EveryNth\n\n\n"
        "class Bold(EveryNth):\n    emits = (Signal, Order)\n"
    )
    found = faults(tmp_path, SMALL + "  bold: {class: bold_part.Bold}\n")
    assert "components.bold: a strategy publishes Order; only a risk_manager may" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\n", "line 2, column 1"),
        ("components:\n  a: {class: x}\n  a: {class: y}\n", "line 3, column 3: the key 'a' stands here a second time"),
        ("- 1\n", "holds list, not a mapping"),
        ("", "holds NoneType, not a mapping"),
    ],
)
def test_a_file_that_is_no_topology_is_refused_with_the_place(tmp_path, text, expected):
    assert any(expected in fault for fault in faults(tmp_path, text))


def test_a_missing_file_suggests_the_one_that_was_meant():
    with pytest.raises(ConfigError, match=r"No such file or directory; did you mean 'backtest.yaml'\?"):
        make_plan(ROOT / "configs" / "bactest.yaml")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("nothing", "--set nothing: write it as section.key=value"),
        ("components.bars.count.x=1", "--set components.bars.count.x=1: 'count' is 5, not a mapping"),
        ("bus.capture=[1", "--set bus.capture=[1: '[1' is not a YAML value"),
    ],
)
def test_a_setting_that_cannot_be_applied_is_named(tmp_path, setting, expected):
    text = SMALL.replace("parts.Bars}", "parts.Bars, count: 5}")
    assert any(expected in fault for fault in faults(tmp_path, text, setting))


def test_nothing_is_started_and_the_exit_code_is_two(tmp_path):
    done = admf(
        *("launch", str(ROOT / "configs" / "backtest.yaml"), "--set", "components.broker.slipage=1"),
        *("--set", "components.data_handler.path=no_such_file.csv", "--set", f"bus.run_dir={tmp_path / 'runs'}"),
        folder=tmp_path,
    )
    assert done.returncode == 2
    assert "components.broker.slipage: unknown key; did you mean 'slippage'?" in done.stderr
    assert "no_such_file.csv" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_every_shipped_topology_passes_the_check(tmp_path):
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        done = admf("check", str(path), folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert path.read_text().startswith("# "), f"{path.name} does not say in its first line what it is for"


def test_no_execution_component_of_ours_takes_a_signal_and_only_risk_gives_orders():
    for name in CATALOG:
        component = component_class(name)(name.lower(), {"quantity": 1} if name == "RiskStub" else {})
        if component.component_type in EXECUTION_TYPES:
            assert Signal not in component.handlers(), name
        assert (Order in component.emits) == (component.component_type == "risk_manager"), name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("backtest: {start_date: 2005-02-30}\n" + SMALL, "not a YAML value: day is out of range for month"),
        ("? [a, b]\n: 1\n" + SMALL, "topology.yaml"),
        (
            "backtest: {end_date: 9999-12-31}\n" + SMALL,
            "backtest.end_date: 9999-12-31 is outside the years 1700 to 2199",
        ),
        ("backtest: {symbols: ['']}\n" + SMALL, "backtest.symbols.0: String should have at least 1 character"),
        ("bus: {timeout_s: 1e10}\n" + SMALL, "bus.timeout_s: Input should be less than or equal to 86400"),
        (SMALL + "  x: {class: .Foo}\n", "components.x.class: no class is called '.Foo'"),
        (SMALL + "  '../x': {class: Portfolio}\n", "components.'../x': not a name: use letters"),
        (SMALL + "  -h: {class: Portfolio}\n", "components.'-h': not a name"),
        (SMALL + "  hub: {class: Portfolio}\n", "components.'hub': not a name"),
        (SMALL + "  x: {class: broken_module.X}\n", "components.x.class: cannot import 'broken_module'"),
        (
            SMALL + "  x: {class: quitting_module.X}\n",
            "cannot import 'quitting_module' for class 'quitting_module.X': SystemExit",
        ),
        (SMALL + "  x: {class: odd_module.Odd}\n", "components.x: Odd cannot be made: ZeroDivisionError"),
    ],
)
def test_what_would_break_the_program_is_a_fault_like_any_other(tmp_path, text, expected):
    (tmp_path / "broken_module.py").write_text("def x(:\n")
    (tmp_path / "quitting_module.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "odd_module.py").write_text(
        "from tests.support.parts import Sink\n\n\nclass Odd(Sink):\n    def __init__(self, *a):\n        1 / 0\n"
    )
    found = faults(tmp_path, text)
    assert any(expected in fault for fault in found), found


def test_one_bad_entry_hides_no_other_fault_and_invents_none(tmp_path):
    text = SMALL.replace("parts.EveryNth}", "parts.EveryNth, nn: 2}") + "  broker:\n"
    found = faults(tmp_path, text)
    assert any(fault.startswith("components.broker: is None, not a mapping") for fault in found)
    assert any(fault.startswith("components.strategy.nn: unknown key") for fault in found)
    assert len(found) == 2, found


def test_yaml_merge_keys_work(tmp_path):
    path = tmp_path / "topology.yaml"
    path.write_text(SMALL + "  one: &b {class: SimulatedBroker, symbols: [AAPL]}\n  two: {<<: *b, symbols: [IBM]}\n")
    assert make_plan(path).context.brokers == {"one": ("AAPL",), "two": ("IBM",)}
