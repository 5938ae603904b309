"""Messages to msgpack and back.

The bytes are plain positional msgpack, which any msgpack library reads; msgspec is only the fastest writer and typed
reader of them that we measured (docs/benchmarks.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from schemas.base import Message, unpack_column
from schemas.registry import MESSAGE_TYPES, TYPE_IDS

_Any = TypeVar("_Any", bound=Message)


class DecodeError(ValueError):
    """A payload is not what its type says."""


_ENCODER: Final = msgspec.msgpack.Encoder()
encode: Final[Callable[[Message], bytes]] = _ENCODER.encode
"""A message's payload. Raises TypeError for a field that is neither plain Python nor a message (numpy scalars)."""
encode_into: Final[Callable[[Message, bytearray, int], None]] = _ENCODER.encode_into
"""Writes a message's payload at an offset; it ends where the bytes then end. Raises as `encode` does."""
encode_all: Final[Callable[[Sequence[Message]], bytes]] = _ENCODER.encode
"""A msgpack array of messages: a head of 1, 3 (from 16 on) or 5 (from 65,536 on) bytes, and their payloads."""
_DECODE_ROWS: Final[Callable[[bytes], list[list[Any]]]] = msgspec.msgpack.Decoder(list[list[Any]]).decode

_DECODERS: Final[dict[int, Callable[[bytes | memoryview], Message]]] = {
    type_id: msgspec.msgpack.Decoder(cls).decode for type_id, cls in MESSAGE_TYPES.items()
}
_DECODER_OF: Final = {cls: _DECODERS[type_id] for type_id, cls in MESSAGE_TYPES.items()}


def decode(type_id: int, payload: bytes | memoryview) -> Message:
    """The message in `payload`, its types checked.

    Raises:
        DecodeError: the type id is not registered, or the payload does not fit the type.
    """
    decoder = _DECODERS.get(type_id)
    if decoder is None:
        raise DecodeError(f"message type {type_id} is not registered; known are {sorted(MESSAGE_TYPES)}")
    try:
        return decoder(payload)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise DecodeError(f"{MESSAGE_TYPES[type_id].__name__}: {error}") from error


def decode_all(message_type: type[_Any], payloads: bytes, count: int) -> list[_Any]:
    """So many messages of one type, whose payloads stand one behind the other."""
    return msgspec.msgpack.decode(_array_head(count) + payloads, type=list[message_type])  # type: ignore[valid-type]


def decode_rows(payloads: bytes, count: int) -> list[list[Any]]:
    """The same messages, as lists of the plain values of their fields."""
    return _DECODE_ROWS(_array_head(count) + payloads)


def _array_head(count: int) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big")


def canonical(message: Message) -> Message:
    """The message as every reader of its bytes sees it: an int in a float field becomes a float, and so on.

    Components of the user's own pass through here in every placement, so that one that runs beside us and one that
    runs in another process cannot differ.

    Raises:
        DecodeError: a field has a type or a value that its declaration or msgpack does not allow.
        KeyError: the type is not registered.
    """
    try:
        return _DECODER_OF[type(message)](encode(message))
    except (msgspec.DecodeError, TypeError, OverflowError, UnicodeEncodeError) as error:
        raise DecodeError(f"{type(message).__name__}: {error}") from error


def starts_of(values: Sequence[Any]) -> list[int]:
    """Where in their payload the values of a message, or of a sequence in one, begin, and where the last one ends."""
    head = len(_ENCODER.encode([None] * len(values))) - len(values)
    return list(itertools.accumulate(map(len, map(_ENCODER.encode, values)), initial=head))


def to_builtins(message: Message) -> dict[str, Any]:
    """The message as a dict of plain values, keyed by field name, nested messages too; columns as lists of numbers."""
    values = {name: _plain(getattr(message, name)) for name in message.__struct_fields__}
    for name, value in values.items():
        if isinstance(value, bytes):
            values[name] = unpack_column(message.__annotations__[name], value).tolist()
    return values


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return to_builtins(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, str) else value


def type_id_of(message_type: type[Message]) -> int:
    """The numeric id of a registered type. Raises KeyError for one that is not."""
    return TYPE_IDS[message_type]
