"""Each lock keeps its promise under many threads, and without it the same work loses updates."""

from __future__ import annotations

import threading

import pytest

from bus.runtime.component import COMPONENT_TYPES
from bus.runtime.context import ExecutionContext
from bus.runtime.guidelines import LockStrategy
from bus.runtime.locks import KeyedLock, NoLock, OneLock, ReaderWriterLock, lock_for, make_lock
from tests.support.waiting import until
from tests.unit.runtime.hammer import THREADS, hammer, plus_one, within_attempts

ROUNDS = 100
EXCLUSIVE = {
    "none": lambda lock: lock,
    "lock": lambda lock: lock,
    "reentrant_lock": lambda lock: lock,
    "reader_writer_lock": lambda lock: lock.write(),
    "fine_grained_lock": lambda lock: lock.key("AAPL"),
}


def lost_updates(strategy: str) -> int:
    """Updates of one counter that are missing after all threads have counted under a lock of this strategy."""
    lock, hold = make_lock(strategy), EXCLUSIVE[strategy]
    counter = [0]

    def work(_: int) -> None:
        for _ in range(ROUNDS):
            with hold(lock):
                value = counter[0]
                counter[0] = plus_one(value)

    hammer(work)
    return THREADS * ROUNDS - counter[0]


def test_there_is_an_exclusive_use_of_every_strategy():
    assert set(EXCLUSIVE) == set(LockStrategy)


@pytest.mark.parametrize("strategy", [s for s in LockStrategy if s != "none"])
def test_no_update_is_lost_under_a_lock(strategy):
    assert lost_updates(strategy) == 0


def test_updates_are_lost_without_a_lock():
    assert within_attempts(lambda: lost_updates("none")) > 0


def test_an_unknown_strategy_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'spin_lock'; there are none, lock, reentrant_lock, reader"):
        make_lock("spin_lock")


def test_no_lock_can_be_used_in_every_way():
    lock = make_lock("none")
    with lock, lock.read(), lock.write(), lock.key("AAPL"), lock:
        assert isinstance(lock, NoLock)


@pytest.mark.parametrize(
    ("mode", "model", "component_type", "kind"),
    [
        ("BACKTEST_PARALLEL", None, "data_handler", ReaderWriterLock),
        ("BACKTEST_PARALLEL", None, "order_manager", KeyedLock),
        ("BACKTEST_PARALLEL", None, "strategy", OneLock),
        ("OPTIMIZATION", None, "data_handler", ReaderWriterLock),
        ("OPTIMIZATION", None, "portfolio", NoLock),
        ("BACKTEST_SINGLE", "MULTI_THREADED", "portfolio", NoLock),
    ],
)
def test_a_component_type_gets_the_lock_of_the_guidelines(mode, model, component_type, kind):
    assert type(lock_for(ExecutionContext("run", mode, model), component_type)) is kind


@pytest.mark.parametrize("component_type", COMPONENT_TYPES)
def test_a_single_threaded_backtest_takes_no_lock(component_type):
    assert type(lock_for(ExecutionContext("run", "BACKTEST_SINGLE"), component_type)) is NoLock


