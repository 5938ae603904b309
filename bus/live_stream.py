"""The hub's XPUB side: lanes, frames, and what is kept until everybody has confirmed it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import zmq

from bus import protocol as p
from bus.errors import ConfigError
from bus.wave import Sequenced


@dataclass
class LiveStream:
    """Publishes waves on lanes over a socket that may lose any of it.

    `takes` has, for each endpoint, the ids of the types that it takes. `wave` is the number of the last wave.
    """

    socket: zmq.Socket[bytes]
    takes: Sequence[frozenset[int]]
    lose: Callable[[bytes], bool] | None = None
    """For tests: says of a frame, of whatever lane, that it gets lost."""
    wave: int = 0
    kept: dict[int, deque[tuple[int, bytes]]] = field(default_factory=dict)
    """By lane, the frames that somebody may still ask for, each after its number."""

    def __post_init__(self) -> None:
        self._lane_of_type, self._lanes = _lanes(self.takes)
        self._heads = [0] * (len(self._lanes) + 1)

    def lanes_of(self, index: int) -> list[int]:
        """The lanes that an endpoint subscribes to."""
        return [lane for lane, members in enumerate(self._lanes, 1) if index in members]

    def publish(self, wave: Sequence[Sequenced], owing: int) -> bool:
        """Publish a wave, each lane its records in one frame; False when nobody takes any of it.

        Bit i of `owing` is set when endpoint i owes an answer.
        """
        parts: dict[int, list[bytes]] = {}
        for item in wave:
            lane = self._lane_of_type.get(item.type_id)
            if lane is not None:
                parts.setdefault(lane, []).append(item.record)
        if not parts:
            return False
        self.wave += 1
        for lane in parts:
            self._heads[lane] += 1
        heads, lanes = tuple(self._heads), sum(1 << lane for lane in parts)
        for lane, records in parts.items():
            frame = p.pack_wave(p.WaveFrame(lane, self.wave, lanes, owing, heads, b"".join(records)))
            self.kept.setdefault(lane, deque()).append((heads[lane], frame))
            self._send(frame)
        return True

    def ping(self, nonce: int) -> None:
        """Ask every endpoint to show that this way is open."""
        self._send(bytes([p.CONTROL_LANE]) + p.pack_fields(p.PING, nonce))

    def say(self, kind: bytes) -> None:
        """Publish a SYNC or HEARTBEAT: how far every lane is."""
        self._send(p.pack_control(kind, self.wave, self._heads))

    def lost(self, wanted: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """The kept frames from each (lane, number) on."""
        for lane, following in wanted:
            for lane_seq, frame in self.kept.get(lane, ()):
                if lane_seq >= following:
                    yield frame

    def _send(self, data: bytes) -> None:
        if self.lose is None or not self.lose(data):
            self.socket.send(data)


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
