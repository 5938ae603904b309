"""The topology file: what it may say, and everything that is wrong with it, at once and with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator

from bus.errors import ConfigError
from bus.runtime.modes import ExecutionMode, Isolation, ThreadModel
from bus.runtime.pools import PoolSettings
from bus.runtime.settings import LiveSettings, RunSettings, StrictModel
from deploy.optimize.section import OptimizationSection

LIVE_MODES = frozenset({ExecutionMode.LIVE_TRADING, ExecutionMode.PAPER_TRADING})


class SystemSection(StrictModel):
    """`system`: what the installation is called."""

    name: str = "ADMF-Trader"


class ThreadPoolsSection(StrictModel):
    """`execution.thread_pools`: the pools of all modes; those of another mode than the run's are not used."""

    data: PoolSettings = PoolSettings()
    compute: PoolSettings = PoolSettings()
    market_data: PoolSettings = PoolSettings()
    order_processing: PoolSettings = PoolSettings()
    strategy: PoolSettings = PoolSettings()
    optimization: PoolSettings = PoolSettings()

    def by_name(self) -> dict[str, PoolSettings]:
        """What the file says, pool by pool."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class ExecutionSection(StrictModel):
    """`execution`: what the run is for. `thread_model` follows from the mode when it is left out.

    An `async def` handler that holds its event loop for more than `slow_handler_s` is reported.
    """

    mode: ExecutionMode = ExecutionMode.BACKTEST_SINGLE
    thread_model: ThreadModel | None = None
    thread_pools: ThreadPoolsSection = ThreadPoolsSection()
    slow_handler_s: float = Field(default=1.0, gt=0, le=3_600)


class BusSection(StrictModel):
    """`bus`: how messages travel and what is kept.

    `endpoint` is `ipc` (sockets in a private folder) or `tcp://127.0.0.1`. `capture`: `full` writes the message log,
    `digest` only computes the run's digest, `none` neither. `run_dir` is where run folders are made, relative to the
    working directory. Times are in seconds.
    """

    endpoint: str = "ipc"
    capture: Literal["full", "digest", "none"] = "full"
    run_dir: Path = Path("runs")
    timeout_s: float = Field(default=60.0, gt=0, le=86_400)
    start_timeout_s: float = Field(default=30.0, gt=0, le=86_400)
    stop_timeout_s: float = Field(default=2.0, gt=0, le=3_600)

    @field_validator("endpoint")
    @classmethod
    def _is_local(cls, endpoint: str) -> str:
        if endpoint not in ("ipc", "tcp://127.0.0.1"):
            raise ValueError(
                f"{endpoint!r} is neither 'ipc' nor 'tcp://127.0.0.1'; the bus does not leave this machine"
            )
        return endpoint


class ComponentSection(StrictModel):
    """What every entry under `components` may say; the other keys are the component's own parameters."""

    class_name: str = Field(alias="class", min_length=1)
    isolation: Isolation | None = None
    thread_model: ThreadModel | None = None
    handlers: dict[str, ThreadModel] = Field(default_factory=dict)
    partitions: int | None = Field(default=None, ge=1, le=32)
    thread_safe: bool | None = None
    affinity: tuple[Annotated[int, Field(ge=0)], ...] = ()


HUB_NAME = "hub"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)

PLACEMENT_KEYS = frozenset(f.alias or name for name, f in ComponentSection.model_fields.items())


