"""CPUs are bound thread by thread, and a CPU that does not exist is named."""

from __future__ import annotations

import os
import threading

import pytest

from bus.errors import ConfigError
from bus.runtime import affinity
from bus.runtime.affinity import affinity_faults, set_thread_affinity, thread_affinity, usable_cpus

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this platform binds no threads")
FIRST = min(usable_cpus()) if hasattr(os, "sched_setaffinity") else 0
MISSING = 4000


def own_cpus() -> set[int]:
    return os.sched_getaffinity(threading.get_native_id())


def in_thread(work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)


def test_the_calling_thread_is_bound_and_no_other():
    before, seen = own_cpus(), []

    def work() -> None:
        set_thread_affinity("market data", [FIRST])
        seen.append(own_cpus())
        seen.append(usable_cpus())

    in_thread(work)
    assert seen == [{FIRST}, usable_cpus()]
    assert own_cpus() == before


def test_threads_started_inside_the_block_stay_bound_and_the_caller_does_not():
    before, seen, go = own_cpus(), [], threading.Event()
    thread = threading.Thread(target=lambda: (go.wait(10), seen.append(own_cpus())))
    with thread_affinity("strategy", [FIRST]):
        thread.start()
    go.set()
    thread.join(10)
    assert seen == [{FIRST}]
    assert own_cpus() == before


def test_no_cpus_in_a_block_mean_any():
    before = own_cpus()
    with thread_affinity("strategy", ()):
        assert own_cpus() == before


@pytest.mark.parametrize(
    ("cpus", "named"), [([MISSING], "4000"), ([FIRST, MISSING], "4000"), ([], "none"), ([-1], "-1")]
)
def test_a_cpu_that_does_not_exist_is_named_with_those_that_do(cpus, named):
    before = own_cpus()
    usable = ", ".join(map(str, sorted(usable_cpus())))
    with pytest.raises(ConfigError) as caught:
        set_thread_affinity("compute", cpus)
    assert str(caught.value) == f"affinity of compute: names CPU {named}; this process may use {usable}"
    assert own_cpus() == before


def test_a_platform_that_binds_no_threads_is_told(monkeypatch):
    monkeypatch.delattr(affinity.os, "sched_setaffinity")
    monkeypatch.setattr(affinity.platform, "system", lambda: "Darwin")
    assert affinity_faults("components.broker.affinity", [0]) == [
        "components.broker.affinity: Darwin cannot bind a thread to CPUs; leave the affinity out"
    ]
