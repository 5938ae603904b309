"""A strategy that is handed bars ahead says what it would have said, at the bars at which it would have said it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from bus.errors import ComponentError, StopNow
from bus.foresight import Foresight, can_be_foreseen
from bus.local import LocalBus
from bus.local_order import Uncaptured
from bus.local_route import Route
from bus.record import Record
from bus.respondent import Respondent
from bus.runtime.block import Block
from bus.runtime.clock import Clock
from bus.runtime.component import Component, Parameters, handles
from bus.runtime.locks import make_lock
from bus.runtime.runner import Member, begin
from bus.runtime.settings import RunContext
from bus.topics import Wiring
from components.strategy import MovingAverageCrossover
from schemas import Bar, Fill, Message, Order, Quote, Signal
from schemas.registry import MESSAGE_TYPES
from tests.support.builders import DAY_NS, T0, a_bar, a_signal, an_order
from tests.support.parts import Bars
from tests.support.transports import KeepingLog, wiring_of


class Scripted(Component):
    """Answers bars, counted from 0, with so many signals; fails at one of them after these, if it does."""

    class Parameters(Parameters):
        answers: dict[int, int] = Field(default_factory=dict)
        fails_at: int = -1

    component_type = "strategy"
    emits = (Signal,)
    failure: BaseException = RuntimeError("no idea")

    def reset(self) -> None:
        self.heard: list[int] = []
        self.times: list[int] = []

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        number = len(self.heard)
        self.heard.append((bar.ts - T0) // DAY_NS)
        self.times.append(self.clock.now_ns)
        for n in range(self.parameters.answers.get(number, 0)):
            self.emit(a_signal(ts=bar.ts, price=100.0 * number + n))
        if number == self.parameters.fails_at:
            raise self.failure


class Table:
    """What a bus has of a strategy that is looked ahead of."""

    def __init__(self, strategy: Component) -> None:
        self.clock = Clock()
        self.order = Uncaptured({message_type: Route(message_type) for message_type in MESSAGE_TYPES.values()})
        self.foresight = Foresight(Member(1, strategy), self.order, self.clock)
        begin(strategy, RunContext(), self.foresight.emit, self.clock)
        self._take = self.foresight.stand_for(strategy.handlers()[Bar])

    def turn(self, bar: Bar) -> list[float]:
        """The bar's turn has come: the prices of the signals that it is answered."""
        self.clock.now_ns = bar.ts
        self.order.hand_out(bar, [self._take])
        prices = [signal.price for signal in self.order.answers]
        self.order.answers.clear()
        return prices


def scripted(answers: Mapping[int, int] | None = None, **other: Any) -> Scripted:
    return Scripted("strategy", {"answers": answers or {}, **other})


def days(count: int, first: int = 0) -> Block:
    return Block(map(a_bar, range(first, first + count)))


def test_bars_are_taken_ahead_and_what_is_answered_is_kept():
    strategy = scripted({1: 2, 3: 1, 6: 1})
    table, block = Table(strategy), days(9)
    table.foresight.look(block, 0, 5)
    assert strategy.heard == [0, 1, 2, 3, 4]
    assert [(at, signal.price) for at, signal in table.foresight.answers] == [(1, 100.0), (1, 101.0), (3, 300.0)]
    assert (table.foresight.known, table.foresight.error) == (5, None)
    assert not table.order.answers, "nobody has heard of it"


def test_no_bar_is_taken_twice_and_none_is_left_out():
    strategy = scripted()
    table, block = Table(strategy), days(9)
    for end in (3, 2, 3, 7, 100):
        table.foresight.look(block, 0, end)
    assert strategy.heard == list(range(9))


def test_every_answer_is_given_at_its_own_bar():
    table, block = Table(scripted({1: 2, 3: 1, 4: 3})), days(6)
    table.foresight.look(block, 0, 6)
    assert [table.turn(bar) for bar in block] == [[], [100.0, 101.0], [], [300.0], [400.0, 401.0, 402.0], []]


def test_a_bar_that_was_not_taken_ahead_is_taken_at_its_turn():
    strategy = scripted({0: 1, 2: 2})
    table, block = Table(strategy), days(4)
    assert [table.turn(bar) for bar in block] == [[0.0], [], [200.0, 201.0], []]
    assert strategy.heard == [0, 1, 2, 3]


