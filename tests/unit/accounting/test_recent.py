"""Which fills were seen lately."""

from __future__ import annotations

from components.accounting.recent import RecentIds


def test_an_id_is_new_once():
    recent = RecentIds()
    assert [recent.is_new(name) for name in ("a", "b", "a", "b", "c")] == [True, True, False, False, True]


def test_only_the_last_ids_are_remembered_however_many_there_were():
    recent = RecentIds(most=2)
    assert [recent.is_new(name) for name in ("a", "b", "c", "a", "c")] == [True, True, True, True, False]
