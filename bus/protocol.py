"""What is said between the hub and its endpoints over ZeroMQ. One frame a message, the first byte says which.

Endpoint to hub, DEALER to ROUTER:

    HELLO     msgpack [name, token, pid]           who I am; the token proves it
    READY     msgpack [nonce]                      your ping has reached me on the fan-out
    FETCH     msgpack [seq, [[lane, first, last], ...]]
                                                   I have served all up to this record; send me these frames again
    FAILED    msgpack [component, error, traceback, exit code]

    in the deterministic discipline
    DONE      wave, quiet types, outputs           I have served this wave
    SYNCED    wave                                 I have served all that was published up to this wave
    BLOCK     source, last?, total, messages       the next block of a stream that you asked for

    in the live discipline
    PUBLISH   epoch, wave, outputs with their source_seq
                                                   what my components emit; all up to this wave is served
    PROGRESS  msgpack [wave, [[source, source_seq], ...]]
                                                   I have served all up to this wave, and published this much

Hub to endpoint, ROUTER to DEALER:

    WELCOME   msgpack [index, [lane, ...], epoch]  you are in; your lanes; the epoch, 0 where you only answer
    KICK      msgpack [reason]                     you are not
    READ      source                               send me the next block of this stream
    AGAIN     a frame of the fan-out               what you fetched
    CATCH_UP  seq, heads, records                  what you fetched, from the log: all that you take up to seq;
                                                   heads, if any, are the counts of the lanes after it
    FETCHED                                        that was all, or as much as goes at a time
    ACCEPTED  msgpack [[source, source_seq], ...]  what you published is in the log up to these
    EXPECTED  msgpack [source, source_seq]         what came is not what follows: publish again from here
    STOP                                           stop your components and leave

Hub to everybody, XPUB to SUB, the first byte is the lane, by which ZeroMQ filters:

    lane 0    PING nonce | SYNC heads | HEARTBEAT heads
    others    wave, lanes of this wave, endpoints that owe an answer, heads, records as they are on disk

A lane is a set of endpoints that share an interest: every message type that the same endpoints take travels on the
same lane, so a process is woken only by what concerns it. Each lane counts its frames. `heads` are the counts of all
lanes after the wave, and so an endpoint knows of every frame that it should have, on whichever of its lanes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgpack

from bus.errors import ProtocolError
from bus.runtime.runner import Output
from schemas import Message
from schemas.codec import decode, encode
from schemas.registry import TYPE_IDS

HELLO: Final = b"H"
READY: Final = b"R"
DONE: Final = b"D"
SYNCED: Final = b"Y"
BLOCK: Final = b"B"
FETCH: Final = b"F"
FAILED: Final = b"X"
PUBLISH: Final = b"p"
PROGRESS: Final = b"g"

WELCOME: Final = b"W"
KICK: Final = b"K"
READ: Final = b"r"
AGAIN: Final = b"A"
CATCH_UP: Final = b"C"
FETCHED: Final = b"f"
ACCEPTED: Final = b"a"
EXPECTED: Final = b"e"
STOP: Final = b"S"

CONTROL_LANE: Final = 0
PING: Final = b"P"
SYNC: Final = b"Y"
HEARTBEAT: Final = b"H"

MAX_ENDPOINTS: Final = 64
MAX_LANES: Final = 64
LIVE_FRAMES: Final = 20_000
"""As many frames of the fan-out wait for one slow endpoint; what is beyond is dropped, and fetched later."""

_WAVE: Final = struct.Struct("<BQQQ")
_output = partial(tuple.__new__, Output)
"""Makes one of a tuple of its fields, in half the time that a NamedTuple takes for it."""
_FRAMES: Final = [struct.Struct(f"{_WAVE.format}B{count}Q") for count in range(MAX_LANES + 1)]
"""The head of a frame with the counts of so many lanes."""
_DONE: Final = struct.Struct("<cQB")
_OUTPUT: Final = struct.Struct("<QHHI")
_PUBLISH: Final = struct.Struct("<cIQ")
_PUBLISHED: Final = struct.Struct("<QQHHI")
_BLOCK: Final = struct.Struct("<cH?Q")
_ITEM: Final = struct.Struct("<HI")
_WAVE_ONLY: Final = struct.Struct("<cQ")
_SOURCE_ONLY: Final = struct.Struct("<cH")


class DamagedFrame(ProtocolError, ValueError):
    """A frame does not hold what its kind says."""


class WaveFrame(NamedTuple):
    """A frame of the fan-out: one lane's share of a wave."""

    lane: int
    wave: int
    lanes: int
    """Bit i is set when lane i carries a part of this wave."""
    owing: int
    """Bit i is set when endpoint i owes a DONE for this wave."""
    heads: tuple[int, ...]
    """How many frames each lane has carried with this wave; index 0 is unused."""
    records: bytes

    @property
    def lane_seq(self) -> int:
        """The frame's number on its lane."""
        return self.heads[self.lane]


