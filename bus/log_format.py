"""What a segment of a message log begins with, and what its seals say.

Of version 2 of the format all is the same but the digest, see `new_digest`; of version 1 see `bus.log_version_1`.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from blake3 import blake3
from isal.isal_zlib import crc32

from bus.errors import LogError

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAGIC: Final = b"ADMFLOG\x01"
SUFFIX: Final = ".admflog"
SEAL_BYTES: Final = 128 * 1024
FIRST_EPOCH: Final = 1
"""Until runs can be taken over the only one."""
_HEAD: Final = struct.Struct("<8sIQ32s")
SEGMENT_HEAD_SIZE: Final = _HEAD.size + 4
VERSION: Final = 3
SEAL: Final = struct.Struct("<II")
"""Epoch and checksum, with which a seal's payload begins."""


def checksum(data: Buffer, epoch: int) -> int:
    """What a seal of this epoch says of the bytes before it."""
    return crc32(data, crc32(struct.pack("<I", epoch)))


def new_digest(version: int = VERSION) -> Any:
    """The digest of no records in a log of this version, 32 bytes of BLAKE3, before version 3 of BLAKE2b."""
    return blake3() if version >= 3 else hashlib.blake2b(digest_size=32)


def segment_head(first_seq: int, digest: bytes) -> bytes:
    """The head of a segment whose first record is `first_seq`, after records with `digest`."""
    head = _HEAD.pack(MAGIC, VERSION, first_seq, digest)
    return head + struct.pack("<I", crc32(head))


class SegmentHead(NamedTuple):
    """What a segment's head says: of which version it is, its first seq, and the digest of all before it."""

    version: int
    first_seq: int
    digest: bytes


def parse_segment_head(data: bytes, path: Path) -> SegmentHead:
    """What the first bytes of a segment say.

    Raises:
        LogError: not a segment, a version that we do not know, or a damaged head.
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise LogError(f"{path}: not a message log (it does not start with the log's magic bytes)")
    if len(data) < SEGMENT_HEAD_SIZE:
        raise LogError(f"{path}: the file ends within the segment's head")
    _, version, first_seq, digest = _HEAD.unpack_from(data)
    if not 1 <= version <= VERSION:
        raise LogError(f"{path}: log version {version}; this program reads versions 1 to {VERSION}")
    if struct.unpack_from("<I", data, _HEAD.size)[0] != crc32(data[: _HEAD.size]):
        raise LogError(f"{path}: the checksum of the segment's head does not fit")
    return SegmentHead(version, first_seq, digest)
