"""Speed over ZeroMQ against a floor in plain pyzmq, measured in turn with it: `python -m tests.benchmarks.wire orders`.

The processes of these runs are endpoints as a launch starts them, with components that do next to nothing; the hub, its
bus and its log are those of a run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.conductor import Conductor
from bus.edges import EdgeRunner
from bus.endpoint import Endpoint
from bus.hub import Hub
from bus.inbox import Inbox
from bus.live import LiveBus
from bus.live_hub import LiveHub
from bus.log import LogWriter
from bus.record import HEADER_SIZE
from bus.runtime.clock import WallClock
from bus.runtime.component import Component
from bus.runtime.runner import Member
from bus.runtime.settings import RunContext
from bus.topics import Wiring
from bus.wave import WaveBus
from bus.wave_hub import WaveHub
from schemas import EndOfStream, Message, RunCompleted, RunStarted, StartStream, StopStream, SubmitOrder
from schemas.codec import encode
from schemas.registry import TYPE_IDS
from tests.benchmarks import wire_floor
from tests.benchmarks.parts import Empty, MinuteBars
from tests.benchmarks.result import Options, Result, machine, median_of, ratio_of, until_sure, write_down
from tests.benchmarks.wire_parts import Broker, Flood, Listener, Manager, Risk
from tests.support.builders import a_bar, a_fill, an_order
from tests.support.parts import PlainCoordinator
from tests.support.transports import spec_of, wiring_of

CLASSES = {c.__name__: c for c in (Broker, Empty, Flood, Listener, Manager, MinuteBars, PlainCoordinator, Risk)}
EPOCH = 1
TIMEOUT_S = 60.0
ANSWERING = 3


class Processes:
    """Components in processes of their own, over a hub that is open while this is entered."""

    def __init__(self, components: Sequence[Component], folder: Path, epoch: int) -> None:
        self.wiring = Wiring(wiring_of(components).members, is_live=bool(epoch))
        self.folder, self.epoch = folder, epoch
        self.children: list[subprocess.Popen[str]] = []

    @contextlib.contextmanager
    def open(self) -> Iterator[Hub]:
        """Start them all and stop them again."""
        specs = [spec_of([member], f"token-{member.source_id}") for member in self.wiring.members]
        for spec in specs:
            if self.epoch and spec.sources:
                spec.takes |= {TYPE_IDS[StartStream], TYPE_IDS[StopStream]}
        (self.folder / "bus").mkdir(mode=0o700)
        hub = Hub(specs, f"ipc://{self.folder}/bus", self._alive, TIMEOUT_S, epoch=self.epoch)
        addresses = hub.bind()
        try:
            for member in self.wiring.members:
                self.children.append(_child(member, addresses, self.epoch))
            yield hub
        finally:
            hub.stop()
            for child in self.children:
                child.wait(10)
            hub.close()

    def _alive(self) -> None:
        assert all(child.poll() is None for child in self.children), "a process of the benchmark has ended"


def _child(member: Member, addresses: tuple[str, str], epoch: int) -> subprocess.Popen[str]:
    component = member.component
    orders = [
        type(component).__name__,
        component.name,
        component.parameters.model_dump(),
        member.source_id,
        addresses,
        epoch,
    ]
    return subprocess.Popen([sys.executable, "-m", "tests.benchmarks.wire", "child", json.dumps(orders)], text=True)


def serve_child(text: str) -> None:
    """What a child process does: one component at an endpoint."""
    class_name, name, parameters, source_id, addresses, _ = json.loads(text)
    member = Member(source_id, CLASSES[class_name](name, parameters))
    runner = EdgeRunner([member], RunContext(sources=("bars",)))
    endpoint = Endpoint(name, f"token-{source_id}", *addresses, runner)
    runner.connect(endpoint.publisher.offer, endpoint.publisher.inbox.fail)
    try:
        endpoint.run()
    finally:
        runner.stop()


@dataclass
class LiveResult:
    """What a live run gave."""

    statistics: dict[str, Any]
    records: int
    cpu_s: float
    """Of the thread that the hub, the bus and the log run in."""


def live_run(components: Sequence[Component], stream: str = "") -> LiveResult:
    """Run in the live discipline until a component completes the run, or the stream has ended."""
    over: list[Message] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = Processes(components, folder, EPOCH)
        with processes.open() as hub:
            link, log = LiveHub(hub, folder / "log"), LogWriter(folder / "log")
            hub.handshake(TIMEOUT_S)
            bus = LiveBus(processes.wiring, [link], log, WallClock(), Inbox())
            for message_type in (RunCompleted, EndOfStream):
                bus.tap(message_type, over.append)
            bus.start()
            bus.declare(processes.wiring.declarations())
            before = sum(bus.counts.values())
            bus.publish(RunStarted("{}", "", "", "benchmark"))
            if stream:
                bus.publish(StartStream(stream))
            started = time.thread_time()
            while not over:
                bus.turn(0.1)
            cpu_s = time.thread_time() - started
            bus.settle(TIMEOUT_S)
            log.close()
    statistics = over[0].statistics if isinstance(over[0], RunCompleted) else {}
    return LiveResult(statistics, sum(bus.counts.values()) - before, cpu_s)


def wave_run(components: Sequence[Component], bars: int) -> float:
    """Bars a second of a deterministic run, its log written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = Processes(components, folder, 0)
        with processes.open() as hub:
            log = LogWriter(folder / "log")
            hub.handshake(TIMEOUT_S)
            bus = WaveBus(processes.wiring, [WaveHub(hub)], log)
            started = time.perf_counter()
            Conductor(bus, processes.wiring, RunStarted("{}", "", "", "benchmark")).run()
            took = time.perf_counter() - started
            log.close()
    return bars / took