_wave_frame = partial(tuple.__new__, WaveFrame)


def wave_packer(count: int) -> Callable[[int, int, int, int, tuple[int, ...]], bytes]:
    """Packs the head of a frame, all but its records, with the counts of so many lanes."""
    pack = _FRAMES[count].pack

    def packer(lane: int, wave: int, lanes: int, owing: int, heads: tuple[int, ...]) -> bytes:
        return pack(lane, wave, lanes, owing, count, *heads)

    return packer


def pack_wave(frame: WaveFrame) -> bytes:
    """The frame's bytes."""
    lane, wave, lanes, owing, heads, records = frame
    return wave_packer(len(heads))(lane, wave, lanes, owing, heads) + records


def unpack_wave(data: bytes) -> WaveFrame:
    """The frame in `data`."""
    head = _FRAMES[data[_WAVE.size]]
    lane, wave, lanes, owing, _, *heads = head.unpack_from(data)
    return _wave_frame((lane, wave, lanes, owing, tuple(heads), data[head.size :]))


def pack_heads(heads: Sequence[int]) -> bytes:
    """The lanes' counts, after their number."""
    return struct.pack(f"<B{len(heads)}Q", len(heads), *heads)


def unpack_heads(data: bytes, offset: int) -> tuple[tuple[int, ...], int]:
    """The lanes' counts, and the offset behind them."""
    count = data[offset]
    return struct.unpack_from(f"<{count}Q", data, offset + 1), offset + 1 + 8 * count


def pack_control(kind: bytes, wave: int, heads: Sequence[int]) -> bytes:
    """A SYNC or HEARTBEAT frame of the fan-out."""
    return bytes([CONTROL_LANE]) + _WAVE_ONLY.pack(kind, wave) + pack_heads(heads)


def unpack_control(data: bytes) -> tuple[int, tuple[int, ...]]:
    """Wave and heads of such a frame, without its lane byte."""
    return unpack_wave_only(data), unpack_heads(data, _WAVE_ONLY.size)[0]


def pack_done(wave: int, quiet: Iterable[int], outputs: Iterable[Output]) -> bytes:
    """A DONE frame."""
    quiet_ids = sorted(quiet)
    parts = [_DONE.pack(DONE, wave, len(quiet_ids)), struct.pack(f"<{len(quiet_ids)}H", *quiet_ids)]
    for cause, source, type_id, message, payload in outputs:
        body = encode(message) if message is not None else payload or b""
        parts.append(_OUTPUT.pack(cause, source, type_id, len(body)) + body)
    return b"".join(parts)


def unpack_done(data: bytes) -> tuple[int, frozenset[int], list[Output]]:
    """Wave, quiet types and outputs of a DONE frame.

    Raises:
        DamagedFrame: it ends within an output.
    """
    _, wave, count = _DONE.unpack_from(data)
    offset = _DONE.size
    quiet = frozenset(struct.unpack_from(f"<{count}H", data, offset))
    offset += 2 * count
    outputs = []
    while offset < len(data):
        cause, source, type_id, length = _OUTPUT.unpack_from(data, offset)
        offset += _OUTPUT.size
        outputs.append(Output(cause, source, type_id, None, data[offset : offset + length]))
        offset += length
    if offset != len(data):
        raise DamagedFrame(f"a DONE frame for wave {wave} ends within an output")
    return wave, quiet, outputs


