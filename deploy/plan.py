"""From the topology file to a plan: which component runs where, and whether they fit together."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bus.errors import ConfigError
from bus.runtime.affinity import affinity_faults
from bus.runtime.component import COMPONENT_TYPES, Component, Source
from bus.runtime.context import ExecutionContext
from bus.runtime.guidelines import LockStrategy
from bus.runtime.locks import make_lock
from bus.runtime.modes import ExecutionMode, Isolation, ThreadModel
from bus.runtime.pools import pool_of
from bus.runtime.runner import Member, describe
from bus.runtime.service import Service
from bus.runtime.settings import RunContext
from bus.topics import Wiring
from deploy.catalog import DEFAULTS, DEFAULTS_BY_MODE, IN_LIVE_MODES, component_class, look_up_beside
from deploy.serving import run_faults, serving_faults, serving_of
from deploy.topology import (
    LIVE_MODES,
    PLACEMENT_KEYS,
    ComponentSection,
    Topology,
    apply_settings,
    faults_of,
    parse_topology,
    read_yaml,
    unknown_key,
)
from deploy.wiring import wiring_faults

DATA_FOLDER_VARIABLE = "ADMF_DATA"
_OUR_DATA = ("HistoricalDataHandler", "LiveMarketDataHandler")


class Placement(StrEnum):
    """Where all components run, whatever the topology file says."""

    LOCAL = "local"
    THREADS = "threads"
    PROCESSES = "processes"


_ISOLATION_OF = {
    Placement.LOCAL: Isolation.SHARED,
    Placement.THREADS: Isolation.THREAD_ISOLATED,
    Placement.PROCESSES: Isolation.PROCESS_ISOLATED,
}


@dataclass(frozen=True)
class Entry:
    """One component of a plan: what it is and where it runs."""

    name: str
    class_name: str
    component: Component
    parameters: dict[str, Any]
    isolation: Isolation
    affinity: tuple[int, ...]
    source_id: int
    service: Service = field(default_factory=Service)
    lock: LockStrategy = LockStrategy.NONE

    @property
    def thread_model(self) -> ThreadModel:
        """How its messages are served."""
        return self.service.model

    @property
    def member(self) -> Member:
        """The component as a runner and the wiring see it."""
        return Member(self.source_id, self.component, self.service)

    def replicas(self) -> list[Entry]:
        """The entry for each process that it needs: itself, or as many as there are replicas."""
        count = self.service.replicas
        if count == 1:
            return [self]
        return [
            # No component can be called so: '#' is not part of a name.
            replace(self, name=f"{self.name}#{n + 1}", service=replace(self.service, replica=n))
            for n in range(count)
        ]


@dataclass(frozen=True)
class Plan:
    """A checked topology: every component resolved, in rank order."""

    path: Path
    topology: Topology
    entries: tuple[Entry, ...]
    context: RunContext
    placement: str
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def wiring(self) -> Wiring:
        """The components with their source ids."""
        return Wiring(tuple(entry.member for entry in self.entries), self.is_live)

    @property
    def mode(self) -> ExecutionMode:
        """The run's execution mode."""
        return self.topology.execution.mode

    @property
    def thread_model(self) -> ThreadModel:
        """The run's thread model, its mode's default if the file names none."""
        return self.execution.thread_model

    @property
    def is_live(self) -> bool:
        """Whether the run is live or paper trading."""
        return self.mode in LIVE_MODES

    @property
    def execution(self) -> ExecutionContext:
        """The mode with its thread model, as components and pools see it."""
        return _execution(self.topology)

    def at(self, isolation: Isolation) -> list[Entry]:
        """The components with this isolation."""
        return [entry for entry in self.entries if entry.isolation is isolation]

    def behaviour(self) -> str:
        """All that decides what the run does, as canonical JSON: not where it runs, nor what is kept of it."""
        components = {
            e.name: {"class": e.class_name, **e.component.parameters.model_dump(mode="json")} for e in self.entries
        }
        section, run = self.topology.run
        content = {section: run.model_dump(mode="json"), "components": components}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    def behaviour_hash(self) -> str:
        """Over `behaviour`."""
        return hashlib.blake2b(self.behaviour().encode(), digest_size=16).hexdigest()


def make_plan(path: Path, settings: Sequence[str] = (), placement: Placement | None = None) -> Plan:
    """Read, resolve and check a topology file. Nothing is started.

    Raises:
        ConfigError: with every fault that could be found, each with its place.
    """
    content = read_yaml(path)
    apply_settings(content, settings)
    return plan_of(content, path, placement)


