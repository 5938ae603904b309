"""An endpoint's view of the fan-out: whole waves in order, and a note of what was lost. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bus import protocol as p


@dataclass
class Inbound:
    """Puts the frames of an endpoint's lanes back into waves.

    Every frame says how many frames each lane has carried. The fan-out is in order, so a frame that has not come
    though a later one has, was lost. `seq` is the last record served.
    """

    lane_seq: dict[int, int] = field(default_factory=dict)
    """By lane of ours, the number of the last frame served."""
    wave: int = 0
    """All that was published up to this wave has been served."""
    seq: int = 0
    _arrived: dict[tuple[int, int], p.WaveFrame] = field(default_factory=dict)
    _known: dict[int, int] = field(default_factory=dict)
    """By lane of ours, the newest frame that must have come by now, unless it was lost."""

    def join(self, lanes: Sequence[int]) -> None:
        """These lanes are ours."""
        self.lane_seq = dict.fromkeys(lanes, 0)
        self._known = dict.fromkeys(lanes, 0)

    def take(self, frame: p.WaveFrame) -> bool:
        """Whether a frame of the fan-out is a whole wave and the next: then it counts as served, and serving it is all.

        This is the common case, without what `published`, `waves` and `missing` do for the others.
        """
        if self._arrived:
            return False
        lane, wave, _, _, heads, _ = frame
        for ours, served in self.lane_seq.items():
            if heads[ours] != served + (ours == lane):
                return False
        self.lane_seq[lane] += 1
        self.wave = wave
        return True

    def published(self, frame: p.WaveFrame) -> None:
        """A frame has come on the fan-out."""
        lane_seq, known = self.lane_seq, self._known
        lane, _, lanes, _, heads, _ = frame
        for ours in lane_seq:
            # A wave's frames come in the order of their lanes: those of later lanes are still on their way.
            known[ours] = heads[ours] - (ours > lane and lanes >> ours & 1)
        self.again(frame)

    def again(self, frame: p.WaveFrame) -> None:
        """A frame has come, perhaps for the second time: one that was fetched."""
        number = frame.heads[frame.lane]
        if number > self.lane_seq[frame.lane]:
            self._arrived[frame.lane, number] = frame

    def control(self, wave: int, heads: Sequence[int]) -> bool:
        """How far the fan-out was when it sent a control frame; whether all of that has been served."""
        for lane in self._known:
            self._known[lane] = heads[lane]
        served = all(heads[lane] <= seq for lane, seq in self.lane_seq.items())
        if served:
            self.wave = max(self.wave, wave)
        return served

    def caught_up(self, seq: int, heads: Sequence[int]) -> None:
        """All records up to `seq` have been served from the log; `heads`, if any, are the counts after it."""
        self.seq = max(self.seq, seq)
        if heads:
            for lane, number in self.lane_seq.items():
                self.lane_seq[lane] = max(number, heads[lane])
            self._arrived = {key: f for key, f in self._arrived.items() if key[1] > self.lane_seq[key[0]]}

    def waves(self) -> Iterator[list[p.WaveFrame]]:
        """The waves that are complete and next, each as its frames."""
        while self._arrived:
            first = min(self._arrived.values(), key=_wave)
            parts = self._parts(first)
            if parts is None:
                return
            for part in parts:
                number = part.heads[part.lane]
                del self._arrived[part.lane, number]
                self.lane_seq[part.lane] = number
            self.wave = first.wave
            yield parts

    def missing(self) -> list[tuple[int, int, int]]:
        """What was lost and must be fetched before anything later is served: ranges (lane, first, last)."""
        ranges = []
        for lane, served in self.lane_seq.items():
            known, first = self._known[lane], served + 1
            if known >= first and (lane, first) not in self._arrived:
                later = [number for at, number in self._arrived if at == lane]
                ranges.append((lane, first, min(later, default=known + 1) - 1))
        return ranges

    def _parts(self, first: p.WaveFrame) -> list[p.WaveFrame] | None:
        """Our frames of the first wave that is here; None if one of them, or of a wave before it, is missing."""
        parts = []
        lanes, heads = first.lanes, first.heads
        for lane, served in self.lane_seq.items():
            carried = lanes >> lane & 1
            if heads[lane] - carried > served:
                return None
            if carried:
                part = self._arrived.get((lane, served + 1))
                if part is None:
                    return None
                parts.append(part)
        return parts


def _wave(frame: p.WaveFrame) -> int:
    return frame.wave
