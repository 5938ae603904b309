"""What would have been: the captured run's market data through the same topology with a part replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bus.conductor import Recorded
from bus.errors import ConfigError
from bus.log_reader import LogReader
from bus.runtime.modes import ExecutionMode
from deploy.catalog import component_class
from deploy.plan import Placement, Plan, plan_of
from deploy.replay.capture import Capture
from deploy.replay.planning import DATA_HANDLER, config_path, content_of, is_edge, written
from deploy.replay.recorded import stand_in
from deploy.topology import LIVE_MODES, apply_settings, did_you_mean, read_yaml
from schemas import Message
from schemas.codec import DecodeError

_CHOICES = ("class", "model")
"""Keys that choose what a mapping is about: with another choice, the rest of what was captured means nothing."""


def plan_counterfactual(
    capture: Capture, config: Path | None, settings: Sequence[str], run_dir: Path | None, placement: Placement | None
) -> Plan:
    """The capture's topology with what `config` says and the `settings` (`section.key=value`) replaced.

    A component that `config` names is replaced as a whole; of its sections, the keys that it names. What comes from
    outside stays as recorded.

    Raises:
        ConfigError: with every fault that could be found.
    """
    if config is None and not settings:
        raise ConfigError(
            "nothing is replaced; say what, by --with CONFIG or --set components.broker.slippage.model=none"
        )
    config_path(capture)  # lets classes of the user's be found
    data = {d.name: stand_in(d, {}) for d in capture.sources.values() if d.component_type == DATA_HANDLER}
    kept = {name: written(capture, name) for name in capture.behaviour["components"] if name not in data}
    content = content_of(capture, {**data, **kept}, ExecutionMode.REPLAY)
    if config is not None:
        _replace(content, read_yaml(config), capture)
    _apply(content, settings, data)
    _require_sections(content, capture)
    content["bus"]["capture"] = "full"
    if run_dir is not None:
        content["bus"]["run_dir"] = str(run_dir)
    _require_no_edges(content["components"], data)
    return plan_of(content, config or config_path(capture), placement)


def replaced(capture: Capture, plan: Plan) -> list[str]:
    """What differs between the captured configuration and the plan's, a line a parameter."""
    before, after = capture.behaviour, json.loads(plan.behaviour())
    data = {d.name for d in capture.sources.values() if d.component_type == DATA_HANDLER}
    sections = [(s, before.get(s) or {}, after.get(s) or {}) for s in after if s != "components"]
    components = [
        (f"components.{name}", before["components"].get(name) or {}, after["components"].get(name) or {})
        for name in dict.fromkeys([*before["components"], *after["components"]])
        if name not in data
    ]
    return [
        f"{place}.{key}: {json.dumps(one.get(key))} -> {json.dumps(two.get(key))}"
        for place, one, two in [*sections, *components]
        for key in dict.fromkeys([*one, *two])
        if one.get(key) != two.get(key)
    ]


def recorded_data(capture: Capture) -> Recorded:
    """What the capture's data handlers published, record by record.

    Raises (while iterating):
        LogError: the log is damaged.
        ConfigError: a record is of another version of the schema and cannot be read.
    """

    def messages() -> Iterator[tuple[str, int, Message]]:
        names = {i: d.name for i, d in capture.sources.items() if d.component_type == DATA_HANDLER}
        reader = LogReader(capture.path)
        for batch in reader.batches():
            for record in batch:
                if record.source in names:
                    try:
                        message = reader.message(record)
                    except DecodeError as error:
                        raise ConfigError(f"{capture.path}: seq {record.seq} cannot be read: {error}") from None
                    yield names[record.source], record.ts, message

    return messages


def _replace(content: dict[str, Any], other: dict[str, Any], capture: Capture) -> None:
    for section, values in other.items():
        if section not in ("components", "execution", "bus", "system", "optimization"):
            known = content.get(section) or {}
            content[section] = {**known, **(values or {})} if isinstance(values or {}, dict) else values
    components = other.get("components") or {}
    if not isinstance(components, dict):
        raise ConfigError(f"components: is {type(components).__name__}, not a mapping of names to components")
    data = {d.name for d in capture.sources.values() if d.component_type == DATA_HANDLER}
    for name, entry in components.items():
        if name not in data and not _is_data(entry):
            content["components"][name] = entry


def _is_data(entry: Any) -> bool:
    """Whether an entry brings data of its own: those of the capture are taken instead."""
    if not isinstance(entry, dict) or "class" not in entry:
        return False
    try:
        return component_class(str(entry["class"])).component_type == DATA_HANDLER
    except ConfigError:
        return False  # the check of the plan says what is wrong with it


def _apply(content: dict[str, Any], settings: Sequence[str], data: dict[str, Any]) -> None:
    def chooses(setting: str) -> bool:
        return setting.partition("=")[0].strip().rpartition(".")[2] in _CHOICES

    components = content["components"]
    faults = []
    for setting in settings:
        section, _, rest = setting.partition("=")[0].strip().partition(".")
        name, _, key = rest.partition(".")
        if section == "components" and name in data:
            faults.append(f"--set {setting}: what {name} says is taken from the log and cannot be replaced")
        elif section == "components" and name not in components and key != "class":
            faults.append(f"--set {setting}: there is no component {name!r}{did_you_mean(name, components)}")
    if faults:
        raise ConfigError(faults)
    for setting in sorted(settings, key=chooses, reverse=True):
        if chooses(setting):
            _clear(content, setting.partition("=")[0].strip().split(".")[:-1])
        apply_settings(content, [setting])


def _clear(content: dict[str, Any], keys: Sequence[str]) -> None:
    """Forget what was captured at a place that gets another class or model."""
    node: Any = content
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.clear()


def _require_sections(content: dict[str, Any], capture: Capture) -> None:
    """The recorded data are fed in their order, and what the run trades stands in the section that it had."""
    faults = [
        f"{section}: is {content.get(section)!r:.60}, not a mapping, such as {{key: value}}"
        for section in ("execution", "bus")
        if not isinstance(content.get(section), dict)
    ]
    own, other = ("live_trading", "backtest") if "live_trading" in capture.behaviour else ("backtest", "live_trading")
    if other in content:
        faults.append(f"{other}: the captured run has the section {own} in its place; write that, or leave it out")
    mode: Any = None if faults else content["execution"].get("mode")
    if mode in map(str, LIVE_MODES):
        faults.append(
            f"execution.mode: {mode} waits for nobody, so that data cannot be fed in their order; leave it out"
        )
    if faults:
        raise ConfigError(faults)


def _require_no_edges(components: dict[str, Any], data: dict[str, Any]) -> None:
    """A live broker answered the orders of its time; nobody knows what it would have answered to others."""
    faults = []
    for name, entry in components.items():
        try:
            edge = name not in data and isinstance(entry, dict) and is_edge(component_class(str(entry.get("class"))))
        except ConfigError:
            continue
        if edge:
            faults.append(
                f"components.{name}: {entry['class']} touches the world outside, and what it recorded answers that "
                f"run's orders only; replace it, for instance by --set components.{name}.class=SimulatedBroker"
            )
    if faults:
        raise ConfigError(faults)