def test_it_says_how_many_bars_are_not_answered():
    strategy = scripted({3: 1, 4: 1})
    table, block = Table(strategy), days(9)
    foresight = table.foresight
    assert foresight.unanswered(block, 0, 9) == 3
    assert foresight.unanswered(block, 1, 9) == 2, "the same bar"
    foresight.on_block(block, 0, 3)
    assert foresight.unanswered(block, 3, 6) == 0
    assert table.turn(block[3]) == [300.0]
    assert foresight.unanswered(block, 4, 5) == 0
    assert table.turn(block[4]) == [400.0]
    assert foresight.unanswered(block, 5, 4) == 4, "there are no more"
    assert strategy.heard == list(range(9))


def test_only_so_many_bars_are_taken_to_say_how_many_are_not_answered():
    strategy = scripted({7: 1})
    table, block = Table(strategy), days(9)
    assert table.foresight.unanswered(block, 0, 4) == 4
    assert strategy.heard == [0, 1, 2, 3]
    assert table.foresight.unanswered(block, 2, 4) == 2, "what it knows is enough"
    assert len(strategy.heard) == 4
    table.foresight.on_block(block, 0, 4)
    assert table.foresight.unanswered(block, 4, 4) == 3
    assert len(strategy.heard) == 8


def test_a_new_block_may_come_when_every_bar_has_had_its_turn():
    strategy = scripted({1: 1, 4: 1})
    table, first, second = Table(strategy), days(3), days(3, 3)
    assert table.foresight.unanswered(first, 0, 3) == 1
    assert [table.turn(bar) for bar in first] == [[], [100.0], []]
    assert table.foresight.unanswered(second, 0, 3) == 1
    assert [table.turn(bar) for bar in second] == [[], [400.0], []]
    assert strategy.heard == list(range(6))


def test_a_block_may_be_looked_at_from_any_bar_on():
    strategy = scripted({1: 1})
    table, block = Table(strategy), days(6)
    assert table.foresight.unanswered(block, 2, 4) == 1
    assert strategy.heard == [2, 3, 4, 5]
    assert [table.turn(bar) for bar in block[2:]] == [[], [100.0], [], []]


def test_nothing_may_be_left_of_a_block_when_another_comes():
    table = Table(scripted())
    table.foresight.look(days(3), 0, 3)
    with pytest.raises(AssertionError, match="every bar has its turn"):
        table.foresight.look(days(3, 3), 0, 3)


def test_a_failure_is_raised_at_its_own_bar_and_not_before():
    strategy = scripted({1: 1, 3: 2, 4: 1}, fails_at=4)
    table, block = Table(strategy), days(9)
    foresight = table.foresight
    foresight.look(block, 0, 9)
    assert (strategy.heard, foresight.known, repr(foresight.error)) == (
        [0, 1, 2, 3, 4],
        5,
        "RuntimeError('no idea')",
    )
    assert [at for at, _ in foresight.answers] == [1, 3, 3], "what it said before it failed is said by nobody"
    assert [table.turn(bar) for bar in block[:4]] == [[], [100.0], [], [300.0, 301.0]]
    with pytest.raises(ComponentError, match=r"^component 'strategy' failed: RuntimeError: no idea") as info:
        table.turn(block[4])
    assert "in on_bar" in info.value.traceback
    assert table.order.answers == []
    assert strategy.heard == [0, 1, 2, 3, 4]


def test_bars_before_a_failure_are_not_answered_if_none_before_them_was():
    table, block = Table(scripted({1: 1}, fails_at=4)), days(9)
    foresight = table.foresight
    assert foresight.unanswered(block, 0, 9) == 1
    assert [table.turn(bar) for bar in block[:2]] == [[], [100.0]]
    assert foresight.unanswered(block, 2, 7) == 2
    foresight.on_block(block, 2, 4)
    assert foresight.unanswered(block, 4, 5) == 0
    with pytest.raises(ComponentError, match="no idea"):
        table.turn(block[4])


def test_nobody_is_handed_bars_after_it_has_failed():
    strategy = scripted(fails_at=2)
    table, block = Table(strategy), days(9)
    for _ in range(3):
        table.foresight.look(block, 0, 9)
    assert strategy.heard == [0, 1, 2]


