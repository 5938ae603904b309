"""Which CPUs a thread may run on."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
from collections.abc import Iterable, Iterator

from bus.errors import ConfigError

_MORE_THAN_ANY = range(4096)


def set_thread_affinity(thread: str, cpu_ids: Iterable[int]) -> None:
    """Bind the calling thread, not its process, to these CPUs. Threads that it starts from now on inherit them.

    `thread` says in errors whose affinity it is: a pool, a component, a type of thread.

    Raises:
        ConfigError: no CPU is named, one does not exist, or this platform cannot bind threads.
    """
    cpus = set(cpu_ids)
    faults = affinity_faults(f"affinity of {thread}", cpus)
    if faults:
        raise ConfigError(faults)
    os.sched_setaffinity(threading.get_native_id(), cpus)


@contextlib.contextmanager
def thread_affinity(thread: str, cpu_ids: Iterable[int]) -> Iterator[None]:
    """The calling thread, and threads started inside the block, on these CPUs; on any if none is named.

    The calling thread has its own CPUs again afterwards; the started ones keep theirs.

    Raises:
        ConfigError: as `set_thread_affinity`.
    """
    cpus = set(cpu_ids)
    if not cpus:
        yield
        return
    own = _own_cpus()
    set_thread_affinity(thread, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(threading.get_native_id(), own)


def affinity_faults(place: str, cpu_ids: Iterable[int]) -> list[str]:
    """Why these CPUs cannot be used, one sentence with its place, or nothing."""
    cpus = set(cpu_ids)
    if not hasattr(os, "sched_setaffinity"):
        return [f"{place}: {platform.system()} cannot bind a thread to CPUs; leave the affinity out"]
    usable = usable_cpus()
    if cpus and cpus <= usable:
        return []
    named = ", ".join(map(str, sorted(cpus - usable))) or "none"
    return [f"{place}: names CPU {named}; this process may use {', '.join(map(str, sorted(usable)))}"]


def usable_cpus() -> set[int]:
    """The CPUs that exist and that the system lets this process use, whatever it is bound to at the moment."""
    own = _own_cpus()
    thread = threading.get_native_id()
    try:
        # The kernel cuts the request down to what there is, which no list of CPUs tells as surely in a container.
        os.sched_setaffinity(thread, _MORE_THAN_ANY)
        return _own_cpus()
    finally:
        os.sched_setaffinity(thread, own)


def _own_cpus() -> set[int]:
    return os.sched_getaffinity(threading.get_native_id())
