"""Which fills were seen lately."""

from __future__ import annotations

from components.accounting.recent import RecentIds


def test_an_id_is_new_once():
    recent = RecentIds()
    assert [recent.is_new(name) for name in ("a", "b", "a", "b", "c")] == [True, True, False, False, True]


def test_the_last_ids_are_remembered_however_many_there_were_and_not_many_more():
    recent = RecentIds(kept=10)
    assert all(recent.is_new(f"f{n}") for n in range(1_000))
    assert not any(recent.is_new(f"f{n}") for n in range(990, 1_000))
    assert recent.is_new("f0")
    assert len(recent) <= 20
