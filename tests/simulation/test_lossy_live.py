"""The live discipline over a lossy wire: all endpoints apply one log, and what is published gets into it exactly once.

Frames of the fan-out are lost, and frames that endpoints publish are lost or come twice, as drawn from a seed, which a
failure names: `pytest tests/simulation --seed N` draws them again.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bus import protocol as p
from bus.endpoint import Endpoint
from bus.runtime.component import Component
from bus.runtime.runner import Output
from schemas.registry import TYPE_IDS
from tests.support.builders import a_bar
from tests.support.live_wire import WireRun
from tests.support.nodes import BrokerNode, Node, RiskNode, StrategyNode
from tests.support.parts import Bars

Lose = Callable[[bytes], bool]
HEARTBEAT_S = 0.01


def components() -> list[Component]:
    return [
        Bars("bars"),
        Bars("more_bars"),
        StrategyNode("strategy", {"takes": (0, 3), "emits": (1,), "burst": 2}),
        StrategyNode("other", {"takes": (0, 2), "emits": (1, 4)}),
        RiskNode("risk", {"takes": (1,), "emits": (2,), "burst": 2}),
        BrokerNode("broker", {"takes": (0, 2), "emits": (3,)}),
        Node("sink", {"takes": (0, 4)}),
        Node("monitor", {"takes": (0, 1, 2, 3, 4)}),
    ]


def lossy_endpoints(seed: int, share: float) -> Callable[..., Endpoint]:
    """Endpoints that lose some of what they publish and report, and send some of it twice."""
    chances: dict[str, random.Random] = {}

    class LossyEndpoint(Endpoint):
        def _say(self, frame: bytes) -> None:
            chance = chances.setdefault(self.name, random.Random(f"{seed}/{self.name}"))
            lossy = frame[:1] in (p.PUBLISH, p.PROGRESS)
            for _ in range(1 + (lossy and chance.random() < share)):
                if not lossy or chance.random() >= share:
                    super()._say(frame)

    return LossyEndpoint


def play(run: WireRun, count: int = 60) -> None:
    """Bars of both sources, published as it comes, until all is settled."""
    ids = {member.component.name: member.source_id for member in run.wiring.members}
    for n in range(count):
        for name in ("bars", "more_bars")[: 1 + n % 2]:
            run.endpoint(name).publisher.offer([Output(0, ids[name], TYPE_IDS[type(a_bar())], a_bar(n))])
        run.turn(0.001)
    run.settle()


def bars_of(run: WireRun) -> int:
    return sum(record.type_id == TYPE_IDS[type(a_bar())] for record in run.records)


def fan_out_loses(seed: int, share: float) -> Lose:
    chance = random.Random(seed)
    return lambda frame: frame[0] != p.CONTROL_LANE and chance.random() < share


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_every_endpoint_applies_one_log_though_the_fan_out_loses_frames(seed, share, tmp_path):
    options = {"lose": fan_out_loses(seed, share), "heartbeat_s": HEARTBEAT_S}
    with WireRun(components(), tmp_path, hub_options=options).open() as run:
        play(run)
    run.assert_a_gap_free_prefix_everywhere()
    run.assert_published_once_in_order()
    assert bars_of(run) == 90


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_what_is_published_is_in_the_log_once_though_publishes_get_lost_and_come_twice(seed, share, tmp_path):
    options = {"lose": fan_out_loses(seed, share), "heartbeat_s": HEARTBEAT_S}
    endpoints = lossy_endpoints(seed, share)
    with WireRun(components(), tmp_path, "tcp", hub_options=options, make_endpoint=endpoints).open() as run:
        play(run)
    run.assert_a_gap_free_prefix_everywhere()
    run.assert_published_once_in_order()
    assert bars_of(run) == 90


def test_who_has_fallen_behind_what_is_kept_catches_up_from_the_log(seed, tmp_path):
    options = {"lose": fan_out_loses(seed, 0.3), "heartbeat_s": HEARTBEAT_S}
    with WireRun(components(), tmp_path, captured=True, hub_options=options, options={"keep_bytes": 500}).open() as run:
        play(run, 200)
    run.assert_a_gap_free_prefix_everywhere()
    run.assert_published_once_in_order()
    assert run.link.caught_up > 0
