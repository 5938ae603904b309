"""Any message, made from the type definitions themselves."""

from __future__ import annotations

import functools
import types
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from schemas import MESSAGE_TYPES, Message

INT64 = st.integers(-(2**63), 2**63 - 1)


@functools.cache
def messages_of(message_type: type[Message], nan: bool = False) -> st.SearchStrategy[Message]:
    """Messages of one type, every field with any value that its declaration allows."""
    hints = get_type_hints(message_type)
    return st.builds(message_type, *(_values(hints[name], nan) for name in message_type.__struct_fields__))


def any_message(nan: bool = False) -> st.SearchStrategy[Message]:
    """Messages of any registered type."""
    return st.sampled_from(sorted(MESSAGE_TYPES)).flatmap(lambda type_id: messages_of(MESSAGE_TYPES[type_id], nan))


def _values(hint: Any, nan: bool) -> st.SearchStrategy[Any]:
    simple = {
        int: INT64,
        str: st.text(max_size=8),
        bool: st.booleans(),
        bytes: st.binary(max_size=3).map(lambda part: part * 8),  # whole values of a column
        types.NoneType: st.none(),
    }
    if hint in simple:
        return simple[hint]
    if hint is float:
        return st.floats(allow_nan=nan, allow_infinity=nan)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    if isinstance(hint, type) and issubclass(hint, Message):
        return messages_of(hint, nan)
    return _containers(get_origin(hint), get_args(hint), nan)


def _containers(origin: Any, args: tuple[Any, ...], nan: bool) -> st.SearchStrategy[Any]:
    if origin in (Union, types.UnionType):
        return st.one_of([_values(arg, nan) for arg in args])
    if origin is dict:
        return st.dictionaries(_values(args[0], nan), _values(args[1], nan), max_size=4)
    assert origin is tuple, f"no field of a message should be a {origin}"
    if args[1:] == (Ellipsis,):
        return st.lists(_values(args[0], nan), max_size=4).map(tuple)
    return st.tuples(*(_values(arg, nan) for arg in args))
