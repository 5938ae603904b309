"""The locks that the guidelines name.

Every one offers `read()`, `write()` and `key(key)`, each for use by `with`; what they take differs:

| strategy | `read()` | `write()` | `key(key)` | re-entrant |
|---|---|---|---|---|
| `none` | nothing | nothing | nothing | yes |
| `lock` | the lock | the lock | the lock | no: a second take by the same thread waits for ever |
| `reentrant_lock` | the lock | the lock | the lock | yes |
| `reader_writer_lock` | with other readers | alone | alone | yes, but a reader cannot become a writer |
| `fine_grained_lock` | alone | alone | with holders of other keys | yes, but who holds a key cannot take all |

`none`, `lock` and `reentrant_lock` can be used as they are, too: `with lock:`.

All belong to threads, not to asyncio tasks: do not hold one across an `await`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

from bus.runtime.context import ExecutionContext
from bus.runtime.guidelines import LockStrategy, ThreadIsolationGuidelines, ThreadSynchronizationGuidelines

WAIT_S: Final = 60.0
"""How long anybody waits for a lock (s): who holds one for so long is blocked."""


def too_long(timeout_s: float, what: str) -> TimeoutError:
    """The error of somebody who has waited in vain."""
    return TimeoutError(f"waited {timeout_s:g} s to {what}; who holds the lock does not let go of it")


class NoLock:
    """Stands where a lock would be and takes nothing; it can be used in the way of every other strategy."""

    def __enter__(self) -> NoLock:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def read(self) -> NoLock:
        """As `ReaderWriterLock.read`."""
        return self

    def write(self) -> NoLock:
        """As `ReaderWriterLock.write`."""
        return self

    def key(self, _key: Hashable) -> NoLock:
        """As `KeyedLock.key`."""
        return self


class OneLock:
    """One lock of the standard library, however it is asked for. A wait for it ends after `timeout_s`."""

    def __init__(self, lock: Any, timeout_s: float = WAIT_S) -> None:
        self._acquire = lock.acquire
        self._release = lock.release
        self._timeout_s = timeout_s

    def __enter__(self) -> None:
        if not self._acquire(True, self._timeout_s):
            raise too_long(self._timeout_s, "take a lock")

    def __exit__(self, *error: object) -> None:
        self._release()

    def read(self) -> OneLock:
        """The lock."""
        return self

    def write(self) -> OneLock:
        """The lock."""
        return self

    def key(self, _key: Hashable) -> OneLock:
        """The lock."""
        return self


class ReaderWriterLock:
    """Many readers or one writer.

    A waiting writer goes before readers that come after it, and writers go in order of coming. When a writer is done,
    the readers that waited for it go before the next writer. So neither can be kept waiting for ever by the other.

    A thread that reads may read again, a thread that writes may read and write again. One that reads cannot also write:
    two such readers would wait for each other, so that this is an error at once. Every wait ends after `timeout_s`.
    """

    def __init__(self, timeout_s: float = WAIT_S) -> None:
        self._timeout_s = timeout_s
        self._mutex = threading.Lock()
        self._changed = threading.Condition(self._mutex)
        self._readers: dict[int, int] = {}
        """Thread to how many times it reads."""
        self._waiting_readers: set[int] = set()
        self._writers: deque[int] = deque()
        """Threads that write or wait for it, in order; the first one writes as soon as `_depth` is above 0."""
        self._depth = 0
        self._reading = _Held(self._begin_read, self._end_read)
        self._writing = _Held(self._begin_write, self._end_write)

    def read(self) -> AbstractContextManager[None]:
        """Hold the lock together with other readers.

        Raises:
            TimeoutError: a writer did not let go in time.
        """
        return self._reading

    def write(self) -> AbstractContextManager[None]:
        """Hold the lock alone.

        Raises:
            TimeoutError: the others did not let go in time.
            RuntimeError: the thread reads already.
        """
        return self._writing

    def key(self, _key: Hashable) -> AbstractContextManager[None]:
        """As `write`: this lock knows no keys."""
        return self._writing

    def _begin_read(self) -> None:
        me = threading.get_ident()
        with self._mutex:
            if not self._writers or me in self._readers:
                self._readers[me] = self._readers.get(me, 0) + 1
            elif self._is_writing(me):
                self._depth += 1
            else:
                self._waiting_readers.add(me)
                try:
                    self._wait(lambda: me not in self._waiting_readers, "read")
                except BaseException:
                    self._withdraw_reader(me)
                    raise

    def _end_read(self) -> None:
        me = threading.get_ident()
        if self._depth and self._is_writing(me):
            self._end_write()
            return
        with self._mutex:
            self._drop_reader(me)

    def _begin_write(self) -> None:
        me = threading.get_ident()
        with self._mutex:
            if self._readers or self._writers:
                self._await_turn(me)
            else:
                self._writers.append(me)
            self._depth += 1

    def _end_write(self) -> None:
        with self._mutex:
            self._depth -= 1
            if not self._depth:
                self._writers.popleft()
                if self._writers or self._waiting_readers:
                    self._admit_readers()

    def _await_turn(self, me: int) -> None:
        """Wait until nobody else reads or writes; at once for a thread that writes already."""
        if me in self._readers:
            raise RuntimeError("a thread that holds the lock for reading cannot take it for writing; let go first")
        if self._is_writing(me):
            return
        self._writers.append(me)
        try:
            self._wait(lambda: self._writers[0] == me and not self._readers, "write")
        except BaseException:
            self._writers.remove(me)
            self._admit_readers()
            raise

    def _is_writing(self, me: int) -> bool:
        return self._depth > 0 and self._writers[0] == me

    def _admit_readers(self) -> None:
        """Let in those who wait. They count as readers from here on, even before they wake up."""
        if not self._depth:
            self._readers.update(dict.fromkeys(self._waiting_readers, 1))
            self._waiting_readers.clear()
        self._changed.notify_all()

    def _withdraw_reader(self, me: int) -> None:
        if me in self._waiting_readers:
            self._waiting_readers.discard(me)
        else:
            self._drop_reader(me)

    def _drop_reader(self, me: int) -> None:
        self._readers[me] -= 1
        if not self._readers[me]:
            del self._readers[me]
            if not self._readers and self._writers:
                self._changed.notify_all()

    def _wait(self, granted: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self._timeout_s
        while not granted():
            left = deadline - time.monotonic()
            if left <= 0:
                raise too_long(self._timeout_s, what)
            self._changed.wait(left)


class _Held:
    """What `with` needs; it has no state of its own, so that one serves all threads."""

    __slots__ = ("_begin", "_end")

    def __init__(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self._begin = begin
        self._end = end

    def __enter__(self) -> None:
        self._begin()

    def __exit__(self, *error: object) -> None:
        self._end()


class KeyedLock:
    """One re-entrant lock for each key, kept only while somebody holds or wants it: memory follows use, not keys.

    Whoever wants all that the keys guard, to read or to write, waits until no key is held and keeps new ones out.
    """

    def __init__(self, timeout_s: float = WAIT_S) -> None:
        self._timeout_s = timeout_s
        self._mutex = threading.Lock()
        self._held: dict[Hashable, _OneKey] = {}
        self._all = ReaderWriterLock(timeout_s)
        """Who holds a key reads it, who holds them all writes it."""

    def __len__(self) -> int:
        """How many keys are held or wanted now."""
        return len(self._held)

    @contextlib.contextmanager
    def key(self, key: Hashable) -> Iterator[None]:
        """Hold the lock of one key. Threads that take several at a time must all take them in the same order.

        Raises:
            TimeoutError: who holds the key, or all of them, did not let go in time.
        """
        with self._all.read():
            with self._mutex:
                one = self._held.setdefault(key, _OneKey(self._timeout_s))
                one.users += 1
            try:
                with one.lock:
                    yield
            finally:
                with self._mutex:
                    one.users -= 1
                    if not one.users:
                        del self._held[key]

    def read(self) -> AbstractContextManager[None]:
        """Hold all keys: only then is a look over several of them a look at one moment.

        Raises:
            TimeoutError: the others did not let go in time.
            RuntimeError: the thread holds a key already.
        """
        return self._all.write()

    def write(self) -> AbstractContextManager[None]:
        """As `read`."""
        return self._all.write()


class _OneKey:
    __slots__ = ("lock", "users")

    def __init__(self, timeout_s: float) -> None:
        self.lock = OneLock(threading.RLock(), timeout_s)
        self.users = 0


_MAKERS: dict[LockStrategy, Callable[[], Any]] = {
    LockStrategy.NONE: NoLock,
    LockStrategy.LOCK: lambda: OneLock(threading.Lock()),
    LockStrategy.REENTRANT_LOCK: lambda: OneLock(threading.RLock()),
    LockStrategy.READER_WRITER_LOCK: ReaderWriterLock,
    LockStrategy.FINE_GRAINED_LOCK: KeyedLock,
}


def make_lock(strategy: str) -> Any:
    """A new lock of a strategy. What it offers is in the table of this module.

    Raises:
        ValueError: there is no such strategy.
    """
    if strategy not in list(LockStrategy):
        raise ValueError(f"no lock strategy is called {strategy!r}; there are {', '.join(LockStrategy)}")
    return _MAKERS[LockStrategy(strategy)]()


def lock_for(context: ExecutionContext, component_type: str) -> Any:
    """The lock that the guidelines name for a component type, `NoLock` where they say not to lock."""
    if not ThreadIsolationGuidelines.should_use_locks(context, component_type):
        return NoLock()
    return make_lock(ThreadSynchronizationGuidelines.get_lock_strategy(context, component_type))
