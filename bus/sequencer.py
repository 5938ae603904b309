"""Puts what sources publish into one total order. No I/O: wrapped by the local bus and by the hub."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bus.errors import ProtocolError

HUB = 0
"""The source id of the hub itself."""


class SequenceGap(ProtocolError):
    """A source skipped one of its own numbers."""


class StaleEpoch(ProtocolError):
    """A source of an earlier epoch still speaks; its successor has taken over."""


class NotAllowed(ProtocolError):
    """A source published a type that its declaration does not name."""


@dataclass(frozen=True)
class SourceRule:
    """Who a source is and what it may publish."""

    source_id: int
    name: str
    type_ids: frozenset[int]


class Sequencer:
    """The total order so far: `head` is the seq of the last record.

    Its whole state is the last source_seq of each source, which the log holds too: it is rebuilt from there, and so
    de-duplication has no window.
    """

    def __init__(self, rules: Iterable[SourceRule], epoch: int = 1) -> None:
        self.head = 0
        self.epoch = epoch
        self.rules = {rule.source_id: rule for rule in rules}
        self.last = [0] * (max(self.rules, default=HUB) + 1)
        """Of each source, by its id, the last `source_seq`."""

    def offer(self, source: int, epoch: int, source_seq: int, type_id: int) -> int | None:
        """The seq for this publish, or None when it was accepted before (a repeat is only acknowledged again).

        Raises:
            StaleEpoch, SequenceGap, NotAllowed: the publish is refused and nothing changes.
        """
        rule = self.rules.get(source)
        if rule is None:
            raise NotAllowed(f"source {source} is not part of this run")
        if epoch != self.epoch:
            raise StaleEpoch(f"{rule.name} speaks for epoch {epoch}, the run is in epoch {self.epoch}")
        if type_id not in rule.type_ids:
            raise NotAllowed(f"{rule.name} may not publish type {type_id}; it declared {sorted(rule.type_ids)}")
        last = self.last[source]
        if 0 < source_seq <= last:
            return None
        if source_seq != last + 1:
            raise SequenceGap(f"{rule.name} sent its message {source_seq} after {last}")
        self.last[source] = source_seq
        self.head += 1
        return self.head

    def following(self, source: int) -> int:
        """The `source_seq` of a source's next publish; 1 for one that is not part of the run, which `offer` refuses."""
        return self.last[source] + 1 if source < len(self.last) else 1

    def admit(self, source: int) -> int:
        """The seq for a publish of the hub itself, or of a component beside it whose publishes cannot get lost."""
        self.last[source] += 1
        self.head += 1
        return self.head
