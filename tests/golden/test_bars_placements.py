"""The golden cases again, over the real bus: in one thread, and with the broker a process of its own."""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bus.hub import Hub
from bus.local import LocalBus
from bus.roster import EndpointSpec
from bus.runtime.component import Source
from bus.runtime.modes import Isolation
from bus.runtime.runner import Member, emitted_types
from bus.topics import Wiring
from bus.wave import WaveBus
from bus.wave_hub import WaveHub
from deploy.plan import Entry
from deploy.processes import ProcessGroup
from schemas import Message
from schemas.registry import MESSAGE_TYPES, TYPE_IDS
from tests.golden.cases import ANSWERS, broker_of, context_of, expected_of, inputs_of, load_cases, said_of

AT_A_TIME = 8


class Tape(Source):
    """Stands for all that a broker hears from."""

    component_type = "data_handler"
    emits = tuple(t for t in MESSAGE_TYPES.values() if t not in ANSWERS)


@dataclass
class Stage:
    """A case on a bus, ready to be played."""

    case: dict[str, Any]
    bus: LocalBus | WaveBus
    said: list[Message] = field(default_factory=list)

    def play(self) -> None:
        for message_type in ANSWERS:
            self.bus.tap(message_type, self.said.append)
        for ts, message in inputs_of(self.case):
            self.bus.publish(1, ts, message)

    def check(self) -> None:
        expected = expected_of(self.case)
        found = [said_of(message, wanted) for message, wanted in zip(self.said, expected, strict=False)]
        assert (found, len(self.said)) == (expected, len(expected)), self.case["name"]


def wiring_of(case: dict[str, Any]) -> Wiring:
    return Wiring((Member(1, Tape("data")), Member(2, broker_of(case))))


def local_stage(case: dict[str, Any]) -> Stage:
    bus = LocalBus(wiring_of(case), context_of(case), None)
    bus.open()
    return Stage(case, bus)


def process_stage(case: dict[str, Any], stack: contextlib.ExitStack, folder: Path) -> tuple[Stage, Hub]:
    wiring = wiring_of(case)
    broker = wiring.members[1].component
    takes = frozenset(TYPE_IDS[t] for t in broker.handlers())
    spec = EndpointSpec("broker", frozenset({2}), takes, frozenset(), frozenset(), secrets.token_hex(8))
    assert emitted_types(broker)
    folder.mkdir(mode=0o700)
    group = ProcessGroup(folder)
    hub = Hub([spec], f"ipc://{folder}", group.check)
    stack.callback(hub.close)
    stack.callback(group.stop, 2.0)
    stack.callback(hub.stop)
    parameters = {k: v for k, v in case.get("broker", {}).items() if k != "class"}
    class_name = type(broker).__name__
    entry = Entry("broker", class_name, broker, parameters, Isolation.PROCESS_ISOLATED, (), 2)
    group.start(entry, spec.token, context_of(case), hub.bind())
    return Stage(case, WaveBus(wiring, [WaveHub(hub)], None)), hub


def batches() -> Iterator[list[dict[str, Any]]]:
    cases = iter(load_cases())
    while batch := list(itertools.islice(cases, AT_A_TIME)):
        yield batch


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: f"{case['theme']}: {case['name']}")
def test_a_case_on_the_local_bus(case):
    stage = local_stage(case)
    stage.play()
    stage.check()


# On every Python the same cases run on the local bus, and whole runs in processes (tests/processes/test_placements.py).
@pytest.mark.one_python
@pytest.mark.processes
@pytest.mark.parametrize("batch", list(batches()), ids=lambda batch: f"{batch[0]['name']} and on")
def test_cases_with_the_broker_in_a_process_of_its_own(batch, tmp_path):
    with contextlib.ExitStack() as stack:
        stages = [process_stage(case, stack, tmp_path / str(n)) for n, case in enumerate(batch)]
        for stage, hub in stages:
            hub.handshake(30)
            stage.play()
            stage.check()
