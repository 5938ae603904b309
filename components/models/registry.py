"""Models by name: our own, those of installed packages (entry points), and those of the user (dotted paths)."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import ConfigDict, ValidationError, model_validator

from bus.runtime.settings import StrictModel


class ExecutionModel(StrictModel):
    """A model that is its own configuration: its fields are its parameters, checked when it is made.

    What a model learns during a run lives in `functools.cached_property` attributes, so that it is never part of the
    configuration, and a newly made model has learnt nothing.
    """

    def __init__(self, parameters: Mapping[str, Any] | None = None, /, **values: Any) -> None:
        """Takes the parameters as one mapping, as keywords, or both."""
        super().__init__(**{**(parameters or {}), **values})

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name, defaults included."""
        return {name: getattr(self, name) for name in type(self).model_fields}


M = TypeVar("M", bound=ExecutionModel)


class Registry(Generic[M]):
    """The models of one kind.

    A name is one of `builtin`, an entry point in `group` of any installed package, or the dotted path of a class
    (`my_models.impact.MyModel`). Whatever it finds must be a subclass of `base`.
    """

    def __init__(self, kind: str, base: type[M], group: str, builtin: Mapping[str, type[M]]) -> None:
        self.kind = kind
        self.base = base
        self.group = group
        self.builtin = dict(builtin)

    def names(self) -> list[str]:
        """Every name that is known without a dotted path, sorted."""
        return sorted({*self.builtin, *entry_points(group=self.group).names})

    def find(self, name: str) -> type[M]:
        """The class called `name`.

        Raises:
            ValueError: there is none, it cannot be imported, or it is not a model of this kind.
        """
        if name in self.builtin:
            return self.builtin[name]
        found = self._entry_point(name) or self._dotted(name)
        if found is None:
            raise ValueError(unknown(f"{self.kind} model", name, self.names()))
        return self._checked(name, found)

    def make(self, name: str, parameters: Mapping[str, Any]) -> M:
        """A new model called `name`.

        Raises:
            ValueError: the name or a parameter is not known, or a value is not allowed; one line names every fault.
        """
        model = self.find(name)
        try:
            return model(parameters)
        except ValidationError as error:
            raise ValueError(f"{self.kind} model {name!r}: {_faults(error, model)}") from error

    def _entry_point(self, name: str) -> object | None:
        for entry in entry_points(group=self.group, name=name):
            try:
                return entry.load()  # type: ignore[no-any-return]
            except (ImportError, AttributeError) as error:
                raise ValueError(f"{self.kind} model {name!r} ({entry.value}) cannot be loaded: {error}") from error
        return None

    def _checked(self, name: str, found: object) -> type[M]:
        if isinstance(found, type) and issubclass(found, self.base):
            return found
        raise ValueError(f"{self.kind} model {name!r} is {found!r}, which is not a subclass of {self.base.__name__}")

    def _dotted(self, name: str) -> object | None:
        module, _, attribute = name.rpartition(".")
        if not module:
            return None
        try:
            return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{self.kind} model {name!r} cannot be loaded: {error}") from error


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not known: the nearest known one, and all of them."""
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"unknown {what} {name!r}{hint} known are {', '.join(choices) or 'none'}"


def _faults(error: ValidationError, model: type[ExecutionModel]) -> str:
    return "; ".join(_fault(fault["type"], fault["loc"], fault["msg"], model) for fault in error.errors())


def _fault(kind: str, loc: tuple[int | str, ...], message: str, model: type[ExecutionModel]) -> str:
    if kind == "extra_forbidden" and len(loc) == 1:
        return unknown("parameter", str(loc[0]), model.model_fields)
    place = ".".join(map(str, loc))
    return f"{place}: {message}" if place else message


class ModelConfig(StrictModel):
    """`{model: <name>, <parameter>: ..., ...}`; checked by making the model once."""

    model_config = ConfigDict(extra="allow")

    registry: ClassVar[Registry[Any]]

    model: str

    @model_validator(mode="after")
    def _model_can_be_made(self) -> Self:
        self.make()
        return self

    def make(self) -> Any:
        """A new model that has learnt nothing yet. Raises ValueError as `Registry.make` does."""
        return self.registry.make(self.model, self.model_extra or {})
