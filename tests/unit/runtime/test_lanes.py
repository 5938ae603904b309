"""Thread models of one component: what goes on at once, what waits, and that nobody can tell from what comes out."""

from __future__ import annotations

import asyncio
import threading
import zlib
from typing import ClassVar

import pytest

from bus.errors import ComponentError
from bus.runtime.component import Component, handles
from bus.runtime.modes import ThreadModel
from bus.runtime.runner import Member, Runner
from bus.runtime.service import Service
from bus.runtime.settings import RunContext
from schemas import Bar, Fill, RunStarted, Signal
from schemas.registry import TYPE_IDS
from tests.support.builders import a_bar, a_fill, a_signal
from tests.support.served import Answers, ByKey, Later, Pause
from tests.unit.runtime.serving import serving, wave

SYMBOLS = ("AAPL", "IBM", "MSFT", "ORCL")
MODELS = ("MULTI_THREADED", "ASYNC_SINGLE", "ASYNC_MULTI")


def traffic(count: int = 40) -> list:
    """Bars of all symbols in turn, and a fill now and then."""
    bars = [a_bar(n, symbol=SYMBOLS[n % 4], c=100 + n % 7) for n in range(count)]
    fills = {n: a_fill(f"broker-{n}", ts=bars[n].ts) for n in range(5, count, 9)}
    return [message for n, bar in enumerate(bars) for message in (bar, *([fills[n]] if n in fills else []))]


@pytest.mark.parametrize("kind", [ByKey, Later])
@pytest.mark.parametrize("model", MODELS)
def test_what_comes_out_is_the_same_as_one_after_another(kind, model):
    if kind is Later and model == "MULTI_THREADED":
        model = "MIXED"
    with serving(ByKey("strategy"), model="SINGLE_THREADED") as plain:
        expected = [wave(plain, traffic()), wave(plain, traffic(), 1000)]
    with serving(kind("strategy"), model=model) as runner:
        assert [wave(runner, traffic()), wave(runner, traffic(), 1000)] == expected
    assert len(expected[0]) > 10


class Meets(Component):
    """Comes to an end only if as many handlers as `expected` run at once."""

    component_type = "strategy"
    emits = (Signal,)
    partition_by: ClassVar = {Bar: "symbol"}
    expected = 2

    def reset(self) -> None:
        self.meeting = threading.Barrier(self.expected, timeout=10)
        self.inside = 0
        self.most = 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.meeting.wait()
        self.emit(a_signal(symbol=bar.symbol, ts=self.clock.now_ns))

    @handles(Fill)
    def on_fill(self, _: Fill) -> None:
        assert self.meeting.n_waiting == 0


def test_different_keys_are_served_at_once_each_with_its_own_time_and_cause():
    with serving(Meets("strategy"), model="MULTI_THREADED") as runner:
        outputs = wave(runner, [a_bar(1, symbol="AAPL"), a_bar(2, symbol="MSFT")])
    assert [(o.cause, o.message.symbol, o.message.ts) for o in outputs] == [
        (1, "AAPL", a_bar(1).ts),
        (2, "MSFT", a_bar(2).ts),
    ]


def test_a_type_without_a_key_is_handled_while_nothing_else_is():
    bars = [a_bar(1, symbol="AAPL"), a_bar(1, symbol="MSFT")]
    with serving(Meets("strategy"), model="MULTI_THREADED") as runner:
        assert len(wave(runner, [a_fill(), *bars, a_fill("broker-2"), *bars])) == 4


class Alone(Meets):
    """Counts how many of its handlers run at once; has no keys."""

    partition_by: ClassVar = {}
    expected = 1

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        threading.Event().wait(0.001)
        self.inside -= 1


def test_a_class_without_keys_is_served_one_message_after_another_on_the_pool():
    alone = Alone("strategy")
    with serving(alone, model="MULTI_THREADED") as runner:
        wave(runner, [a_bar(n, symbol=SYMBOLS[n % 4]) for n in range(12)])
    assert alone.most == 1


class Hears(Component):
    """Waits in its handler until another component of the loop has heard the same bar."""

    component_type = "strategy"
    emits = (Signal,)
    heard: asyncio.Event

    @handles(Bar)
    async def on_bar(self, bar: Bar) -> None:
        await asyncio.wait_for(self.heard.wait(), 10)
        self.emit(a_signal(reason="at last"))


class Says(Hears):
    @handles(Bar)
    async def on_bar(self, bar: Bar) -> None:
        await Pause()
        self.heard.set()


def test_while_one_component_waits_the_others_of_the_loop_go_on():
    hears, says = Hears("a"), Says("b")
    hears.heard = says.heard = asyncio.Event()
    with serving(hears, says, model="ASYNC_SINGLE") as runner:
        assert [o.message.reason for o in wave(runner, [a_bar()])] == ["at last"]


