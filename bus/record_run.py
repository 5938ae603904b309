"""Many records at once: a run of messages from outside whose payloads are equally long, as bars of a symbol are.

The bytes are those of `bus.record.encode_record`. The work is done column by column, the checksums too: CRC-32 is
linear, so the checksums of equally long texts differ by what each differing byte alone contributes, and that depends on
the byte and its distance from the end only.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from bus.record import DIGESTED_FROM, EPOCH_SUM, HEAD, HEADER_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

# numpy is imported only when a run is encoded: most processes never do.

LEAST: Final = 64
"""Fewer records are quicker encoded one by one."""
MOST: Final = 1024
"""More do not stay in the processor's cache."""
LONGEST: Final = 1024
"""Bytes of a record. The table for a length takes a kilobyte a byte of it."""
_LENGTHS_KEPT: Final = 32


def encode_run(
    seq: int, source_seq: int, source: int, type_id: int, times: Sequence[int], payloads: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """The records of the first epoch without a cause, and their digested parts, one behind another.

    `seq` and `source_seq` are the first one's, `times` each one's `ts` (ns UTC); the payloads are equally long.
    """
    import numpy as np

    records = np.empty(len(payloads), _layout(len(payloads[0])))
    order = np.arange(len(payloads), dtype=np.uint64)
    records["epoch"] = 1
    records["length"] = len(payloads[0])
    records["seq"] = order + np.uint64(seq)
    records["ts"] = times
    records["source_seq"] = order + np.uint64(source_seq)
    records["cause"] = 0
    records["source"] = source
    records["type"] = type_id
    records["payload"] = np.frombuffer(b"".join(payloads), records.dtype["payload"])
    rows = records.view(np.uint8).reshape(len(payloads), -1)
    bodies = np.ascontiguousarray(rows[:, DIGESTED_FROM:])
    records["crc32"] = _checksums(bodies)
    return records.tobytes(), bodies.tobytes()


def check_run(data: bytes, offset: int, size: int, seq: int, type_id: int) -> tuple[int, bytes]:
    """Sound records of a type at `offset`, each of `size` bytes and of the first epoch, numbered from `seq` on.

    How many there are, at most `MOST`, and their digested parts. It is 0 also where a run is too short, or its records
    too long, to be worth the while: it says what is sound, not what is not.
    """
    count = min(MOST, (len(data) - offset) // size)
    if count < LEAST or size > LONGEST or not _goes_on(data, offset + (LEAST - 1) * size, size, seq + LEAST - 1):
        return 0, b""
    import numpy as np

    records = np.frombuffer(data, _layout(size - HEADER_SIZE), count, offset)
    count = _leading(
        (records["length"] == size - HEADER_SIZE)
        & (records["seq"] == np.arange(count, dtype=np.uint64) + np.uint64(seq))
        & (records["epoch"] == 1)
        & (records["type"] == type_id)
    )
    if count < LEAST:
        return 0, b""
    bodies = np.ascontiguousarray(records.view(np.uint8).reshape(len(records), -1)[:count, DIGESTED_FROM:])
    count = _leading(_checksums(bodies) == records["crc32"][:count])
    return count, bodies[:count].tobytes()


def _goes_on(data: bytes, offset: int, size: int, seq: int) -> bool:
    """Whether a record's length and seq are what they must be in a run."""
    _, _, length, its_seq, *_ = HEAD.unpack_from(data, offset)
    return bool(length == size - HEADER_SIZE and its_seq == seq)


def _leading(sound: NDArray[Any]) -> int:
    """How many are true before the first that is not."""
    return len(sound) if sound.all() else int(sound.argmin())


@functools.lru_cache(maxsize=_LENGTHS_KEPT)
def _layout(payload: int) -> Any:
    import numpy as np

    head = "crc32 <u4, epoch <u4, length <u4, seq <u8, ts <i8, source_seq <u8, cause <u8, source <u2, type <u2"
    fields = [(name, kind) for name, kind in (field.split() for field in head.split(", "))]
    return np.dtype([*fields, ("payload", f"V{payload}")])


def _checksums(bodies: NDArray[Any]) -> NDArray[Any]:
    """The checksum of each row, behind the epoch."""
    import numpy as np

    length = bodies.shape[1]
    differences = np.ascontiguousarray((bodies ^ bodies[0]).T)
    sums = np.full(len(bodies), crc32(bodies[0].tobytes(), EPOCH_SUM), np.uint32)
    contributions = _contributions(length)
    for column in np.flatnonzero(differences.any(axis=1)):
        sums ^= contributions[length - 1 - column].take(differences[column])
    return sums


@functools.lru_cache(maxsize=_LENGTHS_KEPT)
def _contributions(length: int) -> NDArray[Any]:
    """What a byte of this value (column), so far from the end (row), adds to the checksum, by exclusive or."""
    import numpy as np

    table = np.array([crc32(bytes([value])) ^ crc32(b"\0") for value in range(256)], np.uint32)
    rows = [table]
    for _ in range(length - 1):
        rows.append(rows[-1] >> np.uint32(8) ^ table[rows[-1] & np.uint32(255)])
    return np.array(rows)
