"""Blocks on the local bus: who is quiet may be handed many messages later, and nobody can tell."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import ComponentError
from bus.local import LocalBus
from bus.runtime.block import Block
from bus.runtime.component import Component, Parameters, handles
from bus.runtime.settings import RunContext
from schemas import Bar, Signal
from tests.support.builders import a_bar, a_signal
from tests.support.parts import Bars
from tests.support.transports import KeepingLog, wiring_of


class Patient(Component):
    """Quiet for bars until it hears a signal, and for the next bar only not."""

    component_type = "portfolio"
    emits = (Signal,)

    def reset(self) -> None:
        self.heard: list[object] = []
        self.calls: list[int] = []
        self.quiet = frozenset({Bar})

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.heard.append(bar.ts)
        self.quiet = frozenset({Bar})

    def on_block(self, bars: Block, start: int, end: int) -> None:
        self.calls.append(end - start)
        for bar in bars[start:end]:
            self.on_bar(bar)

    @handles(Signal)
    def on_signal(self, _: Signal) -> None:
        self.heard.append("signal")
        self.quiet = frozenset()


class Impatient(Patient):
    """The same, one by one."""

    on_block = None


class EveryThird(Component):
    """A signal on every third bar."""

    component_type = "strategy"
    emits = (Signal,)

    def reset(self) -> None:
        self.count = 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        if self.count % 3 == 0:
            self.emit(a_signal())


def a_run(*components: Component) -> list[bytes]:
    log = KeepingLog()
    bus = LocalBus(wiring_of([Bars("a_source", {"count": 0}), *components]), RunContext(), log)
    bus.open()
    bus.feed(1, [a_bar(i) for i in range(8)])
    return log.kept


def test_bars_come_in_blocks_up_to_the_next_answer_and_one_by_one_where_it_may_answer():
    patient = Patient("patient")
    a_run(patient, EveryThird("strategy"))
    assert patient.calls == [3], "after the signal it is not quiet when the next bars begin"


def test_whoever_takes_blocks_hears_the_same_in_the_same_order_and_so_does_the_log():
    patient, impatient = Patient("component"), Impatient("component")
    assert a_run(patient, EveryThird("strategy")) == a_run(impatient, EveryThird("strategy"))
    assert patient.heard == impatient.heard
    assert impatient.calls == []


def test_bars_that_nobody_may_answer_come_as_they_are_fed():
    patient = Patient("patient")
    a_run(patient)
    assert patient.calls == [8]


def test_what_a_component_says_while_it_takes_a_block_is_refused():
    class Talks(Patient):
        def on_block(self, bars: Block, start: int, end: int) -> None:
            self.emit(a_signal())

    with pytest.raises(ComponentError, match=r"^component 'talks' failed: talks emitted while it handled no message"):
        a_run(Talks("talks"))


def test_a_component_that_fails_in_a_block_is_named():
    class Fails(Patient):
        def on_block(self, bars: Block, start: int, end: int) -> None:
            raise RuntimeError("no room")

    with pytest.raises(ComponentError, match=r"^component 'fails' failed: RuntimeError: no room"):
        a_run(Fails("fails"))


class Foresees(Patient):
    """Never quiet, but it can tell that it will answer only every fifth bar, with a signal that nobody else answers."""

    component_type = "broker"

    def reset(self) -> None:
        super().reset()
        self.quiet = frozenset()

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.heard.append(bar.ts)
        if len(self.heard) % 5 == 0:
            self.emit(a_signal())

    def unanswered(self, bars: Block, start: int, most: int) -> int:
        return min(len(bars) - start, most, 4 - len(self.heard) % 5)

    @handles(Signal)
    def on_signal(self, _: Signal) -> None:
        pass


class Blind(Foresees):
    """The same, without foresight."""

    on_block = None
    unanswered = None


def test_bars_that_a_component_will_not_answer_come_in_blocks_too():
    foresees, blind = Foresees("component"), Blind("component")
    kept = a_run(foresees, EveryThird("strategy"))
    assert foresees.calls
    assert kept == a_run(blind, EveryThird("strategy"))
    assert foresees.heard == blind.heard


class Waits(Component):
    """Answers the third bar and the fourth, and can foresee it; notes when it is asked."""

    component_type = "broker"
    emits = (Signal,)

    def reset(self) -> None:
        self.asked, self.heard = [], 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.heard += 1
        if self.heard in (3, 4):
            self.emit(a_signal())

    def on_block(self, bars: Block, start: int, end: int) -> None:
        self.heard += end - start

    def unanswered(self, bars: Block, start: int, most: int) -> int:
        self.asked.append(self.heard)
        return min(len(bars) - start, most, 99 if self.heard > 3 else max(0, 2 - self.heard))

    @handles(Signal)
    def on_signal(self, _: Signal) -> None:
        pass


def test_nobody_is_asked_about_what_it_foretold():
    waits = Waits("component")
    a_run(waits)
    assert waits.asked == [0, 3, 4], "not about the third bar"
    assert waits.heard == 8


class Reticent(Waits):
    """Says of nothing that it will not answer it, and answers nothing."""

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.heard += 1

    def unanswered(self, bars: Block, start: int, most: int) -> int:
        self.asked.append(self.heard)
        return 0


class Silent(Reticent):
    """Says of one bar at a time that it will not answer it."""

    def unanswered(self, bars: Block, start: int, most: int) -> int:
        return super().unanswered(bars, start, most) + 1


class Telling(Reticent):
    """Says of all bars that it will not answer them."""

    component_type = "portfolio"

    def unanswered(self, bars: Block, start: int, most: int) -> int:
        return len(bars) - start


class EveryBar(EveryThird):
    """A signal on every bar."""

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.emit(a_signal())


def test_nobody_is_asked_any_more_where_bars_are_answered_one_after_another():
    silent = Silent("component")
    a_run(silent, EveryBar("strategy"))
    assert silent.asked == [0, 1, 2, 3], "then it is seen that it goes on so"
    assert silent.heard == 8


def test_nobody_is_asked_about_a_bar_after_an_answered_one_if_that_was_answered_too_the_last_time():
    class TwoInFour(EveryThird):
        @handles(Bar)
        def on_bar(self, bar: Bar) -> None:
            self.count += 1
            if self.count % 4 in (1, 2):
                self.emit(a_signal())

    silent = Silent("component")
    a_run(silent, TwoInFour("strategy"))
    assert silent.asked == [0, 1, 2, 3, 4, 6, 7], "the sixth comes after the fifth as the second after the first"
    assert silent.heard == 8


def test_who_says_nothing_is_asked_again_after_one_message_then_after_two_and_so_on():
    reticent = Reticent("component")
    a_run(reticent)
    assert reticent.asked == [0, 1, 3, 7]


def test_who_says_nothing_is_not_asked_more_often_because_another_one_tells():
    reticent, telling = Reticent("component"), Telling("telling")
    a_run(reticent, telling)
    assert reticent.asked == [0, 1, 3, 7]
    assert telling.heard == reticent.heard == 8


class Scripted(Component):
    """Answers certain bars, and says so as far ahead as its horizon; or nothing of it with a horizon of 0."""

    class Parameters(Parameters):
        answers: frozenset[int] = frozenset()
        horizon: int = 0

    component_type = "component"
    emits = (Signal,)

    def reset(self) -> None:
        self.heard: list[object] = []
        self.bars = 0
        if not self.parameters.answers:
            self.quiet = frozenset({Bar})

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.heard.append(bar.ts)
        if self.bars in self.parameters.answers:
            self.emit(a_signal(strength=self.bars / 64))
        self.bars += 1

    def on_block(self, bars: Block, start: int, end: int) -> None:
        for bar in bars[start:end]:
            self.on_bar(bar)

    def unanswered(self, bars: Block, start: int, most: int) -> int:
        following = min((n for n in self.parameters.answers if n >= self.bars), default=1000)
        return min(following - self.bars, self.parameters.horizon, len(bars) - start)

    @handles(Signal)
    def on_signal(self, signal: Signal) -> None:
        self.heard.append(signal.strength)


class ScriptedOneByOne(Scripted):
    """The same, handed bars one by one."""

    on_block = None
    unanswered = None


@settings(max_examples=200)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"answers": st.frozensets(st.integers(0, 29)), "horizon": st.sampled_from((0, 1, 3, 99))}
        ),
        min_size=1,
        max_size=3,
    ),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.sets(st.integers(0, 2)),
)
def test_whatever_they_foresee_all_hear_the_same_in_the_same_order(scripts, sizes, blind):
    def run(kinds: list[type[Scripted]]) -> tuple[list[bytes], list[list[object]]]:
        parts = [kind(f"part_{n}", script) for n, (kind, script) in enumerate(zip(kinds, scripts, strict=True))]
        log = KeepingLog()
        bus = LocalBus(wiring_of([Bars("a_source", {"count": 0}), *parts]), RunContext(), log)
        bus.open()
        bars = [a_bar(i) for i in range(30)]
        for size in sizes:
            bus.feed(1, Block(bars[:size]))
            bars = bars[size:]
        log.settle()
        return log.kept, [part.heard for part in parts]

    kinds = [ScriptedOneByOne if n in blind else Scripted for n in range(len(scripts))]
    assert run(kinds) == run([ScriptedOneByOne] * len(scripts))
