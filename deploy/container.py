"""Runs from Python: a configuration and an execution context in, the things that they describe out."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bus.errors import AdmfError, ConfigError
from bus.runtime.component import Component
from bus.runtime.context import ExecutionContext
from deploy.launcher import RunResult, launch
from deploy.live import Watch
from deploy.plan import Plan, plan_of
from deploy.run_folder import COMPLETED
from deploy.stopping import StopRequest
from deploy.tables import read_columns
from deploy.topology import Topology, did_you_mean, read_yaml

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
        return results_of(launch(self.plan))


class TradingSystem:
    """A live or paper run in threads of its own, which this process starts and stops."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._thread: threading.Thread | None = None
        self._stop = StopRequest()
        self._result: RunResult | None = None
        self._error: BaseException | None = None
        self._running = threading.Event()

    def start(self) -> None:
        """Start trading; returns when the components run. A system that has ended may be started again.

        Raises:
            RunFailed: it ended at once; the result says why.
            ConfigError: it runs already, or the run folder cannot be made.
        """
        if self.is_running():
            raise ConfigError("the trading system runs already")
        self._stop, self._result, self._error = StopRequest(), None, None
        self._running.clear()
        self._thread = threading.Thread(target=self._run, name="trading system", daemon=True)
        self._thread.start()
        self._running.wait()
        self._raise_failure()

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """End trading in good order and wait for the end; nothing is to be done where nothing runs.

        Raises:
            RunFailed: it had failed before, or fails while it ends.
        """
        self._stop.ask("stop()")
        if self._thread is not None:
            self._thread.join()
        self._raise_failure()

    @property
    def results(self) -> dict[str, Any] | None:
        """What it gave, as of `BacktestEngine.run`; None while it runs, and before.

        Raises:
            RunFailed: it failed.
        """
        if self._result is None or self.is_running():
            return None
        return results_of(self._result)

    def _raise_failure(self) -> None:
        if self._thread is not None and (self._result is not None or self._error is not None):
            self._thread.join()  # it is at its very end
        if self._error is not None:
            raise self._error
        if self._result is not None and self._result.status != COMPLETED:
            raise RunFailed(self._result)

    def _run(self) -> None:
        try:
            self._result = launch(self.plan, stop=self._stop, watch=Watch(running=self._running.set))
        except BaseException as error:
            self._error = error
        finally:
            self._running.set()


def results_of(result: RunResult) -> dict[str, Any]:
    """A completed run's results.

    Raises:
        RunFailed: it did not complete.
    """
    if result.status != COMPLETED:
        raise RunFailed(result)
    equity = next(name for name in result.tables if name.startswith("equity"))
    return {**result.document(), "equity_curve": read_columns(Path(result.run_dir) / equity)}


class Container:
    """Gives what a configuration describes: `backtest_engine` or, in live modes, `trading_system`, and the
    components."""

    def __init__(self, context: ExecutionContext, plan: Plan) -> None:
        self.context = context
        self._services: dict[str, Any] = (
            {TRADING_SYSTEM: TradingSystem(plan)} if plan.is_live else {BACKTEST_ENGINE: BacktestEngine(plan)}
        )
        self._components: dict[str, Component] = {entry.name: entry.component for entry in plan.entries}

    def resolve(self, key: str | type[Component]) -> Any:
        """The engine or system, or a component by its name, its type ("broker") or its class.

        Components are those that the engine or system runs where they share its process.

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
    refused. A context that was made without a thread model leaves it to the configuration. Paths in a configuration
    that is not a file are relative to the working directory.

    Raises:
        ConfigError: with every fault that could be found.
    """
    content, path = _content(config)
    context = context or ExecutionContext.get_current()
    if context is None:
        plan = plan_of(content, path)
        return Container(plan.execution, plan)
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
    """Fill mode and thread model in from the context, and refuse others; a context that names no thread model takes
    any."""
    section = content["execution"] = content.get("execution") or {}
    if not isinstance(section, dict):
        return  # the check of the topology says what is wrong with it
    wanted: dict[str, str] = {"mode": context.execution_mode, "thread_model": context.thread_model}
    if not context.names_thread_model and section.get("thread_model") is not None:
        del wanted["thread_model"]
    faults = [
        f"execution.{key}: the configuration says {section[key]} and {context!r} says {value}; make them agree"
        for key, value in wanted.items()
        if section.setdefault(key, str(value)) not in (None, value)
    ]
    if faults:
        raise ConfigError(faults)
    section.update({key: str(value) for key, value in wanted.items()})
