"""Whatever a live run was, its log executes again: every output of every component, in its place, to the byte."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.runtime.clock import RecordingClock
from bus.runtime.component import Component, Source
from bus.runtime.settings import RunContext
from tests.conformance.test_transports import make, topologies
from tests.support.live import Hasty, LiveRun, executed_again
from tests.support.parts import Alarms, Bars, PlainCoordinator, PlainRisk


def context_of(components: list[Component]) -> RunContext:
    return RunContext(sources=tuple(c.name for c in components if isinstance(c, Source)))


@given(topology=topologies(), hasty=st.booleans(), data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_every_topology_wherever_its_components_live_executes_again_to_the_same_digest(topology, hasty, data):
    made = [(name, Hasty if hasty and kind is Bars else kind, parameters) for name, kind, parameters in topology[0]]
    names = [name for name, _, _ in made]
    apart = data.draw(st.sets(st.sampled_from(names)))
    run = LiveRun(make(made), sorted(apart), RecordingClock(0)).to_its_end()
    assert executed_again(run.records, make(made), context_of(run.components)) == run.digest
    assert [record.seq for record in run.records] == list(range(1, len(run.records) + 1))
    times = [record.ts for record in run.records]
    assert times == sorted(times)


@pytest.mark.parametrize("apart", [(), ("a", "b", "risk")], ids=["inline", "in threads"])
def test_a_run_with_timers_executes_again_to_the_same_digest(apart):
    def components() -> list[Component]:
        source = Hasty("bars", {"count": 60, "block": 1})
        return [source, Alarms("a"), Alarms("b", {"every": 2}), PlainRisk("risk"), PlainCoordinator("coordinator")]

    run = LiveRun(components(), apart, RecordingClock(0)).to_its_end()
    assert executed_again(run.records, components(), RunContext(sources=("bars",))) == run.digest
