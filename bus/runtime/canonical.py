"""What components of the user's own publish, as every reader of its bytes would see it.

So a run in one thread, where nothing is encoded, and one over processes cannot differ by an int in a float field, or a
number of numpy's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bus.errors import ProtocolError
from bus.runtime.block import Block
from bus.runtime.component import Component, Emit
from schemas import Message
from schemas.codec import DecodeError, canonical
from schemas.registry import TYPE_IDS, field_types, fields

_PLAIN: Final[dict[str, type]] = {"int": int, "float": float, "str": str}
_INT64: Final = range(-(2**63), 2**63)


def refuse_to_publish(component: Component, message: object) -> ProtocolError:
    """The error of a component that publishes what it did not declare."""
    allowed = ", ".join(t.__name__ for t in component.emits) or "nothing"
    return ProtocolError(f"{component.name} published {type(message).__name__}, but declares that it emits {allowed}")


def canonical_emit(component: Component, emit: Emit) -> Emit:
    """An emit that first makes the message what every reader of its bytes would see."""

    def emit_canonical(message: Message) -> None:
        try:
            seen = canonical(message)
        except (DecodeError, KeyError) as error:
            raise _misfit(component, message, error) from error
        emit(seen)

    return emit_canonical


def canonical_block(component: Component, messages: Iterable[Message]) -> list[Message]:
    """The messages of a source as every reader of their bytes would see them: themselves, where they are that already.

    Raises:
        ProtocolError: a message does not fit its type.
    """
    messages = list(messages)
    if len(set(map(type, messages))) == 1 and type(messages[0]) in TYPE_IDS:
        block = Block(messages)  # of its own, for whoever made one may be mistaken about its columns
        if _is_canonical(block):
            return block
    return [_of_our_time(component, _canonical_of(component, message)) for message in messages]


def _is_canonical(block: Block) -> bool:
    """Whether every value is of the very type that is declared, and msgpack has it; False where that is hard to say."""
    message_type = block.message_type
    for name, declared in zip(fields(message_type), field_types(message_type), strict=True):
        kind, values = _PLAIN.get(declared), block.column(name)
        if kind is None or set(map(type, values)) != {kind}:
            return False
        if kind is int and not all(bound in _INT64 for bound in block.bounds(name)):
            return False
        if kind is str and not all(map(_is_text, set(values))):
            return False
    return True


def _is_text(value: str) -> bool:
    """Whether it can be encoded: a lone surrogate cannot."""
    return value.isascii() or value == value.encode("utf-8", "replace").decode("utf-8")


def _of_our_time(component: Component, message: Message) -> Message:
    """The message, if its time is one that a record can have."""
    ts: int = getattr(message, "ts", 0)
    if ts not in _INT64:
        raise ProtocolError(
            f"{component.name} published {type(message).__name__} with ts {ts}, which is later than any time that a "
            f"log can hold, {_INT64[-1]} (the year 2262); ts is in nanoseconds since 1970, UTC"
        )
    return message


def _canonical_of(component: Component, message: Message) -> Message:
    try:
        return canonical(message)
    except (DecodeError, KeyError) as error:
        raise _misfit(component, message, error) from error


def _misfit(component: Component, message: Message, error: DecodeError | KeyError) -> ProtocolError:
    """The error of a component that publishes what is no message, or one that does not fit its type."""
    if isinstance(error, KeyError):
        return refuse_to_publish(component, message)
    return ProtocolError(f"{component.name} published a message that does not fit its type: {error}")