def orders(options: Options) -> Iterator[Result]:
    """Orders from risk to the broker and their fills back, one after another and many at once."""
    count, window = (10_000 if options.full else 1_500), 100
    sizes = [HEADER_SIZE + len(encode(m)) for m in (a_fill(), an_order(), SubmitOrder(an_order(), "broker"))]
    rates, rate_floors = [], []

    def trip_and_floor() -> tuple[float, float]:
        trip_floor, rate_floor = wire_floor.relay_run(sizes, count, window)
        components = [Risk("risk", {"count": count, "window": window}), Manager("manager"), Broker("broker")]
        ours = live_run(components).statistics
        rates.append(ours["orders_per_s"])
        rate_floors.append(rate_floor)
        return ours["p50_us"], trip_floor

    trips, trip_floors = until_sure(trip_and_floor, options)
    yield median_of("wire: floor of order to fill, p50", trip_floors, "us")
    yield median_of("wire: order to fill, p50", trips, "us")
    yield ratio_of("wire: order to fill to its floor", trips, trip_floors, aim=1.5)
    yield median_of("wire: floor of pipelined orders", rate_floors, "orders/s")
    yield median_of("wire: pipelined orders", rates, "orders/s")
    yield ratio_of("wire: pipelined orders to their floor", rates, rate_floors, aim=0.4, bound="at least")


def bars(options: Options) -> Iterator[Result]:
    """Bars of a deterministic run over processes, each awaited from all that may answer it."""
    count = 20_000 if options.full else 2_500
    size = HEADER_SIZE + len(encode(a_bar()))
    floors, ours = [], []
    for _ in range(options.runs):
        floors.append(wire_floor.barrier_run(size, ANSWERING, count))
        strategies = [Empty(f"strategy_{n}") for n in range(ANSWERING)]
        components = [MinuteBars("bars", {"count": count}), *strategies, PlainCoordinator("coordinator")]
        ours.append(wave_run(components, count))
    yield median_of("wire: floor of deterministic bars", floors, "barriers/s")
    yield median_of("wire: deterministic bars", ours, "bars/s")
    yield ratio_of("wire: deterministic bars to their floor", ours, floors, aim=0.5, bound="at least")


def hub(options: Options) -> Iterator[Result]:
    """Records that the hub takes in batches, sequences, logs and publishes, by CPU time of its thread."""
    count = 400_000 if options.full else 100_000
    rates = []
    for _ in range(options.runs):
        result = live_run([Flood("bars", {"count": count}), Listener("listener")], "bars")
        rates.append(result.records / result.cpu_s)
    yield median_of("wire: hub and log", rates, "records/s of CPU", aim=150_000.0, bound="at least")


PARTS = (orders, bars, hub)


def measure(options: Options) -> Iterator[Result]:
    """All of them."""
    for benchmark in PARTS:
        yield from benchmark(options)


def main() -> None:
    """Run one of them: `make bench BENCH="wire"` runs all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[benchmark.__name__ for benchmark in PARTS])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--full", action="store_true")
    given = parser.parse_args()
    (part,) = (benchmark for benchmark in PARTS if benchmark.__name__ == given.part)
    write_down(machine(), part(Options(given.runs, given.full)), record=False)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        serve_child(sys.argv[2])
    else:
        main()
