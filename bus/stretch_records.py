"""Records of a stretch of bars and of what these were answered, made without the messages.

Bars that were answered alike have answers of the same types from the same components, of which only numbers and ids
differ: a pattern. Its records are rows of a table. One row is made of real messages, with the real encoder, and
repeated; then what differs is written into it column by column (see `bus.block_records`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Sized
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from bus.block_records import LONGEST_NUMBERS, table_of
from bus.record import HEAD, HEADER_SIZE, SEQ_OFFSET, encode_record
from bus.runtime.block import Block
from schemas import Message
from schemas.codec import encode, starts_of
from schemas.registry import TYPE_IDS, fields

_BIG_ENDIAN: Final = np.dtype(">i8")
_NUMBERS: Final = 4
"""Of a record's head: seq, ts, source_seq, cause; each takes eight bytes."""


PAYLOAD: Final = ""
"""The name of all fields together: the payload as it is."""


class Part(NamedTuple):
    """One of the answers: a message like it, and its fields that differ: which of a pattern's words, or texts, each is.

    Inner fields are called as in `order.ts` and `fees.0.amount`; of one that is a message, the text is its payload.
    `cause` is the number of the part that is answered, 0 for the bar.
    """

    source: int
    cause: int
    message: Message
    words: Mapping[str, int]
    texts: Mapping[str, int]


class Pattern(NamedTuple):
    """The answers to the bars with these indexes, the first bar's being 0, in the order in which they are given.

    `words` has a row for each number that differs, of int64 from 2**32 on or of float64 seen as int64; `texts` a column
    for each text. `parts` says what all these are; it is asked once for each `kind`: of the same kind are only patterns
    whose messages differ in nothing else.
    """

    at: NDArray[np.int64]
    kind: Hashable
    words: NDArray[np.int64]
    texts: Sequence[NDArray[np.void]]
    parts: Callable[[], Sequence[Part]]


class Layout(NamedTuple):
    """How the rows of a kind of patterns look: one of them, and where in it what differs stands."""

    sample: bytes
    words: list[tuple[int, int]]
    texts: list[tuple[int, int]]
    """Which words and texts there are, and where."""
    heads: list[int]
    """Of each part, where seq, ts, source_seq and cause stand."""
    sources: list[int]
    ordinals: NDArray[np.int64]
    causes: NDArray[np.int64]
    """Of the parts: who said them, the how manieth each of them that was, and what it answers."""


Layouts = dict[Hashable, Layout]
"""By kind."""
_MOST_LAYOUTS: Final = 1024
_MANY: Final = 10_000
_LONG: Final = 8
"""So many bars between answers, on average, are quicker seen than copied."""


class StretchRecords(NamedTuple):
    """Records one behind another, in `pieces` of whole ones; `ends` says where each piece ends.

    `starts` says where each bar's record is, `befores` how many there are before it.
    """

    pieces: list[bytes | memoryview]
    ends: NDArray[np.int64]
    starts: NDArray[np.int64]
    befores: NDArray[np.int64]
    total: int


class Numbers(NamedTuple):
    """What is given out already: the last seq, and of each source, by its id, the last source_seq."""

    head: int
    last: list[int]


class Bars(NamedTuple):
    """Bars of a block, from `start` to before `end`."""

    block: Block
    start: int
    end: int


def records_of(
    runs: Sequence[Bars], origin: tuple[int, int], numbers: Numbers, patterns: Sequence[Pattern], layouts: Layouts
) -> Iterator[StretchRecords]:
    """Records of bars, whose source and type are `origin`, and of their answers, run by run.

    `numbers` are moved on, but for the head. What was found out of a kind of patterns is kept in `layouts`.
    """
    answers = _Answers(patterns, [_layout(pattern, layouts) for pattern in patterns])
    begins = list(itertools.accumulate((run.end - run.start for run in runs), initial=0))
    cuts = answers.at.searchsorted(begins).tolist()
    places = list(zip(runs, begins, itertools.pairwise(cuts), strict=False))
    times = np.concatenate(
        [run.block.times[answers.at[first:end] + (run.start - begin)] for run, begin, (first, end) in places]
    )
    seq = numbers.head + 1
    rows = answers.rows(seq + answers.at + answers.behind[:-1], times, numbers.last)
    for run, begin, (first, end) in places:
        behind = answers.behind[first : end + 1]
        answered = _Answered(
            answers.at[first:end] - begin, behind - behind[0], rows[first:end], answers.sizes[first:end]
        )
        yield _records(run, origin, seq + begin + int(behind[0]), answered, numbers.last)


