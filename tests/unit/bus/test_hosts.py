"""Hosts in threads and processes: who is woken, what ends them, and what is done when somebody calls `exit`."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bus.endpoint import Endpoint, HubGone
from bus.errors import ComponentError
from bus.hosts import LanesLink, MainThreadLink, PoolLink, ThreadLink
from bus.hub import Hub
from bus.runtime.component import handles
from bus.runtime.context import ExecutionContext
from bus.runtime.means import Means
from bus.runtime.modes import ThreadModel
from bus.runtime.pools import ThreadPoolManager
from bus.runtime.runner import Member, Runner
from bus.runtime.service import Service
from bus.runtime.settings import RunContext
from bus.wave import Sequenced
from schemas import Bar
from schemas.codec import encode
from tests.support.builders import a_bar, a_signal
from tests.support.nodes import Gate
from tests.support.parts import Bars, EveryNth, Sink


def a_runner(component, source_id: int = 1) -> Runner:
    runner = Runner([Member(source_id, component)], RunContext())
    runner.initialize()
    return runner


def a_wave(seq: int = 1, message=None) -> list[Sequenced]:
    return [Sequenced(seq, 0, 20, 1, b"", message, encode(message or a_bar()))]


class Quits(Sink):
    """Calls `exit`, as a library may do that should not."""

    @handles(Bar)
    def on_bar(self, _: Bar) -> None:
        sys.exit("enough")


def test_a_component_that_calls_exit_in_a_thread_ends_the_run_at_once_and_not_after_the_time_out():
    link = ThreadLink(a_runner(Quits("quits")), 30.0, lambda: None)
    link.start()
    link.deliver(a_wave())
    begun = time.monotonic()
    with pytest.raises(ComponentError, match=r"^component 'quits' failed: SystemExit: enough$"):
        link.collect()
    assert time.monotonic() - begun < 10
    link.stop()


def test_while_the_bus_waits_for_a_thread_it_looks_whether_it_should_stop():
    gate = Gate("gate", {"closed_at": 1})

    def stop() -> None:
        raise InterruptedError

    link = ThreadLink(a_runner(gate), 30.0, stop)
    link.start()
    link.deliver(a_wave())
    with pytest.raises(InterruptedError):
        link.collect()
    gate.opened.set()
    link.stop()


@pytest.mark.parametrize("kind", ["main", "thread", "pool"])
def test_a_host_answers_a_wave_in_which_it_takes_nothing_with_nothing(kind):
    runner = a_runner(EveryNth("strategy", {"n": 1}))
    with ThreadPoolExecutor(1) as pool:
        links = {
            "main": MainThreadLink(runner),
            "pool": PoolLink(runner, pool, 5.0),
            "thread": ThreadLink(runner, 5.0, lambda: None),  # never started: it must not be waited for
        }
        link = links[kind]
        link.deliver([Sequenced(1, 0, 30, 1, b"", a_signal(), b"")])
        assert link.collect() == []
        assert link.collect() == []


@pytest.mark.parametrize("kind", ["main", "thread", "pool"])
def test_a_source_is_found_where_it_lives_and_nowhere_else(kind):
    runner = a_runner(Bars("bars", {"count": 3, "block": 2}), source_id=4)
    with ThreadPoolExecutor(1) as pool:
        links = {
            "main": MainThreadLink(runner),
            "pool": PoolLink(runner, pool, 5.0),
            "thread": ThreadLink(runner, 5.0, lambda: None),
        }
        link = links[kind]
        assert [len(block) for block in link.blocks(4)] == [2, 1]
        assert link.total(4) == 3
        assert link.blocks(1) is None
        assert link.total(1) == 0


def end(thread: threading.Thread) -> None:
    """Let a thread end at its next step, whatever it waits for, as no handler could."""
    raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    assert raised == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_by_itself_is_noticed_at_once():
    link = ThreadLink(a_runner(EveryNth("strategy")), 30.0, lambda: None)
    link.start()
    end(link._thread)
    link.deliver(a_wave())
    begun = time.monotonic()
    with pytest.raises(ComponentError, match=r"^component 'strategy' failed: its thread has ended by itself$"):
        link.collect()
    assert time.monotonic() - begun < 10
    link.stop()


def test_a_pool_worker_that_has_ended_by_itself_is_noticed_at_once(caplog):
    with ThreadPoolManager(ExecutionContext("run", "BACKTEST_PARALLEL"), {"compute": 1}) as pools:
        pool = pools.get_executor("compute")
        link = PoolLink(a_runner(EveryNth("strategy")), pool, 30.0, pools.check)
        link.deliver(a_wave())
        link.collect()
        (worker,) = pools._workers
        end(worker)
        link.deliver(a_wave(2))
        text = r"^component 'thread pool compute' failed: its worker compute_worker_0 has ended by itself$"
        with pytest.raises(ComponentError, match=text):
            link.collect()
    pools.check()


@pytest.mark.parametrize("kind", [PoolLink, LanesLink])
def test_a_pool_whose_workers_cannot_start_is_reported_as_the_components_failure(kind):
    def refuse() -> None:
        raise OSError("no more threads")

    with ThreadPoolExecutor(1, initializer=refuse) as pool:
        service = Service(ThreadModel.MULTI_THREADED if kind is LanesLink else ThreadModel.SINGLE_THREADED)
        member = Member(1, EveryNth("strategy"), service)
        runner = Runner([member], RunContext(), Means(pool=lambda _: pool))
        runner.initialize()
        link = LanesLink(runner) if kind is LanesLink else PoolLink(runner, pool, 30.0)
        with pytest.raises(ComponentError, match="'strategy' failed: its thread pool is broken: A thread initializer"):
            [link.deliver(a_wave()), link.collect(), link.deliver(a_wave(2))]


def test_an_endpoint_whose_launcher_has_died_ends_by_itself():
    hub = Hub([], "tcp://127.0.0.1", lambda: None)
    router, xpub = hub.bind()
    parent, launcher = os.pipe()
    os.close(launcher)
    with pytest.raises(HubGone, match="the launcher has ended"):
        Endpoint("sink", "token", router, xpub, a_runner(Sink("sink")), parent).run()
    os.close(parent)
    hub.close()
