"""Many threads at once, switched as often as the interpreter can."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

THREADS = 8
_NEVER = threading.Event()


@contextmanager
def frequent_switches() -> Iterator[None]:
    """Threads give way after a microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def plus_one(value: int) -> int:
    """The next number, after other threads had their turn: what is not guarded while this runs is lost."""
    _NEVER.wait(1e-6)
    return value + 1


def hammer(work: Callable[[int], None], threads: int = THREADS) -> None:
    """Call `work(n)` in n threads that begin together; raises the first error of any."""
    errors: list[BaseException] = []
    begin = threading.Barrier(threads, timeout=20)

    def one(number: int) -> None:
        try:
            begin.wait()
            work(number)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(threads)]
    with frequent_switches():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    if errors:
        raise errors[0]
    assert not any(worker.is_alive() for worker in workers), "a thread waits for ever"


def within_attempts(lost_updates: Callable[[], int], attempts: int = 20) -> int:
    """How many updates were lost in the first attempt that lost any, 0 when none of them did."""
    return next((lost for _ in range(attempts) if (lost := lost_updates())), 0)