def plan_of(content: dict[str, Any], path: Path, placement: Placement | None = None) -> Plan:
    """As `make_plan`, for the content of a topology file. `path` names it, and its folder is where data are looked up.

    Raises:
        ConfigError: with every fault that could be found, each with its place.
    """
    topology, faults = parse_topology(content)
    if topology is None:
        # Components can still be checked one by one, so that all faults come at once.
        _, component_faults = _resolve(content.get("components") or {}, path)
        raise ConfigError(faults + component_faults)
    found, component_faults = _resolve(_with_defaults(topology.components, topology.execution.mode), path)
    faults += component_faults
    context = _context(topology, found, path)
    execution = _execution(topology)
    complete = not faults
    faults += run_faults(execution)
    for one in found:
        faults += serving_faults(one.component, one.section, execution)
    faults += wiring_faults({r.name: r.component for r in found}, context, complete)
    faults += [*_follower_faults(topology, found), *_capture_faults(topology)]
    if faults:
        raise ConfigError(faults)
    entries = tuple(_entry(index, r, topology, placement) for index, r in enumerate(found, 1))
    for entry in entries:
        entry.component.lock = make_lock(entry.lock)
    faults = _affinity_faults(topology, entries)
    if faults:
        raise ConfigError(faults)
    return Plan(path, topology, entries, context, placement or _placement_of(entries), content)


@dataclass(frozen=True)
class _Resolved:
    name: str
    section: ComponentSection
    component: Component
    parameters: dict[str, Any]


def _with_defaults(components: Mapping[str, Any], mode: ExecutionMode) -> dict[str, dict[str, Any]]:
    """The entries, and a default one for every component type that the mode needs and the file leaves out."""
    complete = {name: dict(entry) for name, entry in components.items() if isinstance(entry, dict)}
    present = {_type_of(entry.get("class")) for entry in complete.values()}
    for component_type, class_name in DEFAULTS_BY_MODE.get(mode, DEFAULTS).items():
        if component_type not in present:
            complete.setdefault(component_type, {"class": class_name})
    data_folder = os.environ.get(DATA_FOLDER_VARIABLE)
    for entry in complete.values():
        if entry.get("class") in _OUR_DATA and not {"path", "feed"} & entry.keys() and data_folder:
            entry["path"] = data_folder
        if mode in LIVE_MODES and entry.get("class") in IN_LIVE_MODES:
            entry["class"] = IN_LIVE_MODES[entry["class"]]
    return complete


def _type_of(class_name: object) -> str | None:
    try:
        return component_class(str(class_name)).component_type
    except ConfigError:
        return None


def _resolve(components: Mapping[str, Any], path: Path) -> tuple[list[_Resolved], list[str]]:
    look_up_beside(path.parent)
    resolved, faults = [], []
    for name, entry in components.items():
        if isinstance(entry, dict):
            one, its_faults = _resolve_one(str(name), entry)
            faults += its_faults
            if one is not None:
                resolved.append(one)
    return sorted(resolved, key=_rank), faults


def _rank(resolved: _Resolved) -> tuple[int, str]:
    return COMPONENT_TYPES.index(resolved.component.component_type), resolved.name


def _resolve_one(name: str, entry: dict[str, Any]) -> tuple[_Resolved | None, list[str]]:
    place = f"components.{name}"
    faults: list[str] = []
    section = None
    try:
        section = ComponentSection.model_validate({k: v for k, v in entry.items() if k in PLACEMENT_KEYS})
    except ValidationError as error:
        faults += faults_of(error, ComponentSection, place)
    if "class" not in entry:
        return None, faults
    try:
        cls = component_class(str(entry["class"]))
    except ConfigError as error:
        return None, [*faults, f"{place}.class: {error}"]
    parameters = {k: v for k, v in entry.items() if k not in PLACEMENT_KEYS}
    try:
        component = cls(name, parameters)
    except ValidationError as error:
        return None, faults + _parameter_faults(error, cls.Parameters, place)
    except Exception as error:
        return None, [*faults, f"{place}: {cls.__qualname__} cannot be made: {describe(error)}"]
    return (None if section is None else _Resolved(name, section, component, parameters)), faults