def test_readers_never_see_half_of_a_write():
    lock, pair, torn = ReaderWriterLock(), [0, 0], []

    def work(number: int) -> None:
        for _ in range(ROUNDS):
            if number % 4 == 0:
                with lock.write():
                    value = plus_one(pair[0])
                    pair[0] = value
                    pair[1] = plus_one(value - 1)
            else:
                with lock.read():
                    seen = (pair[0], plus_one(pair[1] - 1))
                    if seen[0] != seen[1]:
                        torn.append(seen)

    hammer(work)
    assert torn == []
    assert pair == [ROUNDS * THREADS // 4] * 2


def in_thread(work) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_readers_read_together():
    lock = ReaderWriterLock()
    together = threading.Barrier(3, timeout=10)

    def read() -> None:
        with lock.read():
            together.wait()

    others = [in_thread(read), in_thread(read)]
    read()
    for other in others:
        other.join(10)
    assert not together.broken


def test_a_waiting_writer_goes_before_later_readers_and_they_before_the_next_writer():
    lock, order = ReaderWriterLock(), []

    def write(name: str) -> None:
        with lock.write():
            order.append(name)

    def read() -> None:
        with lock.read():
            order.append("late reader")

    with lock.read():
        threads = [in_thread(lambda: write("first writer"))]
        until(lambda: len(lock._writers) == 1, 10, "the first writer's waiting")
        threads.append(in_thread(read))
        until(lambda: lock._waiting_readers, 10, "the reader's waiting")
        threads.append(in_thread(lambda: write("second writer")))
        until(lambda: len(lock._writers) == 2, 10, "the second writer's waiting")
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == ["first writer", "late reader", "second writer"]


@pytest.mark.parametrize("busy", ["read", "write"])
def test_a_stream_of_one_kind_does_not_starve_the_other(busy):
    lock, done = ReaderWriterLock(), threading.Event()

    def work(number: int) -> None:
        if number:
            while not done.is_set():
                with getattr(lock, busy)():
                    plus_one(number)
        else:
            for _ in range(20):
                with lock.write() if busy == "read" else lock.read():
                    plus_one(number)
            done.set()

    hammer(work, threads=4)
    assert done.is_set()


def test_reading_and_writing_are_reentrant():
    lock = ReaderWriterLock(timeout_s=5)
    with lock.write(), lock.read(), lock.write():
        pass
    with lock.read():
        writer = in_thread(lambda: lock.write().__enter__())
        until(lambda: lock._writers, 10, "the writer's waiting")
        with lock.read():
            assert writer.is_alive()
    writer.join(10)
    assert not writer.is_alive()


def test_a_reader_cannot_become_a_writer():
    lock = ReaderWriterLock()
    with lock.read(), pytest.raises(RuntimeError, match="cannot take it for writing; let go first"), lock.write():
        pass
    with lock.write():
        assert not lock._readers


@pytest.mark.parametrize(("held", "wanted"), [("read", "write"), ("write", "read"), ("write", "write")])
def test_a_wait_ends_with_an_error_and_leaves_the_lock_usable(held, wanted):
    lock, errors = ReaderWriterLock(timeout_s=0.05), []

    def want() -> None:
        try:
            with getattr(lock, wanted)():
                pass
        except TimeoutError as error:
            errors.append(str(error))

    with getattr(lock, held)():
        in_thread(want).join(10)
    assert errors == [f"waited 0.05 s to {wanted}; who holds the lock does not let go of it"]
    for again in (lock.read, lock.write, lock.read):
        with again():
            pass
    assert not lock._readers
    assert not lock._writers


@pytest.mark.parametrize("make", [lambda s: OneLock(threading.RLock(), s), KeyedLock, ReaderWriterLock])
def test_nobody_waits_for_ever_for_any_lock(make):
    lock, errors = make(0.05), []

    def want() -> None:
        for take in (lock.write, lock.read, lambda: lock.key("AAPL")):
            try:
                with take():
                    pass
            except TimeoutError as error:
                errors.append(str(error))

    with lock.key("AAPL"):
        in_thread(want).join(10)
    assert len(errors) == 3
    assert all(error.startswith("waited 0.05 s to ") for error in errors)
    with lock.write(), lock.key("AAPL"):
        pass


def test_a_writer_that_gives_up_lets_the_readers_behind_it_in():
    lock, seen = ReaderWriterLock(timeout_s=0.3), []

    def write() -> None:
        with pytest.raises(TimeoutError), lock.write():
            pass

    def read() -> None:
        with lock.read():
            seen.append("read")

    with lock.read():
        writer = in_thread(write)
        until(lambda: lock._writers, 10, "the writer's waiting")
        lock._timeout_s = 10
        reader = in_thread(read)
        writer.join(10)
        reader.join(10)
        assert seen == ["read"]


def test_different_keys_do_not_wait_for_each_other_and_one_key_is_reentrant():
    lock = KeyedLock()
    with lock.key("AAPL"), lock.key("AAPL"):
        other = in_thread(lambda: lock.key("MSFT").__enter__())
        other.join(10)
        assert not other.is_alive()


def test_memory_follows_the_keys_in_use_also_after_errors():
    lock = KeyedLock()
    for number in range(10_000):
        with lock.key(number):
            assert len(lock) == 1
    with pytest.raises(KeyError), lock.key("AAPL"):
        raise KeyError
    assert len(lock) == 0


def test_every_key_counts_right_and_no_lock_is_left_over():
    lock, counters = KeyedLock(), dict.fromkeys(range(3), 0)

    def work(number: int) -> None:
        for n in range(ROUNDS):
            key = (n + number) % 3
            with lock.key(key):
                counters[key] = plus_one(counters[key])

    hammer(work)
    assert sum(counters.values()) == THREADS * ROUNDS
    assert len(lock) == 0
