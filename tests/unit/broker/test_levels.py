from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from components.broker.levels import Levels
from components.broker.working import Working
from tests.support.builders import an_order

steps = st.lists(st.tuples(st.sampled_from("+-"), st.integers(-3, 3), st.integers(0, 20)), max_size=60)


def an_entry(number: int) -> Working:
    return Working.of(an_order(f"risk-{number}"), number)


@given(steps)
def test_the_nearest_level_and_the_orders_up_to_any_are_those_of_a_plain_list(steps):
    levels, entries = Levels(), []
    for number, (what, level, which) in enumerate(steps):
        if what == "+":
            entries.append((float(level), an_entry(number)))
            levels.add(*entries[-1])
        elif entries:
            levels.remove(*entries.pop(which % len(entries)))
        assert levels.nearest == min((level for level, _ in entries), default=math.inf)
        for bound in (-3.5, -1.0, 0.0, 3.0):
            wanted = sorted((entry for entry in entries if entry[0] <= bound), key=lambda e: (e[0], e[1].number))
            assert levels.up_to(bound) == [order for _, order in wanted]


def test_levels_that_come_and_go_leave_nothing_behind():
    levels = Levels()
    for number in range(10_000):
        order = an_entry(number)
        levels.add(1.0 + number, order)
        levels.add(0.0, an_entry(-1)) if number == 0 else None
        levels.remove(1.0 + number, order)
    assert len(levels._heap) < 200
    assert levels.nearest == 0.0
