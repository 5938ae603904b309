"""One suite for every transport: the same components give the same records, to the byte, and fail in the same words."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.errors import ComponentError, ConfigError, ProtocolError
from bus.hub import Hub
from bus.runtime.component import Component, Source, handles
from bus.wave_hub import SYNC_EVERY
from schemas import Bar, Checkpoint, ComponentFailed, Direction, Message, Signal, StartStream
from schemas.codec import encode
from schemas.registry import MESSAGE_TYPES
from tests.support.builders import DAY_NS, a_bar, an_order
from tests.support.nodes import NODES, Gate, Node, StrategyNode
from tests.support.parts import (
    Alarms,
    Bars,
    EveryNth,
    PlainBroker,
    PlainCoordinator,
    PlainManager,
    PlainRisk,
    Sink,
)
from tests.support.transports import TRANSPORTS, WAITING, Run, address_of, run_over

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def assert_everybody_heard_all(run: Run) -> None:
    """Every runner was handed each record of the types that it takes, once, in order."""
    for runner in run.runners:
        assert runner.served == [record.seq for record in run.records if record.type_id in runner.takes]


def parts(**strategy: int) -> list[Component]:
    return [
        Bars("bars", {"count": 60}),
        EveryNth("strategy", strategy),
        PlainRisk("risk"),
        PlainManager("manager"),
        PlainBroker("broker"),
        Sink("sink"),
        PlainCoordinator("coordinator"),
    ]


def with_source(source: Source, *others: Component) -> list[Component]:
    return [source, Sink("sink"), PlainCoordinator("coordinator"), *others]


@st.composite
def topologies(draw):
    """Names with classes and parameters, so that each run makes components of its own; and which live together."""
    made = [("beat", StrategyNode, {"takes": (0,), "emits": (1,), "burst": 2}), ("coordinator", PlainCoordinator, {})]
    made.append(("sink", Node, {"takes": draw(links(0))}))
    for n in range(draw(st.integers(1, 3))):
        counts = {"count": draw(st.integers(0, 10)), "block": draw(st.integers(1, 4))}
        made.append((f"bars{n}", Bars, {**counts, "shift_ns": draw(st.sampled_from([0, 1, DAY_NS, -3 * DAY_NS]))}))
    for n in range(draw(st.integers(1, 4))):
        traits = {"burst": draw(st.integers(1, 2)), "moody": draw(st.booleans())}
        kind = NODES[draw(st.sampled_from(sorted(NODES)))]
        made.append((f"node{n}", kind, {"takes": draw(links(0)), "emits": draw(links(1)), **traits}))
    groups: dict[int, list[str]] = {}
    for name, _, _ in made:
        groups.setdefault(draw(st.integers(0, 4)), []).append(name)
    return made, list(groups.values())


def links(first: int):
    return st.sets(st.integers(first, 4), min_size=1).map(sorted).map(tuple)


def make(made) -> list[Component]:
    return [kind(name, parameters) for name, kind, parameters in made]


@pytest.mark.parametrize("transport", TRANSPORTS[1:])
@given(topology=topologies())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_every_topology_gives_the_same_records_to_the_byte(transport, topology, tmp_path_factory):
    made, hosts = topology
    local = run_over("local", make(made), tmp_path_factory.mktemp("local"))
    other = run_over(transport, make(made), tmp_path_factory.mktemp(transport), hosts=hosts)
    assert other.log.kept == local.log.kept
    assert_everybody_heard_all(other)


@every_transport
def test_a_feedback_of_fills_on_orders_gives_the_same_records_to_the_byte(transport, tmp_path):
    assert (
        run_over(transport, parts(burst=3), tmp_path).log.kept == run_over("local", parts(burst=3), tmp_path).log.kept
    )


@every_transport
def test_timers_fire_at_the_same_places_to_the_byte(transport, tmp_path):
    def topology() -> list[Component]:
        sources = [Bars("bars", {"count": 40}), Bars("more", {"count": 20, "shift_ns": DAY_NS // 3})]
        return [*sources, Alarms("a"), Alarms("b", {"every": 2}), PlainRisk("risk"), PlainCoordinator("coordinator")]

    run = run_over(transport, topology(), tmp_path)
    assert run.log.kept == run_over("local", topology(), tmp_path).log.kept
    assert types_of(run).count("TimerFired") > 40
    assert_everybody_heard_all(run)


class Remarks(Component):
    """Says something at every checkpoint."""

    component_type = "strategy"
    emits = (Signal,)

    @handles(Checkpoint)
    def on_checkpoint(self, checkpoint: Checkpoint) -> None:
        self.emit(Signal(self.clock.now_ns, "AAPL", "BUY", 1.0, float(checkpoint.count)))


@every_transport
@pytest.mark.parametrize("every", [1, 7, 30])
def test_checkpoints_come_at_the_same_places_to_the_byte(transport, every, tmp_path, monkeypatch):
    monkeypatch.setattr("bus.conductor.CHECKPOINT_EVERY", every)
    run = run_over(transport, [*parts(), Remarks("remarks")], tmp_path)
    assert run.log.kept == run_over("local", [*parts(), Remarks("remarks")], tmp_path).log.kept
    assert payloads(run, "Checkpoint") == [encode(Checkpoint(count)) for count in range(every, 61, every)]
    assert_everybody_heard_all(run)


@every_transport
def test_a_run_without_any_data_completes(transport, tmp_path):
    run = run_over(transport, with_source(Bars("bars", {"count": 0})), tmp_path)
    assert [type_name for type_name in types_of(run) if type_name in ("Bar", "EndOfStream", "RunCompleted")] == [
        "EndOfStream",
        "RunCompleted",
    ]


@every_transport
def test_a_component_that_raises_is_named_with_its_traceback_and_ends_the_run(transport, tmp_path):
    run = Run(parts(raise_at=20), tmp_path)
    with pytest.raises(ComponentError, match=r"^component 'strategy' failed: RuntimeError: the strategy") as info:
        run.over(transport)
    assert "in on_bar" in info.value.traceback
    assert types_of(run).count("Bar") == 20
    run.bus.fail(ComponentFailed("strategy", "it has no idea"))
    assert [record.seq for record in run.records] == list(range(1, len(run.records) + 1))
    assert not any(thread.is_alive() for thread in run.threads)


@every_transport
def test_a_source_that_raises_half_way_is_named(transport, tmp_path):
    source = Bars("bars", {"count": 60, "fail_at": 30})
    with pytest.raises(ComponentError, match=r"^component 'bars' failed: ValueError: the file ends here"):
        run_over(transport, with_source(source), tmp_path)


class Yields(Source):
    """Yields the block that it was made with; says so by `emit` instead, if it is told to."""

    component_type = "data_handler"
    emits = (Bar,)

    def __init__(self, *block: Message, emit: bool = False) -> None:
        super().__init__("bars")
        self.block = list(block)
        self.emit_instead = emit

    def blocks(self) -> Iterable[list[Message]]:
        if self.emit_instead:
            self.emit(self.block[0])
        yield self.block


class Answers(Component):
    """Answers every bar with what it was made with."""

    component_type = "strategy"
    emits = (Signal,)

    def __init__(self, message: object, at_start: bool = False) -> None:
        super().__init__("strategy")
        self.message, self.at_start = message, at_start

    def start(self) -> None:
        if self.at_start:
            self.emit(self.message)

    @handles(Bar)
    def on_bar(self, _: Bar) -> None:
        self.emit(self.message)


def a_signal_with(strength: object) -> Signal:
    return Signal(0, "AAPL", "BUY", strength, 100)


@every_transport
def test_a_component_that_publishes_what_it_did_not_declare_is_named(transport, tmp_path):
    text = "'strategy' failed: strategy published Order, but declares that it emits Signal"
    with pytest.raises(ComponentError, match=text):
        run_over(transport, [*with_source(Bars("bars")), Answers(an_order())], tmp_path)


@every_transport
def test_a_source_that_streams_what_it_did_not_declare_is_named(transport, tmp_path):
    with pytest.raises(ProtocolError, match=r"^bars (published Order, but declares|may not publish type 40)"):
        run_over(transport, with_source(Yields(a_bar(), an_order())), tmp_path)


@every_transport
def test_a_source_that_goes_back_in_time_is_named(transport, tmp_path):
    with pytest.raises(ProtocolError, match=r"^bars went back in time: \d+ after \d+ \(ns UTC\)$"):
        run_over(transport, with_source(Yields(a_bar(2), a_bar(1)), EveryNth("strategy")), tmp_path)


@every_transport
def test_whole_numbers_in_fields_for_floats_become_floats_before_anybody_sees_them(transport, tmp_path):
    answers = Answers(a_signal_with(1))
    bar = Bar(1, "AAPL", 1, 2, 1, 2, 10)
    run = run_over(transport, [*with_source(Yields(bar)), answers, (node := Node("node", {"takes": (0, 1)}))], tmp_path)
    exact = run_over("local", [*with_source(Yields(a_float_bar())), Answers(a_signal_with(1.0))], tmp_path)
    (payload,) = payloads(run, "Bar")
    assert payloads(exact, "Bar") == [payload]
    assert payloads(run, "Signal") == payloads(exact, "Signal")
    twin = Node("node", {"takes": (0, 1)})
    twin.reset()
    for message in (a_float_bar(), Signal(0, "AAPL", Direction.BUY, 1.0, 100.0)):
        twin.on_message(message)
    assert node.state == twin.state


def a_float_bar() -> Bar:
    return Bar(1, "AAPL", 1.0, 2.0, 1.0, 2.0, 10.0)


@every_transport
@pytest.mark.parametrize("strength", ["high", None, True, 1j], ids=repr)
def test_a_field_of_the_wrong_type_is_refused_and_the_component_named(transport, strength, tmp_path):
    with pytest.raises(ComponentError, match="strategy published a message that does not fit its type: Signal"):
        run_over(transport, [*with_source(Bars("bars")), Answers(a_signal_with(strength))], tmp_path)


@every_transport
@pytest.mark.parametrize("kind", ["float64", "int64", "float32"])
def test_numpy_scalars_are_refused_wherever_they_come_from(transport, kind, tmp_path):
    numpy = pytest.importorskip("numpy")
    value = getattr(numpy, kind)(1)
    with pytest.raises(ComponentError, match=rf"strategy published .* Signal: .*numpy\.{kind}"):
        run_over(transport, [*with_source(Bars("bars")), Answers(a_signal_with(value))], tmp_path)
    with pytest.raises(ComponentError, match=rf"bars published .* Bar: .*numpy\.{kind}"):
        run_over(transport, with_source(Yields(Bar(1, "AAPL", value, 1.0, 1.0, 1.0, 1.0))), tmp_path)


@every_transport
def test_nothing_can_be_emitted_before_the_first_message(transport, tmp_path):
    with pytest.raises(ComponentError, match="'strategy' failed: strategy emitted while it handled no message"):
        run_over(transport, [*with_source(Bars("bars")), Answers(a_signal_with(1.0), at_start=True)], tmp_path)


@every_transport
def test_a_source_cannot_emit_while_it_makes_its_blocks(transport, tmp_path):
    with pytest.raises(ComponentError, match="'bars' failed: bars emitted while it handled no message"):
        run_over(transport, with_source(Yields(a_bar(), emit=True)), tmp_path)


class Greedy(PlainCoordinator):
    """Asks for more data when the first are through."""

    emits = (*PlainCoordinator.emits, StartStream)

    def on_end(self, _: Message) -> None:
        self.emit(StartStream("bars"))


@every_transport
def test_a_stream_that_is_asked_for_too_late_is_refused_instead_of_forgotten(transport, tmp_path):
    with pytest.raises(ProtocolError, match="StartStream for 'bars' came after the streams had begun"):
        run_over(transport, [Bars("bars"), Greedy("coordinator")], tmp_path)


class SaysQuiet(Answers):
    """Says that it will not answer bars, and then does."""

    quiet = frozenset({Bar})


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_component_that_answers_what_it_had_declared_quiet_is_named(transport, tmp_path):
    components = [*with_source(Bars("bars")), SaysQuiet(a_signal_with(1.0))]
    with pytest.raises(ComponentError, match="'strategy' failed: published in answer to a type that it had declared"):
        run_over(transport, components, tmp_path)


@pytest.mark.parametrize("transport", WAITING)
def test_a_component_that_stays_silent_is_named_after_the_time_out(transport, tmp_path):
    gate = Gate("gate")
    components = [*with_source(Bars("bars")), EveryNth("strategy"), gate]
    run = Run(components, tmp_path, timeout_s=1.0, let_go=gate.opened.set)
    with pytest.raises(ComponentError, match=r"^component 'gate' failed: did not answer within 1 s; is a handler"):
        run.over(transport)
    assert types_of(run).count("Bar") == 3


class SlowSink(Sink):
    """Works on every bar for a while."""

    def on_any(self, message: Message) -> None:
        super().on_any(message)
        sum(range(2000))


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_slow_sink_holds_up_nobody_for_long_and_loses_nothing(transport, tmp_path):
    count = SYNC_EVERY * 2 + 100
    held: list[int] = []

    def holds(_: bytes) -> bool:
        held.append(max(map(len, run.hub.fan_out.kept.values()), default=0))
        return False

    sink = SlowSink("sink")
    components = [Bars("bars", {"count": count, "block": 500}), sink, PlainCoordinator("coordinator")]
    run = Run(components, tmp_path, hub_options={"lose": holds})
    run.over(transport)
    assert sink.heard == count
    assert_everybody_heard_all(run)
    assert SYNC_EVERY / 2 < max(held) <= SYNC_EVERY
    twin = run_over("local", [Bars("bars", {"count": count}), Sink("sink"), PlainCoordinator("coordinator")], tmp_path)
    assert [record.payload for record in run.records[-count:]] == [record.payload for record in twin.records[-count:]]


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o777], ids=oct)
def test_the_sockets_lie_only_in_a_folder_that_is_private(mode, tmp_path):
    address = address_of("ipc", tmp_path)
    (tmp_path / "bus").chmod(mode)
    hub = Hub([], address, lambda: None)
    with pytest.raises(ConfigError, match="must belong to this user alone"):
        hub.bind()
    hub.close()


def test_no_socket_file_is_left_behind(tmp_path):
    run_over("ipc", parts(), tmp_path)
    assert list((tmp_path / "bus").iterdir()) == []


def types_of(run: Run) -> list[str]:
    return [MESSAGE_TYPES[record.type_id].__name__ for record in run.records]


def payloads(run: Run, type_name: str) -> list[bytes]:
    return [record.payload for record, name in zip(run.records, types_of(run), strict=True) if name == type_name]