class Topology(StrictModel):
    """A topology file. `components` holds the entries as written; `deploy.plan` resolves them."""

    system: SystemSection = SystemSection()
    execution: ExecutionSection = ExecutionSection()
    bus: BusSection = BusSection()
    backtest: RunSettings = RunSettings()
    live_trading: LiveSettings = LiveSettings()
    optimization: OptimizationSection | None = None
    components: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @property
    def run(self) -> tuple[str, RunSettings]:
        """The section that says what the run trades, by its name: each kind of mode has its own.

        A replay has that of the run that it repeats.
        """
        mode = self.execution.mode
        repeats_live = mode is ExecutionMode.REPLAY and "live_trading" in self.model_fields_set
        if mode in LIVE_MODES or repeats_live:
            return "live_trading", self.live_trading
        return "backtest", self.backtest


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a repeated key is an error: the plain loader silently keeps the last."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node)
        if key in seen:
            mark = key_node.start_mark
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands here a second time", mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's content.

    Raises:
        ConfigError: no such file, not YAML (with line and column), a repeated key, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        similar = _similar_files(path) if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"{path}: {error.strerror}{similar}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error}") from None
    try:
        content = yaml.load(text, _UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise ConfigError(f"{path}: {where}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        # Not only YAMLError: the 30th of February is a ValueError, a list as a key a TypeError.
        raise ConfigError(f"{path}: not a YAML value: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds {type(content).__name__}, not a mapping with sections like 'components:'")
    return content


def _similar_files(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])


def apply_settings(content: dict[str, Any], settings: Iterable[str]) -> None:
    """Put `a.b.c=value` settings into the content; values are YAML.

    Raises:
        ConfigError: a setting is not of that form, or leads through something that is not a mapping.
    """
    faults = [fault for setting in settings if (fault := _apply(content, setting))]
    if faults:
        raise ConfigError(faults)


def _apply(content: dict[str, Any], setting: str) -> str | None:
    place, equals, text = setting.partition("=")
    keys = place.strip().split(".")
    if not equals or not all(keys):
        return f"--set {setting}: write it as section.key=value, for instance components.broker.max_volume_pct=0.2"
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        return f"--set {setting}: {text!r} is not a YAML value: {str(error).splitlines()[0]}"
    node = content
    for key in keys[:-1]:
        inner = node.setdefault(key, {})
        if inner is None:
            inner = node[key] = {}
        if not isinstance(inner, dict):
            return f"--set {setting}: {key!r} is {inner!r}, not a mapping"
        node = inner
    node[keys[-1]] = value
    return None


def parse_topology(content: Mapping[str, Any]) -> tuple[Topology | None, list[str]]:
    """The topology, or None, and every fault of its sections."""
    components = content.get("components")
    faults: list[str] = []
    if components is not None and not isinstance(components, dict):
        faults.append(f"components: is {type(components).__name__}, not a mapping of names to components")
        content = {**content, "components": {}}
    elif components is None:
        content = {**content, "components": {}}
    sound = {}
    for name, entry in content["components"].items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == HUB_NAME:
            faults.append(
                f"components.{name!r:.80}: not a name: use letters, digits, '_', '.' and '-', begin with a letter or "
                f"digit, at most 64, and not {HUB_NAME!r}"
            )
        elif not isinstance(entry, dict):
            faults.append(f"components.{name}: is {entry!r:.60}, not a mapping with at least 'class'")
        else:
            sound[name] = entry
    content = {**content, "components": sound}
    try:
        topology = Topology.model_validate(content)
        return topology, faults + _unread(topology)
    except ValidationError as error:
        return None, faults + faults_of(error, Topology, "")


def _unread(topology: Topology) -> list[str]:
    """A section that the mode does not read is no fault beside the one that it does: one file may serve both."""
    mode, said = topology.execution.mode, topology.model_fields_set
    read, other = ("live_trading", "backtest") if mode in LIVE_MODES else ("backtest", "live_trading")
    if mode is ExecutionMode.REPLAY or other not in said or read in said:
        return []
    return [f"{other}: is not read in mode {mode}, which has its own section, {read}; write that"]


def faults_of(error: ValidationError, model: type[BaseModel], prefix: str) -> list[str]:
    """A validation error as one sentence a fault, each with its place and, where there is one, a suggestion."""
    return [_fault(detail, model, prefix) for detail in error.errors()]


def _fault(detail: Any, model: type[BaseModel], prefix: str) -> str:
    loc = [part for part in detail["loc"] if not (isinstance(part, str) and part in _UNION_TAGS)]
    place = ".".join([*([prefix] if prefix else []), *map(str, loc)])
    if detail["type"] == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        return unknown_key(place, str(loc[-1]), known)
    if detail["type"] == "missing":
        return f"{place}: is required and missing"
    if detail["type"] == "enum":
        known = detail["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        found = str(detail["input"])
        return f"{place}: {found!r} is not allowed{did_you_mean(found, known) or '.'}{_allowed(known)}"
    message = _SHAPES.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
    what = "" if detail["type"] == "value_error" else f" (found {detail['input']!r:.60})"
    return f"{place}: {message}{what}"


_SHAPES = {
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list, such as [a, b]"),
    **dict.fromkeys(("model_type", "dict_type", "mapping_type"), "must be a mapping, such as {key: value}"),
    "path_type": "must be a path",
}
"""What a value must be, where the validator's own sentence names a class of ours."""

_UNION_TAGS = frozenset({"function-after", "function-before", "function-wrap"})


def _known_keys(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    for part in loc:
        inner = model.model_fields.get(str(part))
        nested = _model_in(inner.annotation) if inner else None
        if nested is None:
            return []
        model = nested
    return [f.alias or name for name, f in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for arg in get_args(annotation) if (m := _model_in(arg))), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The sentence's end that suggests the nearest known word, or nothing."""
    by_fold = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.55)
    return f"; did you mean {by_fold[near[0]]!r}?" if near else ""


def unknown_key(place: str, key: str, known: Sequence[str]) -> str:
    """The sentence for a key that is not known at a place."""
    return f"{place}: unknown key{did_you_mean(key, known) or '.'}{_allowed(known)}"


def _allowed(known: Sequence[str]) -> str:
    return f" Allowed are: {', '.join(known)}." if known else ""
