"""Which class a name in the topology file means."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import sys
from pathlib import Path

from bus.errors import ConfigError
from bus.runtime.component import Component
from bus.runtime.modes import ExecutionMode
from bus.runtime.runner import describe
from deploy.topology import did_you_mean

ENTRY_POINTS = "admf.components"

CATALOG: dict[str, str] = {
    "HistoricalDataHandler": "components.data.historical",
    "LiveMarketDataHandler": "components.data.live",
    "MovingAverageCrossover": "components.strategy.moving_average",
    "ArrayStrategy": "components.strategy.array_strategy",
    "RiskStub": "components.risk.stub",
    "OrderManager": "components.order_manager.order_manager",
    "SimulatedBroker": "components.broker.simulated",
    "PassthroughBroker": "components.broker.passthrough",
    "LiveBrokerHandler": "components.broker.live",
    "LiveSimulatedBroker": "components.broker.live_simulated",
    "Portfolio": "components.portfolio.portfolio",
    "BacktestCoordinator": "components.coordinator.coordinator",
}
"""Short names of our own components, and the modules that hold them; imported when used."""

DEFAULTS: dict[str, str] = {
    "data_handler": "HistoricalDataHandler",
    "risk_manager": "RiskStub",
    "order_manager": "OrderManager",
    "broker": "SimulatedBroker",
    "portfolio": "Portfolio",
    "coordinator": "BacktestCoordinator",
}
"""What a backtest gets when its topology has no component of the type; a strategy is never made up."""


LIVE_DATA = "LiveMarketDataHandler"
DEFAULTS_BY_MODE: dict[ExecutionMode, dict[str, str]] = {
    ExecutionMode.LIVE_TRADING: {**DEFAULTS, "data_handler": LIVE_DATA, "broker": "LiveBrokerHandler"},
    ExecutionMode.PAPER_TRADING: {**DEFAULTS, "data_handler": LIVE_DATA},
}
"""What the modes get that are not backtests."""

IN_LIVE_MODES: dict[str, str] = {"SimulatedBroker": "LiveSimulatedBroker"}
"""Classes that have another in their place in live and paper runs."""


def look_up_beside(folder: Path) -> None:
    """Let dotted class names be found in the topology file's folder too."""
    text = str(folder.resolve())
    if text not in sys.path:
        sys.path.append(text)


def component_class(name: str) -> type[Component]:
    """The class for a short name, a dotted path, or an entry point.

    Raises:
        ConfigError: there is none, it cannot be imported, or it is not a component.
    """
    module_name, attribute = _locate(name)
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:
        # A module of the user's may do anything when it is imported, also call `exit`; only Ctrl-C is not its doing.
        if isinstance(error, KeyboardInterrupt):
            raise
        what = error if isinstance(error, ImportError) else describe(error)
        raise ConfigError(f"cannot import {module_name!r} for class {name!r}: {what}") from error
    found = getattr(module, attribute, None)
    if found is None:
        known = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise ConfigError(f"module {module_name!r} has no class {attribute!r}{did_you_mean(attribute, known)}")
    if not (isinstance(found, type) and issubclass(found, Component)):
        raise ConfigError(f"{name!r} is not a component: it does not derive from bus.runtime.component.Component")
    return found


@functools.lru_cache(maxsize=1)
def _entry_points(_path: tuple[str, ...]) -> importlib.metadata.EntryPoints:
    """The installed ones; looking for them reads the metadata of every package on the path, so that is done once."""
    return importlib.metadata.entry_points(group=ENTRY_POINTS)


def _locate(name: str) -> tuple[str, str]:
    if name in CATALOG:
        return CATALOG[name], name
    installed = _entry_points(tuple(sys.path))
    for entry in installed.select(name=name):
        return entry.module, entry.attr
    module_name, _, attribute = name.rpartition(".")
    if not module_name or not attribute or name.startswith("."):
        known = [*CATALOG, *installed.names]
        raise ConfigError(
            f"no class is called {name!r}{did_you_mean(name, known) or '.'} Known are: {', '.join(known)}; "
            "a class of your own is named with its module, like my_strategies.breakout.Breakout."
        )
    return module_name, attribute
