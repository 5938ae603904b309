"""Blocks of messages, as sources make them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bus.runtime.block import Block
from schemas import Message
from schemas.registry import fields


def with_arrays(messages: Sequence[Message]) -> Block:
    """A block that has all its columns as arrays, but that of the symbol."""
    names = [name for name in fields(type(messages[0])) if name != "symbol"]
    return Block(messages, arrays={name: np.array([getattr(m, name) for m in messages]) for name in names})
