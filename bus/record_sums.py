"""The checksums of many equally long texts at once.

CRC-32 is linear: the checksums of equally long texts differ by what each bit in which they differ contributes, and that
depends on its distance from the end only. A table has the contributions of `_BITS` neighbouring bits at a time. Bits
that are the same in all texts cost nothing.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BITS: Final = 11
"""A table of so many has eight kilobytes: forty of them stay in the processor's cache."""
_LENGTHS_KEPT: Final = 16
_WORD_BITS: Final = 64


class _Tables(NamedTuple):
    """Tables one behind another: the bits that they are for, and of each its word, its first bit, and where it is."""

    covered: NDArray[Any]
    words: NDArray[Any]
    shifts: NDArray[Any]
    offsets: NDArray[Any]
    contributions: NDArray[Any]


def checksums(texts: NDArray[Any], before: int) -> NDArray[Any]:
    """The checksum of each row of bytes, of which there are eight or more; `before` is that of what stands before."""
    words = _words(texts)
    words ^= words[:, :1].copy()
    differing = np.bitwise_or.reduce(words, axis=1)
    tables = _tables(texts.shape[1], differing)
    index = words.take(tables.words, axis=0)
    index >>= tables.shifts
    index &= np.uint64(2**_BITS - 1)
    index += tables.offsets
    differences = tables.contributions.take(index.view(np.int64), mode="clip")
    sums: NDArray[Any] = np.bitwise_xor.reduce(differences, axis=0)
    sums ^= np.uint32(crc32(texts[0], before))
    return sums


def _words(texts: NDArray[Any]) -> NDArray[Any]:
    """The texts as words of eight bytes, a column each; the first word is filled up with zeros on the left."""
    count, length = texts.shape
    rest = length % 8
    words = np.empty((-(-length // 8), count), np.uint64)
    words[1 if rest else 0 :] = texts[:, rest:].view("<u8").T
    if rest:
        words[0] = texts[:, :8].view("<u8")[:, 0] << np.uint64(_WORD_BITS - 8 * rest)
    return words


_kept: dict[int, _Tables] = {}
"""The tables for texts of a length, with the bits in which such have differed."""


def _tables(length: int, differing: NDArray[Any]) -> _Tables:
    tables = _kept.get(length)
    if tables is None or (differing & ~tables.covered).any():
        if len(_kept) >= _LENGTHS_KEPT:
            _kept.clear()
        tables = _kept[length] = _tables_for(differing if tables is None else differing | tables.covered)
    return tables


def _tables_for(bits: NDArray[Any]) -> _Tables:
    """Tables for these bits of each word."""
    covered, places = [], []
    for word, left in enumerate(bits.tolist()):
        mask = 0
        while left:
            first = (left & -left).bit_length() - 1
            places.append((word, first))
            mask |= (2**_BITS - 1) << first
            left &= ~mask
        covered.append(mask & (2**_WORD_BITS - 1))
    tables = [_table(len(covered) - word, first) for word, first in places]
    return _Tables(
        np.array(covered, np.uint64),
        np.array([word for word, _ in places], np.int64),
        np.array([first for _, first in places], np.uint64)[:, np.newaxis],
        (np.arange(len(places), dtype=np.uint64) << np.uint64(_BITS))[:, np.newaxis],
        np.concatenate([np.zeros(1, np.uint32), *tables])[1:],
    )


@functools.lru_cache(maxsize=512)
def _table(words_left: int, first: int) -> NDArray[Any]:
    """What `_BITS` bits from `first` on add to the checksum, by exclusive or, so many words from the end."""
    table = np.zeros(1, np.uint32)
    for bit in range(first, first + _BITS):
        table = np.concatenate((table, table ^ np.uint32(_contribution(words_left, bit))))
    return table


def _contribution(words_left: int, bit: int) -> int:
    if bit >= _WORD_BITS:
        return 0
    behind = bytes(8 * words_left - 1 - bit // 8)
    return crc32(bytes([1 << bit % 8]) + behind) ^ crc32(b"\0" + behind)