class _Answered(NamedTuple):
    """The bars of a run that were answered: their indexes in it, how many of its answers there are before each and in
    all, and the records of each one's answers with their size."""

    at: NDArray[np.int64]
    behind: NDArray[np.int64]
    rows: Sequence[bytes]
    sizes: NDArray[np.int64]


def _records(run: Bars, origin: tuple[int, int], seq: int, answered: _Answered, last: list[int]) -> StretchRecords:
    """Those of a run, of which the first has this seq. `last` is moved on for the bars."""
    at, behind, rows, answer_sizes = answered
    bars = run.end - run.start
    befores = np.arange(bars) + np.repeat(behind, np.diff(at + 1, prepend=0, append=bars))
    data, sizes = _encoded(run, origin, befores + seq, last[origin[0]])
    last[origin[0]] += bars
    cuts = [*np.cumsum(sizes)[at].tolist(), len(data)]
    pieces: list[bytes | memoryview] = [b""] * (2 * len(cuts) - 1)
    whole = data if bars > _LONG * len(cuts) else bytes(data)
    pieces[::2] = [whole[first:end] for first, end in itertools.pairwise([0, *cuts])]
    pieces[1::2] = rows
    piece_sizes = np.empty(len(pieces), np.int64)
    piece_sizes[::2], piece_sizes[1::2] = np.diff(cuts, prepend=0), answer_sizes
    sizes[at] += answer_sizes
    return StretchRecords(pieces, np.cumsum(piece_sizes), np.cumsum(sizes) - sizes, befores, bars + int(behind[-1]))


class _Answers:
    """The answers of all patterns, by the bars that were answered, which are at the ascending indexes `at`."""

    def __init__(self, patterns: Sequence[Pattern], layouts: Sequence[Layout]) -> None:
        at = np.concatenate([pattern.at for pattern in patterns] or [np.zeros(0, np.int64)])
        self.at = np.sort(at)
        self._known = [
            (pattern, layout, self.at.searchsorted(pattern.at))
            for pattern, layout in zip(patterns, layouts, strict=True)
        ]
        counts = self._by_bar(lambda layout: len(layout.sources))
        self.behind = np.concatenate(([0], np.cumsum(counts)))
        """How many answers there are before each bar that was answered, and in all."""
        self.sizes = self._by_bar(lambda layout: len(layout.sample))
        """Bytes of the answers to each bar that was answered."""

    def rows(self, seqs: NDArray[np.int64], times: NDArray[np.int64], last: list[int]) -> list[bytes]:
        """The records of the answers to each bar; `seqs` and `times` are the bars' own. `last` is moved on."""
        source_seqs = {}
        for source in sorted({source for _, layout, _ in self._known for source in layout.sources}):
            counts = self._by_bar(partial(_said_by, source))
            behind = last[source] + np.cumsum(counts)
            source_seqs[source], last[source] = behind - counts, int(behind[-1])
        rows = [b""] * len(self.at)
        for pattern, layout, places in self._known:
            given = {source: source_seqs[source][places] for source in set(layout.sources)}
            for place, row in zip(
                places.tolist(), _rows(pattern, layout, seqs[places], times[places], given), strict=True
            ):
                rows[place] = row
        return rows

    def _by_bar(self, count: Callable[[Layout], int]) -> NDArray[np.int64]:
        counts = np.zeros(len(self.at), np.int64)
        for _, layout, places in self._known:
            counts[places] = count(layout)
        return counts


