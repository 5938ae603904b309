"""The hub's XPUB side: lanes, frames, and what is kept until everybody has confirmed it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import zmq

from bus import protocol as p
from bus.errors import ConfigError
from bus.sockets import sender
from bus.wave import Sequenced


class Published(NamedTuple):
    """A wave that has been published: its number, its last record, all records so far, and the lanes' counts."""

    wave: int
    seq: int
    records: int
    heads: tuple[int, ...]


@dataclass
class FanOut:
    """Publishes waves on lanes over a socket that may lose any of it.

    `takes` has, for each endpoint, the ids of the types that it takes.
    """

    socket: zmq.Socket[bytes]
    takes: Sequence[frozenset[int]]
    lose: Callable[[bytes], bool] | None = None
    """For tests: says of a frame, of whatever lane, that it gets lost."""
    kept: dict[int, deque[bytes]] = field(default_factory=lambda: defaultdict(deque))
    """By lane, the frames that somebody may still ask for, without a gap up to the newest."""
    kept_bytes: int = 0
    _waves: deque[Published] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._lane_of_type, self._lanes = _lanes(self.takes)
        self._heads = [0] * (len(self._lanes) + 1)
        self.last = self.forgotten = Published(0, 0, 0, tuple(self._heads))
        """The newest wave, and the newest whose frames are kept no more."""
        self._send_now = sender(self.socket)
        self._pack = p.wave_packer(len(self._heads))

    @property
    def wave(self) -> int:
        """The number of the last wave."""
        return self.last.wave

    def lanes_of(self, index: int) -> list[int]:
        """The lanes that an endpoint subscribes to."""
        return [lane for lane, members in enumerate(self._lanes, 1) if index in members]

    def publish(self, wave: Sequence[Sequenced], owing: int) -> bool:
        """Publish a wave, each lane its records in one frame; False when nobody takes any of it.

        Bit i of `owing` is set when endpoint i owes an answer.
        """
        parts: dict[int, list[bytes]] = {}
        lane_of_type, count = self._lane_of_type, 0
        for item in wave:
            lane = lane_of_type.get(item.type_id)
            if lane is not None:
                count += 1
                if lane in parts:
                    parts[lane].append(item.record)
                else:
                    parts[lane] = [item.record]
        if not count:
            return False
        counts, lanes = self._heads, 0
        for lane in parts:
            counts[lane] += 1
            lanes |= 1 << lane
        heads = tuple(counts)
        number = self.last.wave + 1
        for lane in sorted(parts) if len(parts) > 1 else parts:
            frame = self._pack(lane, number, lanes, owing, heads) + b"".join(parts[lane])
            self._send(frame)
            self.kept[lane].append(frame)
            self.kept_bytes += len(frame)
        self.last = Published(number, wave[-1].seq, self.last.records + count, heads)
        self._waves.append(self.last)
        return True

    def ping(self, nonce: int) -> None:
        """Ask every endpoint to show that this way is open."""
        self._send(bytes([p.CONTROL_LANE]) + p.pack_fields(p.PING, nonce))

    def say(self, kind: bytes) -> None:
        """Publish a SYNC or HEARTBEAT: how far every lane is."""
        self._send(p.pack_control(kind, self.wave, self._heads))

    def has_forgotten(self, wanted: Iterable[tuple[int, int, int]]) -> bool:
        """Whether a frame in any of these ranges is kept no more."""
        return any(first <= self.forgotten.heads[lane] for lane, first, _ in wanted)

    def lost(self, wanted: Iterable[tuple[int, int, int]]) -> Iterator[bytes]:
        """The kept frames in each range (lane, first, last)."""
        for lane, first, last in wanted:
            before = self.forgotten.heads[lane] + 1
            yield from islice(self.kept.get(lane, ()), max(0, first - before), max(0, last + 1 - before))

    def forget(self, wave: int) -> None:
        """Keep no frame of this wave or an earlier one any more."""
        waves = self._waves
        while waves and waves[0].wave <= wave:
            self.forgotten = waves.popleft()
        for lane, frames in self.kept.items():
            excess = len(frames) - (self._heads[lane] - self.forgotten.heads[lane])
            for _ in range(excess):
                self.kept_bytes -= len(frames.popleft())

    def shrink(self, size: int) -> None:
        """Forget the oldest waves, so many that no more than `size` bytes are kept."""
        while self._waves and self.kept_bytes > size:
            self.forget(self._waves[len(self._waves) // 2].wave)

    def records_until(self, wave: int) -> int | None:
        """How many records were published with that wave and before it; None when that is not known any more."""
        place = wave - self.forgotten.wave
        if place < 0:
            return None
        return self._waves[place - 1].records if place else self.forgotten.records

    def _send(self, data: bytes) -> None:
        if self.lose is None or not self.lose(data):
            self._send_now(data)


def _lanes(takes: Sequence[frozenset[int]]) -> tuple[dict[int, int], list[frozenset[int]]]:
    """Lane of each type, and the endpoints on each lane (the first is lane 1)."""
    lanes: list[frozenset[int]] = []
    lane_of_type: dict[int, int] = {}
    for type_id in sorted({type_id for taken in takes for type_id in taken}):
        members = frozenset(index for index, taken in enumerate(takes) if type_id in taken)
        if members not in lanes:
            lanes.append(members)
        lane_of_type[type_id] = lanes.index(members) + 1
    if len(lanes) >= p.MAX_LANES:
        raise ConfigError(f"the topology needs {len(lanes)} lanes; at most {p.MAX_LANES - 1} are possible")
    return lane_of_type, lanes
