"""A dictionary that several threads may use, and that costs no lock where one thread does."""

from __future__ import annotations

import threading
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import Any, Generic, TypeVar

from bus.runtime.context import ExecutionContext
from bus.runtime.guidelines import ThreadIsolationGuidelines
from bus.runtime.locks import NoLock

K = TypeVar("K")
V = TypeVar("V")


class ThreadSafeDict(MutableMapping[K, V], Generic[K, V]):
    """A mapping whose every method is one indivisible step for other threads.

    Writes take a re-entrant lock, so that a factory or an update function may use the mapping itself. Reads of one key
    take none: a dictionary of Python gives the value from before or from after a write, never half of one. Iterating
    goes over a copy, whatever others do meanwhile.

    `locks` says whether it locks. If that is left out, the guidelines say it for `component_type` in `context`, or in
    the current context if that is left out too. Outside of any context it locks.
    """

    def __init__(
        self,
        items: Mapping[K, V] | Iterable[tuple[K, V]] = (),
        *,
        context: ExecutionContext | None = None,
        component_type: str = "component",
        locks: bool | None = None,
    ) -> None:
        context = context or ExecutionContext.get_current()
        if locks is None:
            locks = context is None or ThreadIsolationGuidelines.should_use_locks(context, component_type)
        self.locks = locks
        self._lock = threading.RLock() if locks else NoLock()
        self._data: dict[K, V] = dict(items)

    def __getitem__(self, key: K) -> V:
        return self._data[key]

    def __setitem__(self, key: K, value: V) -> None:
        if self.locks:
            with self._lock:
                self._data[key] = value
        else:
            self._data[key] = value

    def __delitem__(self, key: K) -> None:
        with self._lock:
            del self._data[key]

    def __len__(self) -> int:
        return len(self._data)

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[K]:
        return iter(self.snapshot())

    def __repr__(self) -> str:
        return f"ThreadSafeDict({self.snapshot()!r})"

    def items(self) -> ItemsView[K, V]:
        """Of a snapshot."""
        return self.snapshot().items()

    def values(self) -> ValuesView[V]:
        """Of a snapshot."""
        return self.snapshot().values()

    def snapshot(self) -> dict[K, V]:
        """A copy as it is at one moment, between two writes."""
        with self._lock:
            return self._data.copy()

    def get_or_set(self, key: K, factory: Callable[[], V]) -> V:
        """The value of a key; if there is none, that of `factory()`, which is called once only for a key."""
        with self._lock:
            if key not in self._data:
                self._data[key] = factory()
            return self._data[key]

    def update_with(self, key: K, function: Callable[[V], V], default: V) -> V:
        """Set a key to `function` of its value, or of `default` when it has none; the new value."""
        with self._lock:
            value = self._data[key] = function(self._data.get(key, default))
            return value

    def setdefault(self, key: K, default: V = None) -> V:  # type: ignore[assignment]
        """The value of a key; if there is none, `default`, which it then has."""
        with self._lock:
            return self._data.setdefault(key, default)

    def pop(self, key: K, *default: Any) -> Any:
        """Take a key out and return its value.

        Raises:
            KeyError: there is no such key and no default.
        """
        with self._lock:
            return self._data.pop(key, *default)

    def popitem(self) -> tuple[K, V]:
        """Take out the key that came last.

        Raises:
            KeyError: the mapping is empty.
        """
        with self._lock:
            return self._data.popitem()

    def update(self, *args: Any, **more: V) -> None:
        """All of it in one step, seen as a whole by snapshots."""
        with self._lock:
            self._data.update(*args, **more)

    def clear(self) -> None:
        """Take out all keys in one step."""
        with self._lock:
            self._data.clear()