def _said_by(source: int, layout: Layout) -> int:
    return layout.sources.count(source)


def _encoded(
    run: Bars, origin: tuple[int, int], seqs: NDArray[np.int64], last: int
) -> tuple[bytes | memoryview, NDArray[np.int64]]:
    """The records of the bars themselves, and how long each is."""
    block, start, end = run
    table = table_of(block, start, end, *origin)
    if table is None:
        records = [
            encode_record(seq, bar.ts, last + n, 0, *origin, encode(bar))
            for n, (seq, bar) in enumerate(zip(seqs.tolist(), block[start:end], strict=True), 1)
        ]
        return b"".join(records), np.array(list(map(len, records)))
    table["seq"] = seqs
    table["source_seq"] = np.arange(last + 1, last + 1 + len(table))
    return memoryview(table.view("u1")), np.full(len(table), table.itemsize)


def _layout(pattern: Pattern, layouts: Layouts) -> Layout:
    """That of a pattern's kind."""
    layout = layouts.get(pattern.kind)
    if layout is None:
        if len(layouts) >= _MOST_LAYOUTS:
            layouts.clear()
        layout = layouts[pattern.kind] = _layout_of(pattern.parts())
    return layout


def _rows(
    pattern: Pattern,
    layout: Layout,
    seqs: NDArray[np.int64],
    times: NDArray[np.int64],
    last: dict[int, NDArray[np.int64]],
) -> list[bytes]:
    """The rows of a pattern, each all its parts' records; `last` are the numbers that sources gave before."""
    size, count = len(layout.sample), len(seqs)
    data = bytearray(layout.sample) * count
    for word, offset in layout.words:
        np.ndarray(count, _BIG_ENDIAN, data, offset, size)[:] = pattern.words[word]
    heads = _heads(layout, seqs, times, last)
    for columns, places in ((heads, enumerate(layout.heads)), (pattern.texts, layout.texts)):
        for number, offset in places:
            column = columns[number]
            np.ndarray(count, column.dtype, data, offset, size)[:] = column
    rows: list[bytes] = np.frombuffer(data, f"V{size}").tolist()
    return rows


def _heads(
    layout: Layout, seqs: NDArray[np.int64], times: NDArray[np.int64], last: dict[int, NDArray[np.int64]]
) -> NDArray[np.void]:
    """The numbers of the records' heads: a row for each part."""
    numbers = np.empty((len(layout.sources), len(seqs), _NUMBERS), "<i8")
    numbers[:, :, 0] = seqs + np.arange(1, len(layout.sources) + 1)[:, None]
    numbers[:, :, 1] = times
    numbers[:, :, 2] = np.array([last[source] for source in layout.sources]) + layout.ordinals[:, None]
    numbers[:, :, 3] = seqs + layout.causes[:, None]
    heads: NDArray[np.void] = numbers.view(f"V{8 * _NUMBERS}")[:, :, 0]
    return heads


def _layout_of(parts: Sequence[Part]) -> Layout:
    sample = bytearray()
    heads: list[int] = []
    words: list[tuple[int, int]] = []
    texts_at: list[tuple[int, int]] = []
    for part in parts:
        payload, begin = encode(part.message), len(sample)
        sample += HEAD.pack(len(payload), 0, 0, 0, 0, part.source, TYPE_IDS[type(part.message)]) + payload
        heads.append(begin + SEQ_OFFSET)
        begin += HEADER_SIZE
        places = _Places(payload, part.message)
        words += [(word, begin + places.number(name)) for name, word in part.words.items()]
        texts_at += [(text, begin + places.text(name)) for name, text in part.texts.items()]
    causes, sources = np.array([part.cause for part in parts]), [part.source for part in parts]
    ordinals = np.array([sources[: number + 1].count(source) for number, source in enumerate(sources)])
    return Layout(bytes(sample), words, texts_at, heads, sources, ordinals, causes)


Column = NDArray[Any] | None
"""Whole numbers from 0 on, one for each row; None where it is the same in all rows."""


