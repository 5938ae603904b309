"""Error policies: how often, how long apart, when no more; with a clock that is the test's."""

from __future__ import annotations

import datetime as dt

import pybreaker
import pytest

from bus.runtime.policies import CircuitOpen, Policy, PolicySettings
from schemas.enums import EdgeEvent


class Outside:
    """A call that fails as often as a test says."""

    def __init__(self, *failures: Exception | None) -> None:
        self.outcomes = list(failures)
        self.calls = 0

    def __call__(self, word: str = "done") -> str:
        self.calls += 1
        error = self.outcomes.pop(0) if self.outcomes else None
        if error:
            raise error
        return word


class Bench:
    """A policy whose pauses cost no time."""

    def __init__(self, monkeypatch, is_over=lambda: False, **settings) -> None:
        self.now = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
        self.pauses: list[float] = []
        self.told: list[tuple[EdgeEvent, str]] = []
        bench = self

        class FakeDatetime(dt.datetime):
            @classmethod
            def now(cls, tz=None):
                return bench.now

        monkeypatch.setattr(pybreaker, "datetime", FakeDatetime)
        checked = PolicySettings.model_validate(settings)
        errors = (ConnectionError, TimeoutError)
        self.policy = Policy("venue", checked, errors, lambda *what: self.told.append(what), self.wait, is_over)

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += dt.timedelta(seconds=seconds)

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.told]


def refused() -> ConnectionError:
    return ConnectionRefusedError("nobody is there")


def test_a_call_that_succeeds_is_made_once(monkeypatch):
    bench, outside = Bench(monkeypatch), Outside()
    assert bench.policy.call(outside, "word") == "word"
    assert (outside.calls, bench.pauses, bench.told) == (1, [], [])


def test_what_may_pass_is_tried_again_with_growing_pauses_up_to_the_longest(monkeypatch):
    retry = {"attempts": 6, "wait_initial_s": 0.5, "wait_max_s": 3}
    bench, outside = Bench(monkeypatch, retry=retry), Outside(*[refused() for _ in range(5)])
    assert bench.policy.call(outside) == "done"
    assert bench.pauses == [0.5, 1, 2, 3, 3]
    assert bench.events == ["RETRIED"] * 5
    assert bench.told[0][1] == "attempt 1: nobody is there; again in 0.5 s"


def test_after_the_last_attempt_its_error_is_raised(monkeypatch):
    bench, outside = Bench(monkeypatch, retry={"attempts": 2}), Outside(refused(), TimeoutError("too slow"))
    with pytest.raises(TimeoutError, match="too slow"):
        bench.policy.call(outside)
    assert outside.calls == 2


def test_what_cannot_pass_is_raised_at_once_and_is_not_held_against_the_other_side(monkeypatch):
    bench = Bench(monkeypatch, retry={"attempts": 5}, circuit_breaker={"failures": 1})
    for _ in range(3):
        with pytest.raises(ValueError, match="wrong"):
            bench.policy.call(Outside(ValueError("wrong")))
    assert (bench.pauses, bench.told) == ([], [])


def test_with_no_end_of_attempts_it_goes_on_until_it_is_over(monkeypatch):
    bench = Bench(monkeypatch, lambda: len(bench.pauses) >= 50, retry={"attempts": None, "wait_max_s": 1})
    with pytest.raises(ConnectionError):
        bench.policy.call(Outside(*[refused() for _ in range(1000)]))
    assert len(bench.pauses) == 50


def test_a_circuit_opens_after_so_many_failures_and_says_so_and_no_call_is_made(monkeypatch):
    bench = Bench(monkeypatch, circuit_breaker={"failures": 3, "reset_after_s": 10})
    outside = Outside(*[refused() for _ in range(9)])
    for _ in range(3):
        with pytest.raises(ConnectionError, match="nobody"):
            bench.policy.call(outside)
    with pytest.raises(CircuitOpen, match="venue: the circuit is open"):
        bench.policy.call(outside)
    assert outside.calls == 3
    assert bench.told == [(EdgeEvent.CIRCUIT_OPENED, "3 failed; one more will be made in 10 s")]


def test_one_call_after_the_pause_decides_whether_the_circuit_closes(monkeypatch):
    bench = Bench(monkeypatch, circuit_breaker={"failures": 1, "reset_after_s": 10})
    outside = Outside(refused(), refused())
    for seconds, error in [(0, ConnectionError), (9, CircuitOpen), (2, ConnectionError), (9, CircuitOpen)]:
        bench.now += dt.timedelta(seconds=seconds)
        with pytest.raises(error):
            bench.policy.call(outside)
    bench.now += dt.timedelta(seconds=2)
    assert bench.policy.call(outside) == "done"
    assert bench.events == ["CIRCUIT_OPENED", "CIRCUIT_OPENED", "CIRCUIT_CLOSED"]


def test_every_attempt_counts_and_an_open_circuit_ends_them(monkeypatch):
    bench = Bench(monkeypatch, retry={"attempts": 10}, circuit_breaker={"failures": 3, "reset_after_s": 60})
    outside = Outside(*[refused() for _ in range(20)])
    with pytest.raises(CircuitOpen):
        bench.policy.call(outside)
    assert outside.calls == 3
    assert bench.events == ["RETRIED", "RETRIED", "CIRCUIT_OPENED", "RETRIED"]


@pytest.mark.parametrize(
    "settings", [{"retry": {"attempts": 0}}, {"retry": {"wait": 1}}, {"circuit_breaker": {"failures": 0}}]
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match="validation error"):
        PolicySettings.model_validate(settings)
