"""What every message has in common."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=False):
    """Something that happened, or was asked for. Never changed after it is made.

    On the wire and on disk a message is a msgpack array of its fields in the order of their declaration.
    Fields are only ever appended, and an appended field has a default: an old reader skips what it does not
    know, and a new reader fills in what an old writer left out.

    Times are integer nanoseconds since the epoch, UTC. Prices are in the instrument's currency per unit,
    quantities in units of the instrument (shares, contracts, coins) and never negative: the direction says
    which way.
    """