class InTurn(Component):
    """Notes when it begins and ends with a bar."""

    component_type = "strategy"

    def reset(self) -> None:
        self.notes: list[str] = []

    @handles(Bar)
    async def on_bar(self, bar: Bar) -> None:
        self.notes.append(f"{bar.symbol} begins")
        await Pause()
        self.notes.append(f"{bar.symbol} ends")

    @handles(Fill)
    def on_fill(self, _: Fill) -> None:
        self.notes.append("fill")


@pytest.mark.parametrize("model", ["ASYNC_SINGLE", "ASYNC_MULTI", "MIXED"])
def test_a_component_is_handed_its_next_message_when_its_last_handler_has_finished(model):
    component = InTurn("strategy")
    with serving(component, model=model) as runner:
        wave(runner, [a_bar(symbol="AAPL"), a_fill(), a_bar(symbol="MSFT")])
    assert component.notes == ["AAPL begins", "AAPL ends", "fill", "MSFT begins", "MSFT ends"]


def test_where_a_handler_runs_follows_from_its_model():
    places: dict[str, str] = {}

    class Tells(Component):
        component_type = "strategy"

        def _tell(self, name: str) -> None:
            places[name] = threading.current_thread().name.partition("_")[0]

        @handles(Bar)
        def on_bar(self, _: Bar) -> None:
            self._tell("on_bar")

        @handles(Fill)
        async def on_fill(self, _: Fill) -> None:
            self._tell("on_fill")

        @handles(Signal)
        def on_signal(self, _: Signal) -> None:
            self._tell("on_signal")

    models = {"on_bar": ThreadModel.MULTI_THREADED, "on_fill": ThreadModel.ASYNC_MULTI}
    with serving(Sinks("sink"), model="SINGLE_THREADED") as other:
        member = Member(1, Tells("tells"), Service(ThreadModel.MIXED, models))
        runner = Runner([member], RunContext(), other._means)
        runner.initialize()
        wave(runner, [a_bar(), a_fill(), a_signal()])
        runner.stop()
    assert places["on_bar"].startswith("ThreadPoolExecutor")
    assert places["on_fill"] == "loop of tells"
    assert places["on_signal"] == threading.current_thread().name


class Sinks(Component):
    component_type = "component"

    @handles(Bar)
    def on_bar(self, _: Bar) -> None:
        return None


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_replicas_share_the_keys_and_together_say_what_one_would(replicas):
    with serving(ByKey("strategy"), model="SINGLE_THREADED") as plain:
        expected = wave(plain, traffic())
    outputs, seen = [], []
    for replica in range(replicas):
        strategy = ByKey("strategy")
        service = Service(ThreadModel.PROCESS_PARALLEL, replica=replica, replicas=replicas)
        runner = Runner([Member(1, strategy, service)], RunContext())
        runner.initialize()
        outputs += wave(runner, traffic())
        assert strategy.fills == sum(isinstance(message, Fill) for message in traffic())
        assert all(zlib.crc32(symbol.encode()) % replicas == replica for symbol in strategy.seen)
        seen += strategy.seen
    assert sorted(outputs, key=lambda output: output.cause) == expected
    assert sorted(seen) == sorted(SYMBOLS)


def test_a_replica_that_answers_a_type_without_a_key_is_an_error():
    service = Service(ThreadModel.PROCESS_PARALLEL, replica=0, replicas=2)
    runner = Runner([Member(1, Answers("strategy"), service)], RunContext())
    runner.initialize()
    text = (
        "'strategy' failed: it answered a RunStarted, which goes to every replica because Answers.partition_by names no"
    )
    with pytest.raises(ComponentError, match=text):
        wave(runner, [RunStarted("{}", "", "", "test")])


def test_a_component_on_a_pool_that_raises_is_named_with_its_traceback():
    class Raises(ByKey):
        @handles(Bar)
        def on_bar(self, bar: Bar) -> None:
            raise RuntimeError("no idea")

    with (
        serving(Raises("strategy"), model="MULTI_THREADED") as runner,
        pytest.raises(ComponentError, match="'strategy' failed: RuntimeError: no idea") as caught,
    ):
        wave(runner, [a_bar()])
    assert "in on_bar" in caught.value.traceback


def test_nothing_can_be_emitted_between_two_waves_in_any_model():
    for model in MODELS:
        strategy = ByKey("strategy")
        with serving(strategy, model=model) as runner:
            wave(runner, [a_bar()])
            with pytest.raises(Exception, match="strategy emitted while it handled no message"):
                strategy.emit(a_signal())


def test_a_plain_component_is_called_and_not_put_in_line():
    for model in ("SINGLE_THREADED", "ASYNC_SINGLE", "PROCESS_PARALLEL"):
        runner = Runner([Member(1, ByKey("strategy"), Service(ThreadModel(model)))], RunContext())
        runner.initialize()
        assert not runner._lanes
        (route,) = runner._routes[TYPE_IDS[Bar]]
        assert route[1] == route[0].on_bar
