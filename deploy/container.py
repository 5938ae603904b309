"""Runs from Python: a configuration and an execution context in, the things that they describe out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bus.errors import AdmfError, ConfigError
from bus.runtime.component import Component
from bus.runtime.context import ExecutionContext
from deploy.launcher import RunResult, launch
from deploy.plan import Plan, plan_of
from deploy.run_folder import COMPLETED
from deploy.tables import read_columns
from deploy.topology import AVAILABLE_MODES, Topology, did_you_mean, read_yaml

BACKTEST_ENGINE = "backtest_engine"
TRADING_SYSTEM = "trading_system"

Config = Path | str | Mapping[str, Any] | Topology


class RunFailed(AdmfError):
    """A run did not come to its end; `result` is what it gave until then."""

    def __init__(self, result: RunResult) -> None:
        self.result = result
        self.exit_code = result.exit_code
        super().__init__(f"the run {result.status}: {result.error}\nRun folder: {result.run_dir}")


class BacktestEngine:
    """Runs a checked topology, as often as it is told to. Every run starts anew and gives the same."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def run(self) -> dict[str, Any]:
        """Run to the end.

        The results are those of `admf launch --json` (`statistics`, `trades`, `digest`, `run_dir`, ...) and
        `equity_curve`: columns `ts` (ns UTC), `equity`, `cash`, `exposure` and `net_exposure`.

        Raises:
            RunFailed: a component failed, the data have faults, or the run was interrupted.
            ConfigError: the run folder cannot be made.
        """
        result = launch(self.plan)
        if result.status != COMPLETED:
            raise RunFailed(result)
        equity = next(name for name in result.tables if name.startswith("equity"))
        return {**result.document(), "equity_curve": read_columns(Path(result.run_dir) / equity)}


class TradingSystem:
    """A live or paper trading system. This version knows its name but cannot run it."""

    def __init__(self, context: ExecutionContext) -> None:
        self.context = context

    def start(self) -> None:
        """Start trading.

        Raises:
            ConfigError: always, in this version.
        """
        raise ConfigError(
            f"execution.mode: {self.context.execution_mode} is not available in this version; "
            f"available are {', '.join(AVAILABLE_MODES)}"
        )

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return False

    def stop(self) -> None:
        """End trading; nothing is to be done where nothing runs."""


class Container:
    """Gives what a configuration describes: `backtest_engine` or `trading_system`, and the components of a backtest."""

    def __init__(self, context: ExecutionContext, plan: Plan | None) -> None:
        self.context = context
        self._services: dict[str, Any] = {TRADING_SYSTEM: TradingSystem(context)}
        self._components: dict[str, Component] = {}
        if plan is not None:
            self._services = {BACKTEST_ENGINE: BacktestEngine(plan)}
            self._components = {entry.name: entry.component for entry in plan.entries}

    def resolve(self, key: str | type[Component]) -> Any:
        """The engine or system, or a component by its name, its type ("broker") or its class.

        Components are those that `backtest_engine` runs where they share its process.

        Raises:
            ConfigError: there is nothing of that name, or several components of that type.
        """
        if isinstance(key, str) and (exact := self._services.get(key) or self._components.get(key)):
            return exact
        found = [name for name, component in self._components.items() if _matches(component, key)]
        if len(found) == 1:
            return self._components[found[0]]
        text = key if isinstance(key, str) else key.__name__
        if found:
            raise ConfigError(f"{text!r} may be {' or '.join(found)}; name one of them")
        known = [*self._services, *self._components]
        raise ConfigError(
            f"there is no {text!r} in {self.context!r}{did_you_mean(text, known) or '.'} There are {', '.join(known)}."
        )


def create_container(config: Config, context: ExecutionContext | None = None) -> Container:
    """A container for a topology file, its content, or a `Topology`.

    Mode and thread model are the context's (the current one if none is given); a configuration that names others is
    refused. Paths in a configuration that is not a file are relative to the working directory.

    Raises:
        ConfigError: with every fault that could be found. In live modes nothing is checked before the system starts.
    """
    content, path = _content(config)
    context = context or ExecutionContext.get_current()
    if context is None:
        plan = plan_of(content, path)
        return Container(plan.execution, plan)
    if context.is_live:
        return Container(context, None)
    _agree(content, context)
    return Container(context, plan_of(content, path))


def _matches(component: Component, key: str | type[Component]) -> bool:
    return component.component_type == key if isinstance(key, str) else isinstance(component, key)


def _content(config: Config) -> tuple[dict[str, Any], Path]:
    if isinstance(config, Topology):
        return config.model_dump(exclude_unset=True, by_alias=True), Path("topology")
    if isinstance(config, Mapping):
        return copy.deepcopy(dict(config)), Path("topology")
    return read_yaml(Path(config)), Path(config)


def _agree(content: dict[str, Any], context: ExecutionContext) -> None:
    """Fill mode and thread model in from the context, and refuse others."""
    section = content["execution"] = content.get("execution") or {}
    if not isinstance(section, dict):
        return  # the check of the topology says what is wrong with it
    wanted = {"mode": context.execution_mode, "thread_model": context.thread_model}
    faults = [
        f"execution.{key}: the configuration says {section[key]} and {context!r} says {value}; make them agree"
        for key, value in wanted.items()
        if section.setdefault(key, str(value)) not in (None, value)
    ]
    if faults:
        raise ConfigError(faults)
    section.update({key: str(value) for key, value in wanted.items()})
