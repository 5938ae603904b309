"""Event loops that go wrong: the component is named, the run ends, and nothing is complained of afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bus.errors import ComponentError
from bus.local import LocalBus
from bus.runtime.component import handles
from bus.runtime.locks import ReaderWriterLock
from bus.runtime.loops import HandlerLoop, LoopThread, new_loop
from bus.runtime.means import Means, SlowHandler
from bus.runtime.settings import RunContext
from deploy.stopping import StopRequest
from schemas import Bar
from tests.support.builders import a_bar
from tests.support.served import Later, Pause, Troubled
from tests.support.transports import wiring_of
from tests.support.waiting import until
from tests.unit.runtime.serving import serving, wave

PLACES = ("local bus", "ASYNC_SINGLE", "ASYNC_MULTI")
BARS = [a_bar(n) for n in range(8)]


@contextlib.contextmanager
def placed(component, place: str, **means: Any) -> Iterator[Callable[[], None]]:
    """Something that hands the component eight bars."""
    if place == "local bus":
        bus = LocalBus(wiring_of([component]), RunContext(), None, Means(**means))
        try:
            bus.open()
            yield lambda: [bus.publish(0, bar.ts, bar) for bar in BARS]
        finally:
            bus.close()
        return
    with serving(component, model=place, **means) as runner:
        yield lambda: [wave(runner, [bar], seq) for seq, bar in enumerate(BARS, 1)]


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr("bus.runtime.loops._GRACE_S", 0.1)


@pytest.fixture(params=["asyncio", "uvloop"])
def of_both_kinds(request, monkeypatch):
    """Loops of the standard library, and of uvloop."""
    module = pytest.importorskip(request.param)
    monkeypatch.setattr("bus.runtime.loops.new_loop", lambda _: module.new_event_loop())


@pytest.fixture(autouse=True)
def nothing_is_complained_of(caplog):
    """asyncio says on its logger what it does not like: a task destroyed, an error that nobody looked at."""
    yield
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.usefixtures("of_both_kinds")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("raises", "RuntimeError: the strategy has no idea"),
        ("exits", "SystemExit: 0"),
        ("waits", r"did not finish within 0\.3 s; what it awaits is late"),
        ("cancels itself", "CancelledError|its handler was cancelled"),
        ("stops the loop", "its event loop was stopped before the handler was done|its event loop has ended"),
    ],
)
def test_a_handler_in_trouble_is_named_and_ends_the_run(place, how, text):
    troubled = Troubled("strategy", {"how": how})
    means = {"timeout_s": 0.3} if how == "waits" else {}
    with (
        placed(troubled, place, **means) as feed,
        pytest.raises(ComponentError, match=f"'strategy' failed: .*({text})"),
    ):
        feed()
    assert troubled.seen == 5
    assert troubled.stopped_in == threading.current_thread().name


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_that_will_not_be_cancelled_does_not_keep_the_run(place):
    troubled = Troubled("strategy", {"how": "will not be cancelled"})
    with (
        placed(troubled, place, timeout_s=0.2) as feed,
        pytest.raises(ComponentError, match=r"did not finish within 0\.2"),
    ):
        feed()


@pytest.mark.parametrize("place", PLACES)
def test_a_task_that_is_left_behind_is_cancelled_at_the_end(place):
    troubled = Troubled("strategy", {"how": "leaves a task behind"})
    with placed(troubled, place) as feed:
        feed()
        assert not troubled.task.done()
    assert troubled.task.cancelled()


@pytest.mark.parametrize("place", PLACES[1:])
def test_a_task_that_is_left_behind_can_say_nothing_any_more(place):
    with (
        placed(Troubled("strategy", {"how": "speaks too late"}), place) as feed,
        pytest.raises(ComponentError, match=r"a task that a handler left behind failed: .*emitted while it handled no"),
    ):
        until(lambda: feed() and False, 5, "the end of the run")


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_that_holds_its_loop_is_reported_with_its_stack_while_it_does(place):
    slow: list[SlowHandler] = []
    troubled = Troubled("strategy", {"how": "blocks", "seconds": 0.3})
    with placed(troubled, place, slow_handler_s=0.05, on_slow=slow.append) as feed:
        feed()
    (report,) = slow
    assert (report.component, report.handler) == ("strategy", "on_bar")
    assert 0.05 <= report.seconds < 0.3
    assert "threading.Event().wait(self.parameters.seconds)" in report.stack
    assert str(report).startswith("strategy.on_bar has held its event loop for 0.")
    assert troubled.seen == 8


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_that_waits_holds_nothing(place):
    slow: list[SlowHandler] = []
    troubled = Troubled("strategy", {"how": "waits"})
    means = {"timeout_s": 0.4, "slow_handler_s": 0.05, "on_slow": slow.append}
    with placed(troubled, place, **means) as feed, pytest.raises(ComponentError):
        feed()
    assert slow == []


@pytest.mark.parametrize("place", ["local bus", "ASYNC_SINGLE"])
def test_a_handler_that_holds_the_main_thread_for_too_long_is_broken_off(place):
    stop = StopRequest()
    troubled = Troubled("strategy", {"how": "blocks"})
    text = r"'strategy' failed: on_bar held its event loop for more than 0\.2 s; is it blocked\?"
    held = placed(troubled, place, timeout_s=0.2, break_in=stop.break_in)
    with stop.listening(), held as feed, pytest.raises(ComponentError, match=text):
        feed()
    assert troubled.seen == 5


def test_a_loop_in_a_thread_of_its_own_is_left_behind_when_it_is_blocked():
    troubled = Troubled("strategy", {"how": "blocks", "seconds": 3.0})
    with placed(troubled, "ASYNC_MULTI", timeout_s=0.2) as feed, pytest.raises(ComponentError) as caught:
        feed()
    assert str(caught.value) == "component 'strategy' failed: did not finish within 0.2 s; on_bar holds its event loop"


async def nothing() -> None:
    await Pause()


def test_a_loop_whose_thread_has_ended_is_noticed_at_the_next_message():
    loop = LoopThread("strategy", Means())
    loop.start("strategy", nothing())()
    loop._loop.call_soon_threadsafe(loop._loop.stop)
    loop._thread.join(10)
    with pytest.raises(ComponentError, match="'strategy' failed: its event loop has ended, and its thread with it"):
        loop.start("strategy", nothing())
    loop.close()


def test_a_loop_that_a_handler_has_closed_is_noticed_at_the_next_message():
    loop = HandlerLoop("host", Means())
    loop._loop.close()
    with pytest.raises(ComponentError, match="its event loop was closed; the loop is the host's, leave it open"):
        loop.start("strategy", nothing())
    loop.close()


def test_no_lock_is_held_across_an_await():
    later = Later("strategy", {"pauses": 50})
    later.lock = ReaderWriterLock(timeout_s=5)
    held: list[bool] = []

    class Looks(Later):
        async def on_bar(self, bar: Bar) -> None:
            await Pause()
            held.append(bool(later.lock._writers))

    with serving(later, Looks("looks"), model="ASYNC_SINGLE") as runner:
        wave(runner, BARS)
    assert held == [False] * len(BARS)
    assert later.symbols() == ["AAPL"]


def test_a_step_holds_the_lock():
    seen: list[bool] = []

    class Looks(Later):
        async def on_bar(self, bar: Bar) -> None:
            seen.append(bool(self.lock._writers))
            await Pause()
            seen.append(bool(self.lock._writers))

    looks = Looks("looks")
    looks.lock = ReaderWriterLock()
    with serving(looks, model="ASYNC_MULTI") as runner:
        wave(runner, BARS[:1])
    assert seen == [True, True]
    assert not looks.lock._writers


def test_uvloop_is_used_where_it_is_installed_and_quicker():
    uvloop = pytest.importorskip("uvloop")
    for in_main_thread in (True, False):
        loop = new_loop(in_main_thread)
        assert isinstance(loop, uvloop.Loop) != in_main_thread
        loop.close()


@pytest.mark.parametrize("model", ["ASYNC_SINGLE", "ASYNC_MULTI"])
def test_the_time_out_is_that_of_one_handler_however_many_messages_a_wave_has(model):
    class Unhurried(Later):
        @handles(Bar)
        async def on_bar(self, bar: Bar) -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.05)

    with serving(Unhurried("strategy"), model=model, timeout_s=0.3) as runner:
        wave(runner, [*BARS, *BARS])
