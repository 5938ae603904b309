"""Which fills were seen lately."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.accounting.recent import RecentIds

COUNTED = [f"f{n}" for n in range(1_000)]
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