@pytest.mark.parametrize("failure", [SystemExit(0), KeyboardInterrupt(), MemoryError("much")])
def test_whatever_it_raises_is_its_failure(failure):
    strategy = scripted(fails_at=1)
    strategy.failure = failure
    table, block = Table(strategy), days(3)
    table.foresight.look(block, 0, 3)
    assert table.turn(block[0]) == []
    with pytest.raises(ComponentError, match=f"^component 'strategy' failed: {type(failure).__name__}"):
        table.turn(block[1])


def test_a_run_that_is_broken_off_ends_at_once():
    strategy = scripted(fails_at=1)
    strategy.failure = StopNow()
    table = Table(strategy)
    table.clock.now_ns = 7
    with pytest.raises(StopNow):
        table.foresight.look(days(3), 0, 3)
    assert table.foresight.error is None
    assert (table.clock.now_ns, table.order.heeds) == (7, False)


@pytest.mark.parametrize("fails_at", [-1, 2])
def test_the_clock_is_the_bars_while_it_is_taken_and_then_what_it_was(fails_at):
    strategy = scripted({1: 1}, fails_at=fails_at)
    table, block = Table(strategy), days(3)
    table.clock.now_ns = 7
    table.foresight.look(block, 0, 3)
    assert table.clock.now_ns == 7
    assert strategy.times == [bar.ts for bar in block]


@pytest.mark.parametrize("heeds", [True, False])
def test_whether_answers_are_heeded_is_then_what_it_was(heeds):
    table = Table(scripted({1: 1}))
    table.order.heeds = heeds
    table.foresight.look(days(3), 0, 3)
    assert len(table.foresight.answers) == 1
    assert table.order.heeds is heeds


def test_turns_may_be_passed_on():
    table, block = Table(scripted({0: 1, 1: 2, 3: 1, 5: 2, 8: 1})), days(10)
    foresight = table.foresight
    foresight.look(block, 0, 10)
    assert table.turn(block[0]) == [0.0]
    foresight.pass_on(5, 3)
    assert [at for at, _ in foresight.answers] == [5, 5, 8]
    assert foresight.unanswered(block, 5, 5) == 0
    assert [table.turn(bar) for bar in block[5:7]] == [[500.0, 501.0], []]
    assert foresight.unanswered(block, 7, 3) == 1
    foresight.pass_on(10, 1)
    assert not foresight.answers
    assert foresight.unanswered(days(3, 10), 0, 3) == 3


def test_turns_may_be_passed_on_up_to_a_failure():
    table, block = Table(scripted({1: 1}, fails_at=4)), days(9)
    table.foresight.look(block, 0, 9)
    table.foresight.pass_on(4, 1)
    with pytest.raises(ComponentError, match="no idea"):
        table.turn(block[4])


def test_what_it_may_not_say_is_its_failure_at_that_bar():
    class Wrong(Scripted):
        @handles(Bar)
        def on_bar(self, bar: Bar) -> None:
            super().on_bar(bar)
            if len(self.heard) == 3:
                self.emit(an_order())

    table, block = Table(Wrong("wrong", {"answers": {0: 1}})), days(5)
    table.foresight.look(block, 0, 5)
    assert [table.turn(bar) for bar in block[:2]] == [[0.0], []]
    with pytest.raises(ComponentError, match=r"^component 'wrong' failed: .*Order"):
        table.turn(block[2])


