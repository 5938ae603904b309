"""The runner of one host: whom it hands what, what it takes from them, and to what they will stay quiet."""

from __future__ import annotations

import pytest

from bus.errors import ComponentError, ConfigError, ProtocolError
from bus.runtime.component import Component, handles
from bus.runtime.runner import Member, Runner, emitted_types
from bus.runtime.settings import RunContext
from schemas import Bar, EndOfStream, Fill, Message, Order, Signal, StreamEnding
from schemas.registry import TYPE_IDS
from tests.support.builders import a_bar, a_fill, a_signal
from tests.support.parts import Bars, PlainBroker, Sink

BAR, FILL, SIGNAL = TYPE_IDS[Bar], TYPE_IDS[Fill], TYPE_IDS[Signal]


class Speaker(Component):
    """Answers bars and fills with its name."""

    component_type = "strategy"
    emits = (Signal,)

    @handles(Bar, Fill)
    def on_any(self, message: Message) -> None:
        self.emit(a_signal(reason=f"{self.name} at {self.clock.now_ns}"))


def a_runner(*components: Component, reverse: bool = False) -> Runner:
    members = [Member(n, component) for n, component in enumerate(components, 1)]
    runner = Runner(members[::-1] if reverse else members, RunContext())
    runner.initialize()
    return runner


def named(types: frozenset[int]) -> set[str]:
    return {message_type.__name__ for message_type, type_id in TYPE_IDS.items() if type_id in types}


def test_components_are_served_in_rank_order_however_they_were_given():
    runner = a_runner(Speaker("a"), Speaker("b"), reverse=True)
    runner.handle(7, 100, BAR, a_bar())
    outputs = runner.take_outputs()
    assert [(o.cause, o.source, o.type_id, o.message.reason) for o in outputs] == [
        (7, 1, SIGNAL, "a at 100"),
        (7, 2, SIGNAL, "b at 100"),
    ]
    assert runner.take_outputs() == []


def test_a_type_that_nobody_takes_is_handed_to_nobody():
    runner = a_runner(Speaker("a"))
    runner.handle(1, 0, SIGNAL, a_signal())
    assert runner.take_outputs() == []
    assert named(runner.takes) == {"Bar", "Fill"}


def test_who_emits_nothing_is_quiet_on_all_that_it_takes():
    assert named(a_runner(Sink("sink")).quiet()) == {"Bar", "Fill"}


def test_who_emits_is_quiet_only_on_what_it_says():
    speaker = Speaker("a")
    runner = a_runner(speaker)
    assert named(runner.quiet()) == set()
    speaker.quiet = frozenset({Bar})
    assert named(runner.quiet()) == {"Bar"}
    speaker.quiet = frozenset({Bar, Fill, Order})
    assert named(runner.quiet()) == {"Bar", "Fill"}


def test_a_host_is_quiet_on_a_type_only_when_all_its_components_are():
    one, two = Speaker("a"), Speaker("b")
    runner = a_runner(one, two, Sink("sink"))
    one.quiet = frozenset({Bar, Fill})
    two.quiet = frozenset({Fill})
    assert named(runner.quiet()) == {"Fill"}


def test_a_broker_falls_quiet_and_comes_back_with_its_orders():
    broker = PlainBroker("broker")
    runner = a_runner(broker)
    assert "Bar" in named(runner.quiet())
    broker.working.append(Order("risk-1", "AAPL", "BUY", 1.0, "MARKET", 0))
    broker.quiet = frozenset()
    assert "Bar" not in named(runner.quiet())
    runner.handle(1, 0, BAR, a_bar())
    assert "Bar" in named(runner.quiet())


def test_an_undeclared_type_is_refused_with_what_was_declared():
    class Wrong(Speaker):
        def on_any(self, message: Message) -> None:
            self.emit(message)

    runner = a_runner(Wrong("wrong"))
    with pytest.raises(
        ComponentError, match=r"'wrong' failed: wrong published Fill, but declares that it emits Signal$"
    ):
        runner.handle(1, 0, FILL, a_fill())


@pytest.mark.parametrize("message", [None, 3, "BUY", {"symbol": "AAPL"}], ids=repr)
def test_what_is_no_message_at_all_is_refused(message):
    class Odd(Speaker):
        def on_any(self, _: Message) -> None:
            self.emit(message)

    with pytest.raises(ComponentError, match=rf"odd published {type(message).__name__}, but declares"):
        a_runner(Odd("odd")).handle(1, 0, FILL, a_fill())


def test_nothing_can_be_emitted_between_two_waves():
    speaker = Speaker("a")
    runner = a_runner(speaker)
    runner.handle(1, 0, BAR, a_bar())
    runner.take_outputs()
    with pytest.raises(ProtocolError, match=r"^a emitted while it handled no message; only handlers emit$"):
        speaker.emit(a_signal())


def test_a_component_that_cannot_start_is_named():
    class Refuses(Sink):
        def start(self) -> None:
            raise ConfigError("no licence")

    with pytest.raises(ComponentError, match=r"^component 'refuses' failed: no licence$") as info:
        a_runner(Refuses("refuses"))
    assert info.value.exit_code == 2


def test_all_are_stopped_the_last_first_whatever_one_of_them_raises():
    stopped: list[str] = []

    class Stops(Sink):
        def stop(self) -> None:
            stopped.append(self.name)
            raise OSError(self.name)

    runner = a_runner(Stops("a"), Stops("b"))
    with pytest.raises(ComponentError, match="component 'b' failed: OSError: b"):
        runner.stop()
    assert stopped == ["b", "a"]


def test_a_source_may_publish_its_end_without_declaring_it():
    assert set(emitted_types(Bars("bars"))) == {Bar, EndOfStream, StreamEnding}
    assert set(emitted_types(Sink("sink"))) == set()
