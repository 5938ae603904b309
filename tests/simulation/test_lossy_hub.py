"""The live stream may lose whatever it likes: every endpoint still serves all that it takes, once and in order.

The faults are drawn from a seed, which a failure names: `pytest tests/simulation --seed N` draws them again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from bus import protocol as p
from bus.errors import ComponentError
from bus.hub import Hub
from bus.runtime.component import Component
from tests.support.nodes import BrokerNode, Node, RiskNode, StrategyNode
from tests.support.parts import Bars, EveryNth, PlainCoordinator, Sink
from tests.support.transports import Run, run_over

HEARTBEAT_S = 0.004
Lose = Callable[[bytes], bool]


class CountingHub(Hub):
    """A hub that counts what it is asked for."""

    fetches = 0

    def send_again(self, *arguments) -> None:
        self.fetches += 1
        super().send_again(*arguments)


def components() -> list[Component]:
    return [
        Bars("bars", {"count": 40, "block": 11}),
        Bars("more_bars", {"count": 20, "block": 4, "shift_ns": 1}),
        StrategyNode("strategy", {"takes": (0, 3), "emits": (1,), "burst": 2}),
        StrategyNode("moody", {"takes": (0, 2), "emits": (1, 4), "moody": True}),
        RiskNode("risk", {"takes": (1,), "emits": (2,), "burst": 2}),
        BrokerNode("broker", {"takes": (0, 2), "emits": (3,), "moody": True}),
        Node("sink", {"takes": (0, 4)}),
        Node("monitor", {"takes": (0, 1, 2, 3, 4)}),
        PlainCoordinator("coordinator"),
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    """The run without any loss."""
    return run_over("local", components(), tmp_path_factory.mktemp("whole"))


def lossy_run(folder: Path, lose: Lose, made: Iterable[Component] = (), heartbeat_s: float = HEARTBEAT_S) -> Run:
    hub_options = {"lose": lose, "heartbeat_s": heartbeat_s}
    return Run(list(made) or components(), folder, make_hub=CountingHub, hub_options=hub_options)


def assert_nothing_was_missed(run: Run, whole: Run) -> None:
    """Every endpoint served each record that it takes, once and in order; and the log is that of the whole run."""
    for runner in run.runners:
        assert runner.served == [record.seq for record in run.records if record.type_id in runner.takes]
    assert run.digest == whole.digest


def lane_of(frame: bytes) -> int:
    return frame[0]


def is_control(frame: bytes, *kinds: bytes) -> bool:
    return lane_of(frame) == p.CONTROL_LANE and frame[1:2] in kinds


def at_random(seed: int, share: float) -> Lose:
    """Loses that share of the frames. Each lane draws for itself, so that which waves get lost does not depend on how
    many heartbeats come between them."""
    chances = {lane: random.Random(f"{seed}/{lane}") for lane in range(p.MAX_LANES)}
    return lambda frame: chances[lane_of(frame)].random() < share


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_frames_lost_at_random_are_fetched(seed, share, whole, tmp_path):
    run = lossy_run(tmp_path, at_random(seed, share)).over("ipc")
    assert_nothing_was_missed(run, whole)
    assert run.hub.fetches > 0


def test_long_stretches_lost_on_some_lanes_are_fetched(seed, whole, tmp_path):
    chances = {lane: random.Random(f"{seed}/{lane}") for lane in range(p.MAX_LANES)}
    dark: Counter[int] = Counter()

    def lose(frame: bytes) -> bool:
        lane = lane_of(frame)
        if not dark[lane] and chances[lane].random() < 0.05:
            dark[lane] = chances[lane].randrange(1, 30)
        dark[lane] -= dark[lane] > 0
        return dark[lane] > 0

    assert_nothing_was_missed(lossy_run(tmp_path, lose).over("tcp"), whole)


def test_an_endpoint_that_gets_no_wave_at_all_on_the_live_stream_gets_all_by_fetching(whole, tmp_path):
    assert_nothing_was_missed(lossy_run(tmp_path, lambda frame: lane_of(frame) != p.CONTROL_LANE).over("ipc"), whole)


@pytest.mark.parametrize("times", [1, 3])
def test_a_synchronisation_that_is_lost_is_asked_for_again(times, whole, tmp_path):
    lost: list[bytes] = []

    def lose(frame: bytes) -> bool:
        loses = is_control(frame, p.SYNC) and len(lost) < times
        if loses:
            lost.append(frame)
        return loses

    assert_nothing_was_missed(lossy_run(tmp_path, lose).over("ipc"), whole)
    assert len(lost) == times


def test_lost_pings_only_delay_the_start(seed, whole, tmp_path):
    chance = random.Random(seed)
    run = lossy_run(tmp_path, lambda frame: is_control(frame, p.PING) and chance.random() < 0.7).over("ipc")
    assert_nothing_was_missed(run, whole)


def test_the_last_wave_is_not_missed_though_nothing_follows_it(whole, tmp_path):
    waves: list[int] = []

    def note(frame: bytes) -> bool:
        if lane_of(frame) != p.CONTROL_LANE:
            waves.append(p.unpack_wave(frame).wave)
        return False

    lossy_run(tmp_path, note).over("ipc")
    last = max(waves)
    run = lossy_run(tmp_path, lambda frame: lane_of(frame) != p.CONTROL_LANE and p.unpack_wave(frame).wave == last)
    assert_nothing_was_missed(run.over("ipc"), whole)
    assert run.hub.fetches > 0


def test_one_lost_frame_is_asked_for_once_however_much_follows_it(tmp_path):
    made = [Bars("bars", {"count": 1500, "block": 1500}), Sink("sink"), PlainCoordinator("coordinator")]
    twin = [Bars("bars", {"count": 1500, "block": 1500}), Sink("sink"), PlainCoordinator("coordinator")]

    def lose(frame: bytes) -> bool:
        return lane_of(frame) != p.CONTROL_LANE and p.unpack_wave(frame).wave == 100

    run = lossy_run(tmp_path, lose, made, heartbeat_s=1.0).over("ipc")
    assert_nothing_was_missed(run, run_over("local", twin, tmp_path))
    assert 1 <= run.hub.fetches <= 3


def test_when_a_component_fails_amid_losses_all_have_served_a_whole_prefix(seed, tmp_path):
    made = [*components(), EveryNth("failing", {"raise_at": 40})]
    run = lossy_run(tmp_path, at_random(seed, 0.3), made)
    with pytest.raises(ComponentError, match=r"^component 'failing' failed: RuntimeError: the strategy has no idea"):
        run.over("ipc")
    for runner in run.runners:
        taken = [record.seq for record in run.records if record.type_id in runner.takes]
        assert runner.served == taken[: len(runner.served)]
