"""Validation where something enters from outside, and JSON Schema, both by pydantic from the same definitions."""

from __future__ import annotations

import functools
from array import array
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, create_model

from schemas.base import Message, pack_column
from schemas.registry import TYPE_IDS


class InvalidMessage(ValueError):
    """Input that does not make a message; the text lists every fault with its field."""


_COLUMNS: Final[dict[str, Any]] = {
    "Int64Column": Annotated[list[int], AfterValidator(lambda values: pack_column(array("q", values)))],
    "Float64Column": Annotated[list[float], AfterValidator(lambda values: pack_column(array("d", values)))],
}
"""A column comes from outside as a list of numbers."""


@functools.cache
def model_of(message_type: type[Message]) -> type[BaseModel]:
    """The pydantic model of a message: same fields, defaults and docstring, keyed by name, unknown keys refused."""
    hints = get_type_hints(message_type)
    definitions: dict[str, Any] = {
        field.name: (
            _COLUMNS.get(message_type.__annotations__[field.name]) or _keyed(hints[field.name]),
            ... if field.default is msgspec.NODEFAULT else field.default,
        )
        for field in msgspec.structs.fields(message_type)
    }
    model: type[BaseModel] = create_model(
        message_type.__name__,
        __config__=ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=()),
        **definitions,
    )
    model.__doc__ = message_type.__doc__
    return model


def validate(message_type: type[Message], values: dict[str, object]) -> Message:
    """A message from a dict that came from outside.

    Raises:
        InvalidMessage: with one line for each fault.
    """
    try:
        checked = model_of(message_type).model_validate(values)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InvalidMessage(f"{message_type.__name__}: {faults}") from error
    return msgspec.convert(_positional(checked), message_type)


def json_schema(message_type: type[Message]) -> dict[str, Any]:
    """JSON Schema of the message as an object keyed by field name, with its type id and wire order."""
    schema = model_of(message_type).model_json_schema()
    schema["x-type-id"] = TYPE_IDS.get(message_type)
    schema["x-wire-order"] = list(message_type.__struct_fields__)
    return schema


def _keyed(hint: Any) -> Any:
    """Replace message classes inside a type hint by their pydantic models."""
    if isinstance(hint, type) and issubclass(hint, Message):
        return model_of(hint)
    if hint == tuple[Any, ...] or not getattr(hint, "__args__", None):
        return hint
    args = tuple(arg if arg is Ellipsis else _keyed(arg) for arg in hint.__args__)
    if args == hint.__args__:
        return hint
    return hint.__origin__[args]


def _positional(value: object) -> object:
    if isinstance(value, BaseModel):
        return [_positional(getattr(value, name)) for name in type(value).model_fields]
    if isinstance(value, tuple):
        return [_positional(item) for item in value]
    return value
