"""Runs components in the live discipline over a hub, in this process, and keeps what the log would hold."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.endpoint import Endpoint
from bus.hub import Hub
from bus.live_hub import LiveHub
from bus.log import LogWriter
from bus.record import Record, decode_record, encode_record
from bus.runtime.component import Component, Source
from bus.runtime.runner import Output
from bus.runtime.settings import RunContext
from bus.sequencer import HUB, Sequencer
from bus.wave import Sequenced
from schemas import Message
from schemas.codec import encode
from schemas.registry import TYPE_IDS
from tests.support.transports import EndpointThread, WitnessRunner, address_of, spec_of, wiring_of

EPOCH = 1


@dataclass
class WireRun:
    """Components, each at an endpoint of its own, and the hub between them; everything is sequenced as it arrives.

    With `captured` the log is written to `folder`. `options` go to the LiveHub.
    """

    components: Sequence[Component]
    folder: Path
    scheme: str = "ipc"
    captured: bool = False
    hub_options: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    make_endpoint: Callable[..., Endpoint] = Endpoint
    kept: list[bytes] = field(default_factory=list)
    now_ns: int = 0

    @contextlib.contextmanager
    def open(self) -> Iterator[WireRun]:
        """Start all endpoints and stop them again; raises what they raised."""
        self.wiring = wiring_of(self.components)
        context = RunContext(sources=tuple(c.name for c in self.components if isinstance(c, Source)))
        self.runners = [WitnessRunner([member], context) for member in self.wiring.members]
        self.sequencer = Sequencer(self.wiring.rules, EPOCH)
        self.log = LogWriter(self.folder / "log", 20_000) if self.captured else None
        specs = [spec_of([member], f"token-{n}") for n, member in enumerate(self.wiring.members)]
        self.hub = Hub(specs, address_of(self.scheme, self.folder), self._alive, 30.0, epoch=EPOCH, **self.hub_options)
        self.link = LiveHub(self.hub, self.folder / "log" if self.captured else None, **self.options)
        addresses, (parent, alive) = self.hub.bind(), os.pipe()
        self.endpoints = [
            self.make_endpoint(spec.name, spec.token, *addresses, runner, parent)
            for spec, runner in zip(specs, self.runners, strict=True)
        ]
        self.threads = [EndpointThread(endpoint) for endpoint in self.endpoints]
        try:
            for thread in self.threads:
                thread.start()
            self.hub.handshake(30.0)
            self.link.start(lambda _: None)
            yield self
        finally:
            self.hub.stop()
            for thread in self.threads:
                thread.join(30.0)
            self.hub.close()
            os.close(alive)
            os.close(parent)

    def say(self, *messages: Message) -> None:
        """Sequence messages of the hub."""
        self.sequence([Output(0, HUB, TYPE_IDS[type(message)], message) for message in messages])

    def turn(self, timeout_s: float = 0.05) -> int:
        """One round: what has arrived is sequenced, published and acknowledged; how many outputs that were."""
        outputs = self.link.poll(timeout_s)
        self.sequence(outputs)
        self.link.acknowledge()
        return len(outputs)

    def settle(self, timeout_s: float = 30.0) -> None:
        """Turn until every endpoint has served everything and nothing follows."""
        deadline = time.monotonic() + timeout_s
        while True:
            while self.turn(0):
                pass
            assert self.link.finish(deadline - time.monotonic()), "some endpoint has not served what was published"
            if not self.turn(0):
                return

    def sequence(self, outputs: Sequence[Output]) -> None:
        """Sequence a batch, append it, publish it."""
        batch = [self._sequenced(output) for output in outputs]
        if self.log is not None:
            self.log.flush()
        if batch:
            self.link.deliver(batch)

    @property
    def records(self) -> list[Record]:
        """Everything that was sequenced."""
        return [decode_record(data)[0] for data in self.kept]

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of a component."""
        return next(endpoint for endpoint in self.endpoints if endpoint.name == name)

    def assert_a_gap_free_prefix_everywhere(self, whole: bool = True) -> None:
        """Every endpoint served each record that it takes once and in order, all of them or (not `whole`) a prefix."""
        records = self.records
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        for runner in self.runners:
            taken = [record.seq for record in records if record.type_id in runner.takes]
            assert runner.served == (taken if whole else taken[: len(runner.served)])

    def assert_published_once_in_order(self) -> None:
        """The log holds what each source published, once, in the order of publication."""
        numbers: Counter[int] = Counter()
        for record in self.records:
            numbers[record.source] += 1
            assert record.source_seq == numbers[record.source]

    def _sequenced(self, output: Output) -> Sequenced:
        sequencer, source = self.sequencer, output.source
        payload = output.payload if output.payload is not None else encode(output.message)
        seq = sequencer.offer(source, EPOCH, sequencer.last[source] + 1, output.type_id)
        self.now_ns = max(self.now_ns, time.time_ns())
        append = self.log.append if self.log is not None else encode_record
        record = append(seq, self.now_ns, sequencer.last[source], output.cause, source, output.type_id, payload)
        self.kept.append(record)
        return Sequenced(seq, self.now_ns, output.type_id, source, record, output.message, payload)

    def _alive(self) -> None:
        for thread in self.threads:
            if thread.error is not None:
                raise thread.error
