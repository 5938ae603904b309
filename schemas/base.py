"""What every message has in common."""

from __future__ import annotations

import sys
from array import array

import msgspec

Int64Column = bytes
"""Many whole numbers of 8 bytes each, little endian: a column of a table, as numpy and Arrow hold it."""
Float64Column = bytes
"""Many IEEE 754 doubles of 8 bytes each, little endian."""

COLUMN_CODES = {"Int64Column": "q", "Float64Column": "d"}
"""Declared type of a column to the type code of `array.array`."""


def pack_column(values: array[int] | array[float]) -> bytes:
    """The bytes of a column from an array of type code `q` or `d`."""
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def unpack_column(declared_type: str, column: bytes) -> array[int] | array[float]:
    """The values of a column, declared as `Int64Column` or `Float64Column`. Raises ValueError for half a value."""
    values = array(COLUMN_CODES[declared_type])
    values.frombytes(column)
    if sys.byteorder == "big":
        values.byteswap()
    return values


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=False):
    """Something that happened, or was asked for. Never changed after it is made.

    On the wire and on disk a message is a msgpack array of its fields in the order of their declaration.
    Fields are only ever appended, and an appended field has a default: an old reader skips what it does not
    know, and a new reader fills in what an old writer left out.

    Times are integer nanoseconds since the epoch, UTC. Prices are in the instrument's currency per unit,
    quantities in units of the instrument (shares, contracts, coins) and never negative: the direction says
    which way.
    """