def alike(count: int, *columns: Column) -> Iterator[NDArray[np.int64]]:
    """The indexes of so many rows that have the same values, kind by kind."""
    codes = codes_of(*columns)
    if codes is None:
        if count:
            yield np.arange(count)
        return
    for code in np.flatnonzero(np.bincount(codes)):
        yield np.flatnonzero(codes == code)


def codes_of(*columns: Column) -> Column:
    """Small numbers, the same where all columns have the same values."""
    code: Column = None
    for column in columns:
        if column is None or (most := int(column.max(initial=0))) == int(column.min(initial=most)):
            continue
        code = column.astype(np.int64) if code is None else code * (most + 1) + column
        if code.max() > _MANY:
            code = np.unique(code, return_inverse=True)[1]
    return code


def numbered(values: Iterable[Hashable]) -> Column:
    """Numbers from 0 on, the same for equal values."""
    known: dict[Hashable, int] = {}
    numbers = [known.setdefault(value, len(known)) for value in values]
    return np.array(numbers, np.int64) if len(known) > 1 else None


def lengths(values: Sequence[Sized]) -> Column:
    """How long they are."""
    found = list(map(len, values))
    return np.array(found, np.int64) if len(set(found)) > 1 else None


def texts(values: Sequence[str]) -> NDArray[np.void]:
    """Texts that are equally long in UTF-8, and not empty, as a column."""
    data = "".join(values).encode()
    return np.frombuffer(data, f"V{len(data) // len(values)}")


def equally_long(payloads: Sequence[bytes]) -> NDArray[np.void]:
    """Payloads, which are equally long, as a column."""
    return np.frombuffer(b"".join(payloads), f"V{len(payloads[0])}")


def lengths_in_counter(ids: Sequence[str]) -> Column:
    """How long the ids of a counter are, in order."""
    return None if ids and len(ids[0]) == len(ids[-1]) else lengths(ids)


def lengths_of(values: Sequence[str]) -> Column:
    """How long texts, of which there are not many different ones, are in UTF-8."""
    known = {value: len(value.encode()) for value in set(values)}
    if len(set(known.values())) < 2:
        return None
    return np.fromiter(map(known.__getitem__, values), np.int64, len(values))


class _Places:
    """Where in a message's payload its values begin, by the paths that lead to them."""

    def __init__(self, payload: bytes, message: Message) -> None:
        self._payload = payload
        self._known: dict[str, _Within] = {"": _within(message, 0)}

    def number(self, path: str) -> int:
        """Where the eight bytes of a number begin."""
        _, begin, _ = self._value(path)
        assert self._payload[begin] in LONGEST_NUMBERS, "numbers of a pattern take nine bytes"
        return begin + 1

    def text(self, path: str) -> int:
        """Where the bytes of a text begin, or the payload of a message."""
        if path == PAYLOAD:
            return 0
        value, begin, end = self._value(path)
        return end - len(value.encode()) if isinstance(value, str) else begin

    def _value(self, path: str) -> tuple[Any, int, int]:
        """The value that the path leads to, and where it begins and ends."""
        outer, _, name = path.rpartition(".")
        if outer not in self._known:
            holder, begin, _ = self._value(outer)
            self._known[outer] = _within(holder, begin)
        values, starts, numbers = self._known[outer]
        number = numbers[name]
        return values[number], starts[number], starts[number + 1]


_Within = tuple[Sequence[Any], list[int], Mapping[str, int]]
"""The values of a message, or a sequence in one, where they begin, and the number of each by its name."""


def _within(holder: Message | Sequence[Any], begin: int) -> _Within:
    """The values of what begins there."""
    values = astuple(holder) if isinstance(holder, Message) else holder
    numbers = _numbers(type(holder)) if isinstance(holder, Message) else {str(n): n for n in range(len(holder))}
    return values, [begin + start for start in starts_of(values)], numbers


@functools.cache
def _numbers(message_type: type[Message]) -> dict[str, int]:
    """The number of each field by its name."""
    return {name: number for number, name in enumerate(fields(message_type))}