def pack_item(source_seq: int, cause: int, source: int, type_id: int, payload: bytes) -> bytes:
    """One output of a PUBLISH frame."""
    return _PUBLISHED.pack(source_seq, cause, source, type_id, len(payload)) + payload


def pack_publish(epoch: int, wave: int, items: Iterable[bytes]) -> bytes:
    """A PUBLISH frame of packed items."""
    return _PUBLISH.pack(PUBLISH, epoch, wave) + b"".join(items)


def unpack_publish(data: bytes) -> tuple[int, int, list[tuple[int, Output]]]:
    """Epoch, wave served, and the outputs of a PUBLISH frame, each after its source_seq.

    Raises:
        DamagedFrame: it ends within an output.
    """
    _, epoch, wave = _PUBLISH.unpack_from(data)
    offset, size = _PUBLISH.size, len(data)
    unpack, head = _PUBLISHED.unpack_from, _PUBLISHED.size
    items = []
    while offset < size:
        source_seq, cause, source, type_id, length = unpack(data, offset)
        offset += head
        items.append((source_seq, _output((cause, source, type_id, None, data[offset : offset + length]))))
        offset += length
    if offset != size:
        raise DamagedFrame("a PUBLISH frame ends within an output")
    return epoch, wave, items


def pack_catch_up(seq: int, heads: Sequence[int], records: bytes) -> bytes:
    """A CATCH_UP frame."""
    return _WAVE_ONLY.pack(CATCH_UP, seq) + pack_heads(heads) + records


def unpack_catch_up(data: bytes) -> tuple[int, tuple[int, ...], bytes]:
    """Seq, heads (empty when they are not known), and records of a CATCH_UP frame."""
    seq = unpack_wave_only(data)
    heads, end = unpack_heads(data, _WAVE_ONLY.size)
    return seq, heads, data[end:]


def pack_block(source: int, last: bool, total: int, messages: Iterable[Message]) -> bytes:
    """A BLOCK frame. `total` is the length of the whole stream, 0 when it is not known."""
    parts = [_BLOCK.pack(BLOCK, source, last, total)]
    for message in messages:
        body = encode(message)
        parts.append(_ITEM.pack(TYPE_IDS[type(message)], len(body)) + body)
    return b"".join(parts)


def unpack_block(data: bytes) -> tuple[int, bool, int, list[Message]]:
    """Source, whether it is the last block, length of the whole stream, and the messages."""
    _, source, last, total = _BLOCK.unpack_from(data)
    return source, last, total, list(_items(data, _BLOCK.size))


def _items(data: bytes, offset: int) -> Iterator[Message]:
    while offset < len(data):
        type_id, length = _ITEM.unpack_from(data, offset)
        offset += _ITEM.size
        yield decode(type_id, data[offset : offset + length])
        offset += length


def pack_wave_only(kind: bytes, wave: int) -> bytes:
    """A SYNCED frame."""
    return _WAVE_ONLY.pack(kind, wave)


def unpack_wave_only(data: bytes) -> int:
    """The wave number."""
    return int(_WAVE_ONLY.unpack_from(data)[1])


def pack_source_only(kind: bytes, source: int) -> bytes:
    """A READ frame."""
    return _SOURCE_ONLY.pack(kind, source)


def unpack_source_only(data: bytes) -> int:
    """The source id."""
    return int(_SOURCE_ONLY.unpack_from(data)[1])


def pack_fields(kind: bytes, *fields: Any) -> bytes:
    """A frame whose fields are a msgpack array."""
    packed: bytes = msgpack.packb(fields)
    return kind + packed


def unpack_fields(data: bytes, count: int) -> list[Any]:
    """The fields of such a frame.

    Raises:
        DamagedFrame: it is not an array of `count` fields.
    """
    try:
        fields = msgpack.unpackb(data[1:])
    except (ValueError, msgpack.UnpackException) as error:
        raise DamagedFrame(f"a {data[:1]!r} frame holds no msgpack: {error}") from error
    if not isinstance(fields, list) or len(fields) != count:
        raise DamagedFrame(f"a {data[:1]!r} frame holds {fields!r:.100}, not {count} fields")
    return fields
