"""What an endpoint publishes in the live discipline, kept until the hub has it in the log. No I/O."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from bus import protocol as p
from bus.errors import ProtocolError
from bus.runtime.runner import Output
from schemas.codec import encode


@dataclass
class Outbound:
    """Numbers the outputs of each source and keeps them until they are accepted."""

    epoch: int
    published: dict[int, int] = field(default_factory=dict)
    """By source, the source_seq of its last output."""
    unaccepted: int = 0
    """How many outputs are kept."""
    _kept: dict[int, deque[bytes]] = field(default_factory=lambda: defaultdict(deque))
    """By source, its outputs that are not accepted, without a gap up to the last."""

    def publish(self, wave: int, outputs: Iterable[Output]) -> bytes:
        """A PUBLISH frame of new outputs, after `wave` has been served."""
        items, published, kept = [], self.published, self._kept
        for cause, source, type_id, message, payload in outputs:
            source_seq = published.get(source, 0) + 1
            body = encode(message) if message is not None else payload or b""
            item = p.pack_item(source_seq, cause, source, type_id, body)
            published[source] = source_seq
            kept[source].append(item)
            items.append(item)
        self.unaccepted += len(items)
        return p.pack_publish(self.epoch, wave, items)

    def accepted(self, source: int, source_seq: int) -> None:
        """Outputs up to `source_seq` are in the log."""
        kept = self._kept.get(source)
        if kept is not None:
            for _ in range(len(kept) - (self.published[source] - source_seq)):
                kept.popleft()
                self.unaccepted -= 1

    def again(self, wave: int, source: int, expected: int) -> Iterator[bytes]:
        """PUBLISH frames with all that is kept of a source from `expected` on.

        Raises:
            ProtocolError: what the hub expects was accepted before: two hubs, or two of us, speak on one run.
        """
        kept = self._kept.get(source, deque())
        first = self.published.get(source, 0) - len(kept) + 1
        if expected < first:
            raise ProtocolError(f"the hub expects message {expected} of source {source}, but has accepted {first - 1}")
        wanted = islice(kept, expected - first, None)
        while items := list(islice(wanted, _AT_A_TIME)):
            yield p.pack_publish(self.epoch, wave, items)


_AT_A_TIME = 1024