class Telling(Scripted):
    """Can tell itself what it will not answer, a certain number of bars ahead."""

    horizon = 99

    def reset(self) -> None:
        super().reset()
        self.skipped: list[tuple[int, int]] = []
        self.one_by_one: list[int] = []

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.one_by_one.append(len(self.heard))
        super().on_bar(bar)

    def unanswered(self, bars: Block, start: int, most: int) -> int:
        number = len(self.heard)
        following = min((n for n in self.parameters.answers if n >= number), default=99)
        return min(following - number, self.horizon, most)

    def on_block(self, bars: Block, start: int, end: int) -> None:
        self.skipped.append((start, end))
        self.heard += ((bar.ts - T0) // DAY_NS for bar in bars[start:end])


def test_a_strategy_that_can_tell_itself_is_asked():
    strategy = Telling("strategy", {"answers": {3: 1, 4: 1}})
    table, block = Table(strategy), days(9)
    assert table.foresight.unanswered(block, 0, 9) == 3
    assert (strategy.skipped, strategy.one_by_one) == ([(0, 3), (5, 9)], [3, 4])
    assert strategy.heard == list(range(9))
    assert [table.turn(bar) for bar in block] == [[], [], [], [300.0], [400.0], [], [], [], []]


@pytest.mark.parametrize("horizon", [0, 1, 2])
def test_bars_of_which_it_cannot_tell_are_handed_one_by_one(horizon):
    strategy = Telling("strategy", {"answers": {5: 1}})
    strategy.horizon = horizon
    table, block = Table(strategy), days(9)
    table.foresight.look(block, 0, 9)
    assert strategy.heard == list(range(9))
    assert strategy.one_by_one == {0: list(range(9)), 1: [1, 3, 5, 7], 2: [2, 5, 8]}[horizon]
    assert [table.turn(bar) for bar in block][5] == [500.0]


def test_who_can_never_tell_is_not_asked_before_every_bar():
    class Asked(Telling):
        asked = 0

        def unanswered(self, bars: Block, start: int, most: int) -> int:
            self.asked += 1
            return 0

    strategy = Asked("strategy", {"answers": {500: 1}})
    table, block = Table(strategy), days(1000)
    table.foresight.look(block, 0, 1000)
    assert strategy.heard == strategy.one_by_one == list(range(1000))
    assert strategy.asked == 21, "before 1, 2, 4, 8, 16 and 32 bars, and then before every 64"
    assert [at for at, _ in table.foresight.answers] == [500]


class Counting(MovingAverageCrossover):
    """Counts the bars that it is handed one by one."""

    def reset(self) -> None:
        super().reset()
        self.count = 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.count += 1
        super().on_bar(bar)


def test_moving_averages_are_asked_for_their_crossings():
    def closes(first: int, count: int) -> Block:
        return Block(a_bar(n, c=100 + (n % 40 if n % 80 < 40 else 40 - n % 40)) for n in range(first, first + count))

    ahead, single = (Counting("strategy", {"fast": 2, "slow": 5}) for _ in range(2))
    table, expected = Table(ahead), Table(single)
    signals = 0
    for block in (closes(0, 100), closes(100, 300)):
        table.foresight.look(block, 0, 60)
        table.foresight.look(block, 0, 400)
        for bar in block:
            prices = table.turn(bar)
            assert prices == expected.turn(bar)
            signals += len(prices)
    assert signals > 5
    assert single.count == 400
    assert ahead.count < 30


STEPS = st.sampled_from(["turn", "skip", "look", "look far", "pass"])


@given(
    st.dictionaries(st.integers(0, 39), st.integers(1, 3)),
    st.lists(st.integers(1, 15), min_size=1, max_size=4),
    st.lists(STEPS, min_size=1),
    st.sampled_from([-1, -1, 0, 5, 17]),
    st.sampled_from([Scripted, Telling]),
)
def test_in_whatever_way_bars_get_their_turns_the_answers_are_the_same(answers, sizes, steps, fails_at, kind):
    if kind is Telling:
        fails_at = -1
    table = Table(kind("strategy", {"answers": answers, "fails_at": fails_at}))
    foresight, said, failed, first, number = table.foresight, {}, None, 0, 0
    for size in sizes:
        block, start = days(size, first), 0
        while start < size and failed is None:
            step = steps[number % len(steps)]
            number += 1
            if step in ("look", "look far"):
                foresight.look(block, start, start + (3 if step == "look" else 99))
                step = "turn"
            if step == "skip" and (count := foresight.unanswered(block, start, 4)):
                foresight.on_block(block, start, start + count)
                start += count
            elif step == "pass" and foresight.unanswered(block, start, 1) == 0 and foresight.answers:
                given = [signal.price for at, signal in foresight.answers if at == start]
                said[first + start] = given
                foresight.pass_on(start + 1, len(given))
                start += 1
            else:
                try:
                    prices = table.turn(block[start])
                except ComponentError:
                    failed = first + start
                else:
                    if prices:
                        said[first + start] = prices
                    start += 1
        first += size
    end = first if failed is None else failed
    assert failed == (fails_at if 0 <= fails_at < first else None)
    expected = {n: [100.0 * n + m for m in range(count)] for n, count in answers.items() if n < end}
    assert said == dict(sorted(expected.items()))


class NeverTogether:
    """An express that has the strategy looked ahead of, and takes no stretch."""

    untold: frozenset[type[Message]] = frozenset()
    respondent: Component | None = None

    def __init__(self, wiring: Wiring) -> None:
        self.strategy = next(m.component for m in wiring.members if m.component.component_type == "strategy")

    def board(self, foresight: Foresight, respondent: Respondent | None, _is_logged: bool) -> None:
        assert foresight.component is self.strategy
        assert respondent is None

    def stretch(self, bars: Block, start: int) -> None:
        return None


class LooksFar(NeverTogether):
    """The same, but it looks at whole blocks before anybody takes them."""

    def board(self, foresight: Foresight, respondent: Respondent | None, _is_logged: bool) -> None:
        self.foresight = foresight

    def stretch(self, bars: Block, start: int) -> None:
        self.foresight.look(bars, start, len(bars))


class Answering(Component):
    """Answers signals, and every seventh bar, with an order that depends on all that it has heard before."""

    component_type = "risk_manager"
    emits = (Order,)

    def reset(self) -> None:
        self.heard: list[tuple[str, float, int]] = []

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.heard.append(("bar", bar.ts, self.clock.now_ns))
        if len(self.heard) % 7 == 0:
            self.emit(an_order(f"{self.name}-{len(self.heard)}"))

    @handles(Signal)
    def on_signal(self, signal: Signal) -> None:
        self.heard.append(("signal", signal.price, self.clock.now_ns))
        self.emit(an_order(f"{self.name}-{len(self.heard)}", ts=signal.ts))


def outcome_of(strategy: Component, compose: Any, sizes: Sequence[int], other: bool) -> tuple[list[Record], Any, Any]:
    """The records of a run, what another component has heard, and the run's error."""
    risk, log, first, error = Answering("risk"), KeepingLog(), 0, None
    others = [risk] if other else []
    more = {} if compose is None else {"compose": compose}
    bus = LocalBus(wiring_of([Bars("a_source", {"count": 0}), strategy, *others]), RunContext(), log, **more)
    bus.open()
    try:
        for size in sizes:
            bus.feed(1, days(size, first))
            first += size
    except ComponentError as failure:
        error = str(failure)
    log.settle()
    return log.kept, risk.heard if other else None, error


@settings(max_examples=100)
@given(
    st.dictionaries(st.integers(0, 59), st.integers(1, 3)),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.sampled_from([-1, -1, 0, 5, 29]),
    st.sampled_from([NeverTogether, LooksFar]),
    st.booleans(),
)
def test_a_bus_that_looks_ahead_has_the_same_records(answers, sizes, fails_at, compose, other):
    run = functools.partial(outcome_of, sizes=sizes, other=other)
    make = functools.partial(scripted, answers, fails_at=fails_at)
    assert run(make(), compose) == run(make(), None)


def test_a_strategy_of_bars_and_signals_can_be_foreseen():
    assert can_be_foreseen(scripted())
    assert can_be_foreseen(MovingAverageCrossover("strategy", {"fast": 2, "slow": 5}))


class TakesQuotes(Scripted):
    @handles(Quote)
    def on_quote(self, quote: Quote) -> None:
        pass


class TakesFills(Scripted):
    @handles(Fill)
    def on_fill(self, fill: Fill) -> None:
        pass


class TakesNothing(Scripted):
    def handlers(self) -> dict[type[Message], Any]:
        return {}


class SaysMore(Scripted):
    emits = (Signal, Order)


class SaysNothing(Scripted):
    emits = ()


class SaysOther(Scripted):
    emits = (Order,)


class Asynchronous(Scripted):
    @handles(Bar)
    async def on_bar(self, bar: Bar) -> None:
        pass


class NoStrategy(Scripted):
    component_type = "risk_manager"


@pytest.mark.parametrize(
    "kind",
    [TakesQuotes, TakesFills, TakesNothing, SaysMore, SaysNothing, SaysOther, Asynchronous, NoStrategy],
    ids=lambda kind: kind.__name__,
)
def test_no_other_component_can_be_foreseen(kind):
    assert not can_be_foreseen(kind("other"))


@pytest.mark.parametrize("strategy", ["lock", "reentrant_lock", "reader_writer_lock", "fine_grained_lock"])
def test_no_component_that_others_may_ask_meanwhile_can_be_foreseen(strategy):
    component = scripted()
    component.lock = make_lock("none")
    assert can_be_foreseen(component)
    component.lock = make_lock(strategy)
    assert not can_be_foreseen(component)
