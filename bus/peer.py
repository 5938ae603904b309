"""What the hub knows of an endpoint in the live discipline: which of its publishes it has, how far it is. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bus.runtime.runner import Output

ACCEPT_EVERY = 512
"""Outputs after which their publisher is told that they are in the log; until the next heartbeat it can wait."""


@dataclass
class Peer:
    """`accepted` has, for each of its sources, the source_seq of the last output that was passed on."""

    accepted: dict[int, int]
    untold: int = 0
    """How many accepted outputs it does not know of."""
    wave: int = 0
    """It has served everything up to this wave."""
    records: int = 0
    """How many records had been published by then, as far as that is known."""
    reported: bool = False
    """It has said how far it is since it was asked last, and nothing that it published was missing."""
    _asked: dict[int, int] = field(default_factory=dict)
    """By source, what it has been asked for, because something else came."""

    def offer(self, wave: int, items: Iterable[tuple[int, Output]]) -> tuple[list[Output], list[int]]:
        """What of its publishes, each after its source_seq, is next and new; and the sources of which some is missing.

        Raises:
            KeyError: a source is not one of its own.
        """
        self.wave = max(self.wave, wave)
        accepted, outputs, gaps = self.accepted, [], []
        for source_seq, output in items:
            source = output.source
            last = accepted[source]
            if source_seq == last + 1:
                accepted[source] = source_seq
                outputs.append(output)
            elif source_seq <= last:
                self.untold += ACCEPT_EVERY  # it has not heard that we have it
            elif source not in gaps:
                gaps.append(source)
        self.untold += len(outputs)
        return outputs, gaps

    def report(self, wave: int, published: Iterable[tuple[int, int]]) -> list[int]:
        """It says how far it is and what it has published: the sources of which some has not come."""
        self.wave, self.reported = max(self.wave, wave), True
        self._asked.clear()
        return [source for source, source_seq in published if source_seq > self.accepted[source]]

    def ask(self, source: int) -> int | None:
        """The number after the last output accepted, which is lost; None when it has been asked for already."""
        self.reported = False
        expected = self.accepted[source] + 1
        if self._asked.get(source) == expected:
            return None
        self._asked[source] = expected
        return expected
