"""ThreadSafeDict: a mapping like any other, whose steps are indivisible where it locks."""

from __future__ import annotations

import threading

import pytest

from bus.runtime.collections import ThreadSafeDict
from bus.runtime.context import ExecutionContext
from bus.runtime.locks import NoLock
from tests.unit.runtime.hammer import THREADS, hammer, plus_one, within_attempts

ROUNDS = 100
SINGLE = ExecutionContext("single", "BACKTEST_SINGLE")
PARALLEL = ExecutionContext("parallel", "BACKTEST_PARALLEL")
OPTIMIZATION = ExecutionContext("optimization", "OPTIMIZATION")


def test_it_locks_where_the_guidelines_say_so():
    assert ThreadSafeDict().locks
    assert ThreadSafeDict(context=PARALLEL).locks
    assert ThreadSafeDict(context=OPTIMIZATION, component_type="data_handler").locks
    assert not ThreadSafeDict(context=OPTIMIZATION, component_type="broker").locks
    assert not ThreadSafeDict(context=SINGLE).locks
    assert ThreadSafeDict(context=SINGLE, locks=True).locks


def test_it_looks_at_the_current_context():
    with SINGLE:
        assert not ThreadSafeDict().locks
        assert ThreadSafeDict(context=PARALLEL).locks


def test_no_lock_exists_where_none_is_taken():
    assert type(ThreadSafeDict(context=SINGLE)._lock) is NoLock


@pytest.mark.parametrize("locks", [False, True])
def test_it_is_a_mapping_like_any_other(locks):
    mapping = ThreadSafeDict({"a": 1}, locks=locks)
    mapping["b"] = 2
    mapping.update({"c": 3}, d=4)
    assert mapping == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert (len(mapping), "a" in mapping, mapping.get("x", 9), list(mapping)) == (4, True, 9, ["a", "b", "c", "d"])
    assert (mapping.pop("a"), mapping.pop("a", 0), mapping.popitem()) == (1, 0, ("d", 4))
    assert (mapping.setdefault("b", 7), mapping.setdefault("e", 5)) == (2, 5)
    assert (list(mapping.items()), list(mapping.values())) == ([("b", 2), ("c", 3), ("e", 5)], [2, 3, 5])
    del mapping["b"]
    with pytest.raises(KeyError):
        mapping["b"]
    with pytest.raises(KeyError):
        mapping.pop("b")
    assert repr(mapping) == "ThreadSafeDict({'c': 3, 'e': 5})"
    mapping.clear()
    assert not mapping


@pytest.mark.parametrize("locks", [False, True])
def test_one_may_change_it_while_iterating_and_inside_its_own_functions(locks):
    mapping = ThreadSafeDict({n: n for n in range(5)}, locks=locks)
    for key in mapping:
        del mapping[key]
    assert mapping.get_or_set("a", lambda: mapping.get_or_set("b", lambda: 1) + 1) == 2
    assert mapping.update_with("a", lambda value: mapping.update_with("b", plus_one, 0) + value, 0) == 4
    assert mapping.snapshot() == {"a": 4, "b": 2}


def lost_updates(locks: bool) -> int:
    mapping: ThreadSafeDict[str, int] = ThreadSafeDict(locks=locks)

    def work(_: int) -> None:
        for _ in range(ROUNDS):
            mapping.update_with("count", plus_one, 0)

    hammer(work)
    return THREADS * ROUNDS - mapping["count"]


def test_no_update_is_lost_with_locks():
    assert lost_updates(locks=True) == 0


def test_updates_are_lost_without_locks():
    assert within_attempts(lambda: lost_updates(locks=False)) > 0


def values_made(locks: bool) -> int:
    """How many values were made for 50 keys that all threads ask for at once, beyond one for each."""
    mapping: ThreadSafeDict[int, object] = ThreadSafeDict(locks=locks)
    made: list[object] = []

    def make() -> object:
        made.append(plus_one(0))
        return object()

    def work(_: int) -> None:
        for key in range(50):
            mapping.get_or_set(key, make)

    hammer(work)
    return len(made) - 50


def test_a_factory_is_called_once_for_a_key_with_locks():
    assert values_made(locks=True) == 0


def test_a_factory_is_called_more_often_without_locks():
    assert within_attempts(lambda: values_made(locks=False)) > 0


def test_snapshots_see_updates_as_a_whole_and_iteration_survives_writers():
    mapping = ThreadSafeDict({"a": 0, "b": 0}, locks=True)
    torn: list[dict[object, int]] = []
    over = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            for n in range(ROUNDS):
                mapping.update({"a": n, "b": n})
                mapping[n] = n
                mapping.pop(n)
            over.set()
        while not over.is_set():
            seen = mapping.snapshot()
            if seen["a"] != seen["b"]:
                torn.append(seen)
            sum(mapping.values())
            [value for _, value in mapping.items()]

    hammer(work, threads=4)
    assert torn == []
