"""The state of an object, as plain values that can be compared."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

_PLAIN = (str, bytes, int, float, bool, type(None))


def state_of(value: Any, ignored: frozenset[str] = frozenset()) -> Any:
    """All that an object holds, and what that holds, without attributes of the `ignored` names.

    Counters are told by their next number; functions, iterators and types by their own type. Of an object that is no
    value, such as a part that several others have, all is told where it is met first.
    """
    return _state_of(value, ignored, set())


def _state_of(value: Any, ignored: frozenset[str], told: set[int]) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, itertools.count):
        return repr(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return [(_state_of(key, ignored, told), _state_of(each, ignored, told)) for key, each in value.items()]
    if isinstance(value, list | tuple | deque):
        return [_state_of(each, ignored, told) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    attributes = _attributes(value)
    if attributes is None or callable(value):
        return type(value).__name__
    if not isinstance(value, msgspec.Struct):
        if id(value) in told:
            return f"the {type(value).__name__}"
        told.add(id(value))
    return [(name, _state_of(each, ignored, told)) for name, each in attributes if name not in ignored]


def _attributes(value: Any) -> list[tuple[str, Any]] | None:
    if isinstance(value, msgspec.Struct):
        return [(name, getattr(value, name)) for name in value.__struct_fields__]
    names = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
    found = [(name, getattr(value, name)) for name in names if hasattr(value, name)]
    if hasattr(value, "__dict__"):
        found += vars(value).items()
    return found or None
