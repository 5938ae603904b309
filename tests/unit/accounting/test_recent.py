"""Which fills were seen lately."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.accounting.recent import RecentIds
from tests.support.states import state_of

COUNTED = [f"f{n}" for n in range(1_000)]
OTHERS = st.sampled_from([None, "f3", "f99", "a", "f2000"])
OF_TWO_BROKERS = [f"{name}-{n}" for n in range(500) for name in ("venue", "b")]


def test_an_id_is_new_once():
    recent = RecentIds()
    assert [recent.is_new(name) for name in ("a", "b", "a", "b", "c")] == [True, True, False, False, True]


@pytest.mark.parametrize("ids", [COUNTED, OF_TWO_BROKERS, [*OF_TWO_BROKERS, *COUNTED]])
def test_the_last_ids_are_remembered_however_many_there_were_and_not_many_more(ids):
    recent = RecentIds(kept=10)
    assert all(recent.is_new(name) for name in ids)
    assert not any(recent.is_new(name) for name in ids[-10:])
    assert recent.is_new(ids[0])
    assert len(recent) <= 20


@given(
    st.lists(st.integers(0, 30).map(lambda n: f"f{n}") | st.text("ab9", max_size=3)),
    st.integers(0, 120),
    st.integers(1, 12),
)
@example(["f5", "f119", ""], 120, 12)
@example(["b"], 23, 12)
def test_counted_ids_are_remembered_just_as_any_others(ids, counted, kept):
    recent, known = RecentIds(kept), list[str]()
    for name in [*COUNTED[:counted], *ids]:
        is_new = recent.is_new(name)
        assert not (is_new and name in known[-kept:])
        assert is_new or name in known[1 - 2 * kept :]
        if is_new:
            known.append(name)
        assert min(kept, len(known)) <= len(recent) < 2 * kept


@given(
    st.lists(st.sampled_from(["", "b", "f5", "f950", "f1000", "venue-1"]), max_size=3),
    st.integers(0, 130),
    st.lists(st.tuples(st.integers(0, 40), st.booleans(), OTHERS), max_size=6),
    st.integers(1, 30),
)
@example([], 0, [(9, True, None), (2, True, None), (95, True, None), (5, True, None)], 10)
@example(["venue-1"], 0, [(20, True, None)], 12)
@example([], 0, [(0, True, "f3"), (40, True, None)], 3)
def test_many_ids_of_a_counter_are_noted_as_one_by_one(before, first, parts, kept):
    together, single = RecentIds(kept), RecentIds(kept)
    for name in before:
        assert together.is_new(name) == single.is_new(name)
    for count, at_once, other in parts:
        ids = [f"f{n}" for n in range(first, first + count)]
        first += count
        new = [single.is_new(name) for name in ids]
        if at_once:
            together.extend(ids)
        else:
            assert [together.is_new(name) for name in ids] == new
        if other is not None:
            assert together.is_new(other) == single.is_new(other)
        assert state_of(together) == state_of(single)
    assert len(together) == len(single)
    seen = [f"f{n}" for n in reversed(range(first + 2))]
    assert [together.is_new(name) for name in seen] == [single.is_new(name) for name in seen]


def test_ids_that_were_noted_together_are_not_new_any_more():
    recent = RecentIds(kept=10)
    recent.extend(["f8", "f9", "f10", "f11"])
    assert [recent.is_new(name) for name in ("f12", "f11", "f8", "f13", "f12")] == [True, False, False, True, False]


def test_of_very_many_ids_at_once_the_last_ones_are_remembered():
    recent = RecentIds(kept=10)
    recent.extend(COUNTED)
    assert len(recent) == 19
    assert not any(recent.is_new(name) for name in COUNTED[-19:])
    assert recent.is_new(COUNTED[-20])
