"""Which components of a captured run are re-executed, and where: the capture's own configuration as a plan."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.errors import ConfigError
from bus.runtime.component import Component
from bus.runtime.modes import ExecutionMode, Isolation, ThreadModel
from deploy.catalog import component_class, look_up_beside
from deploy.plan import Placement, Plan, plan_of
from deploy.replay.capture import Capture
from deploy.replay.recorded import stand_in
from deploy.topology import did_you_mean
from schemas import SourceDeclared

DATA_HANDLER = "data_handler"
ALL = "all"


@dataclass(frozen=True)
class ReplayPlan:
    """A plan that has only what is re-executed, under the source ids of the log; `taken` names what the log gives."""

    plan: Plan
    taken: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def executed(self) -> dict[int, str]:
        """Source id, as the log has it, to name."""
        return {entry.source_id: entry.name for entry in self.plan.entries}

    @property
    def on_wire(self) -> bool:
        """Whether some component runs in a process of its own."""
        return any(entry.isolation is Isolation.PROCESS_ISOLATED for entry in self.plan.entries)


def plan_replay(
    capture: Capture,
    only: Sequence[str] = (),
    placement: Placement | None = None,
    thread_model: ThreadModel | None = None,
) -> ReplayPlan:
    """The plan for re-executing a capture, or only some components of it.

    Without a placement, mode REPLAY with its thread model decides where components run.

    Raises:
        ConfigError: names that the capture does not have, classes that are not there any more, parameters that they no
            longer accept; all at once.
    """
    executed = _executed(capture, () if ALL in only and capture.source_id(ALL) is None else only)
    components = capture.behaviour["components"]
    entries = {
        declared.name: written(capture, declared.name)
        if declared.name in executed
        else stand_in(declared, components.get(declared.name, {}))
        for declared in capture.sources.values()
    }
    content = content_of(capture, entries, ExecutionMode.REPLAY)
    content["execution"]["thread_model"] = None if thread_model is None else str(thread_model)
    plan = plan_of(content, config_path(capture), placement)
    _require_the_same(capture, plan, executed)
    ids = {declared.name: source_id for source_id, declared in capture.sources.items()}
    kept = tuple(dataclasses.replace(e, source_id=ids[e.name]) for e in plan.entries if e.name in executed)
    taken = tuple(name for name in ids if name not in executed)
    return ReplayPlan(dataclasses.replace(plan, entries=kept), taken, tuple(_changed(capture, kept)))


def content_of(capture: Capture, entries: Mapping[str, Any], mode: ExecutionMode) -> dict[str, Any]:
    """The content of a topology file that says what the capture's configuration did, with these components."""
    said = capture.topology
    return {
        "system": said.get("system") or {},
        "bus": dict(said.get("bus") or {}),
        **{section: values for section, values in capture.behaviour.items() if section != "components"},
        "execution": {**(said.get("execution") or {}), "mode": str(mode)},
        "components": dict(entries),
    }


def config_path(capture: Capture) -> Path:
    """Where the capture's topology file was, or would be: its folder is where classes of the user's are looked up."""
    for folder in _folders(capture):
        look_up_beside(folder)
    config = Path(str(capture.manifest.get("config") or "topology.yaml"))
    folders = [folder for folder in _folders(capture) if folder.is_dir()]
    return max(folders, key=lambda folder: _modules_in(capture, folder), default=capture.folder) / config.name


def _modules_in(capture: Capture, folder: Path) -> int:
    """How many of the capture's classes have their module in a folder: processes look in one only."""
    names = {str(entry.get("class", "")).partition(".")[0] for entry in capture.behaviour["components"].values()}
    return sum((folder / f"{name}.py").is_file() or (folder / name).is_dir() for name in names if name)


def written(capture: Capture, name: str) -> dict[str, Any]:
    """The topology entry that gives a component the parameters that it had.

    What is still the default is left out, as its author may have done: some parameters exclude each other.
    """
    recorded = dict(capture.behaviour["components"][name])
    cls = component_class(str(recorded.pop("class")))
    said = (capture.topology.get("components") or {}).get(name) or {}
    defaults = cls.Parameters.model_construct().model_dump(mode="json", warnings=False)
    kept = {k: v for k, v in recorded.items() if k in said or k not in defaults or defaults[k] != v}
    return {"class": capture.behaviour["components"][name]["class"], **kept}


def is_edge(cls: type[Component]) -> bool:
    """Whether a component's records come from outside, so that it is never re-executed."""
    return cls.component_type == DATA_HANDLER or bool(getattr(cls, "is_edge", False))


def _executed(capture: Capture, only: Sequence[str]) -> frozenset[str]:
    known = [declared.name for declared in capture.sources.values()]
    there = ", ".join(known)
    faults = [
        f"--component {name}: there is no such component{did_you_mean(name, known) or '.'} There are {there}."
        for name in only
        if name not in known
    ]
    chosen = []
    config_path(capture)
    for declared in capture.sources.values():
        if only and declared.name not in only:
            continue
        if declared.component_type == DATA_HANDLER:
            edge = True
        else:
            try:
                edge = is_edge(component_class(_class_name(capture, declared)))
            except ConfigError as error:
                faults.append(f"components.{declared.name}.class: {error}")
                continue
        if not edge:
            chosen.append(declared.name)
        elif only:
            faults.append(f"--component {declared.name}: what it says comes from outside; it is taken from the log")
    if faults:
        raise ConfigError([*faults, *_where_we_looked(capture, faults)])
    if not chosen:
        raise ConfigError(f"{capture.path}: the capture has no component that could be re-executed")
    return frozenset(chosen)


def _class_name(capture: Capture, declared: SourceDeclared) -> str:
    entry = capture.behaviour["components"].get(declared.name) or {}
    return str(entry.get("class") or declared.class_name)


def _folders(capture: Capture) -> list[Path]:
    """Where the topology file's own classes may be: in its folder, and with the run."""
    folder = capture.manifest.get("config_folder")
    return [*([Path(folder)] if folder else []), capture.folder]


def _where_we_looked(capture: Capture, faults: Sequence[str]) -> list[str]:
    if not any(".class: " in fault for fault in faults):
        return []
    places = ", ".join(f"{f}{'' if f.is_dir() else ' (which is not there any more)'}" for f in _folders(capture))
    text = f"classes of your own were looked for in {places} and on PYTHONPATH; put their modules there, or re-execute"
    return [f"{text} other components only, with --component NAME"]


def _require_the_same(capture: Capture, plan: Plan, executed: Collection[str]) -> None:
    """What the capture says of the run and of what is re-executed must hold here too; what is new has its default.

    Raises:
        ConfigError: a value cannot be had any more.
    """
    before, now = capture.behaviour, json.loads(plan.behaviour())
    places = [(section, before[section], now.get(section, {})) for section in before if section != "components"]
    places += [(f"components.{n}", before["components"][n], now["components"][n]) for n in sorted(executed)]
    faults = [
        f"{place}.{key}: was {value!r} in the capture and would be {here.get(key)!r}: this version cannot reproduce it"
        for place, there, here in places
        for key, value in there.items()
        if here.get(key) != value
    ]
    if faults:
        raise ConfigError(faults)


def _changed(capture: Capture, entries: Sequence[Any]) -> list[str]:
    """Parameters that the capture does not know: what this version of a class has gained since."""
    notes = []
    for entry in entries:
        recorded = capture.behaviour["components"][entry.name]
        now = entry.component.parameters.model_dump(mode="json")
        notes += [
            f"components.{entry.name}.{key} is not in the capture and is {value!r} by default"
            for key, value in now.items()
            if key not in recorded
        ]
    return notes