def _parameter_faults(error: ValidationError, model: type[BaseModel], place: str) -> list[str]:
    """As `faults_of`, but a key that is unknown at the component's own level may also be a misspelt placement key."""
    faults = faults_of(error, model, place)
    known = [*(f.alias or name for name, f in model.model_fields.items()), *sorted(PLACEMENT_KEYS)]
    for index, detail in enumerate(error.errors()):
        if detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1:
            key = str(detail["loc"][0])
            faults[index] = unknown_key(f"{place}.{key}", key, known)
    return faults


def _context(topology: Topology, found: Sequence[_Resolved], path: Path) -> RunContext:
    return RunContext(
        run=topology.run[1],
        is_live=topology.execution.mode in LIVE_MODES,
        sources=tuple(r.name for r in found if r.component.component_type == "data_handler"),
        brokers={
            r.name: tuple(getattr(r.component.parameters, "symbols", ()) or ())
            for r in found
            if r.component.component_type == "broker"
        },
        base_dir=path.parent.resolve(),
    )


def _entry(index: int, resolved: _Resolved, topology: Topology, placement: Placement | None) -> Entry:
    section = resolved.section
    forced = None if placement is None else _ISOLATION_OF[placement]
    if forced is Isolation.PROCESS_ISOLATED and _follows_run(resolved.component, topology):
        forced = Isolation.THREAD_ISOLATED
    serving = serving_of(resolved.component, section, _execution(topology), forced)
    has_thread = serving.isolation in _OWN_THREAD or serving.service.model is ThreadModel.ASYNC_MULTI
    return Entry(
        name=resolved.name,
        class_name=section.class_name,
        component=resolved.component,
        parameters=resolved.parameters,
        isolation=serving.isolation,
        # A placement from the command line may take the thread away that the file's affinity is for.
        affinity=section.affinity if placement is None or has_thread else (),
        source_id=index,
        service=serving.service,
        lock=serving.lock,
    )


def _follows_run(component: Component, topology: Topology) -> bool:
    """Whether it is a recording that, in a live run, waits until what it has sent has settled: only the hub knows."""
    return topology.execution.mode in LIVE_MODES and isinstance(component, Source) and component.follows_run


def _follower_faults(topology: Topology, found: Sequence[_Resolved]) -> list[str]:
    return [
        f"components.{one.name}.isolation: a recording that is played as fast as the run follows (speed: 0) waits for "
        f"the hub and stays in its process; make it {Isolation.THREAD_ISOLATED}, or give it a speed"
        for one in found
        if one.section.isolation is Isolation.PROCESS_ISOLATED and _follows_run(one.component, topology)
    ]


def _capture_faults(topology: Topology) -> list[str]:
    capture, mode = topology.bus.capture, topology.execution.mode
    if mode is not ExecutionMode.LIVE_TRADING or capture == "full":
        return []
    return [f"bus.capture: is {capture}; {mode} needs full: an order leaves only after it is in the log"]


def _execution(topology: Topology) -> ExecutionContext:
    return ExecutionContext(topology.system.name, topology.execution.mode, topology.execution.thread_model)


_OWN_THREAD = frozenset({Isolation.THREAD_ISOLATED, Isolation.PROCESS_ISOLATED})


def _affinity_faults(topology: Topology, entries: Sequence[Entry]) -> list[str]:
    """CPUs that do not exist, and affinity of components without a thread or process of their own."""
    faults = []
    for name, pool in topology.execution.thread_pools.by_name().items():
        if pool.affinity:
            faults += affinity_faults(f"execution.thread_pools.{name}.affinity", pool.affinity)
    for entry in entries:
        place = f"components.{entry.name}.affinity"
        if entry.affinity and (entry.isolation in _OWN_THREAD or entry.thread_model is ThreadModel.ASYNC_MULTI):
            faults += affinity_faults(place, entry.affinity)
        elif entry.affinity:
            text = f"{place}: the component is {entry.isolation} and has no thread of its own to bind; make it "
            text += "thread_isolated or process_isolated"
            if entry.isolation is Isolation.ISOLATED or entry.thread_model is ThreadModel.MULTI_THREADED:
                pool_name = pool_of(_execution(topology), entry.component.component_type)
                text += f", or bind its pool by execution.thread_pools.{pool_name}.affinity"
            faults.append(text)
    return faults


def _placement_of(entries: Sequence[Entry]) -> str:
    levels = {entry.isolation for entry in entries}
    if len(levels) > 1:
        return "mixed"
    return {isolation: str(placement) for placement, isolation in _ISOLATION_OF.items()}.get(levels.pop(), "mixed")
