"""Error policies of edges: retry with back-off, and a circuit breaker around what is outside. Declared in the config.

A breaker counts every attempt; a call that it refuses is not tried again. Whatever happens is told to `report`: an edge
makes a record and a line of diagnostics of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import Field

from bus.errors import AdmfError
from bus.runtime.settings import StrictModel
from schemas.enums import EdgeEvent

# tenacity and pybreaker are imported when a policy is made: a backtest needs neither.

T = TypeVar("T")
Report = Callable[[EdgeEvent, str], None]
"""Told what happened, and why."""


class CircuitOpen(AdmfError):
    """The call was not made: too many before it have failed. `reset_after_s` later one will be."""


class RetrySettings(StrictModel):
    """`attempts` in all, null for as many as it takes; between them `wait_initial_s`, doubled each time, at most
    `wait_max_s` (seconds)."""

    attempts: int | None = Field(default=3, ge=1)
    wait_initial_s: float = Field(default=0.1, gt=0, le=3_600)
    wait_max_s: float = Field(default=10.0, gt=0, le=86_400)


class CircuitBreakerSettings(StrictModel):
    """After `failures` failed attempts in a row none is made for `reset_after_s` seconds; the next one decides."""

    failures: int = Field(default=5, ge=1)
    reset_after_s: float = Field(default=30.0, gt=0, le=86_400)


class PolicySettings(StrictModel):
    """`policies` of an edge. Left out: one attempt, no breaker."""

    retry: RetrySettings = RetrySettings(attempts=1)
    circuit_breaker: CircuitBreakerSettings | None = None


class Policy:
    """Makes calls as the settings say.

    `errors` are what may pass, and so is tried again and counted; `counted` are errors that are counted but never tried
    again. Everything else is raised at once and says nothing of the other side. `wait` pauses for so many seconds;
    `is_over` asks whether to give up between attempts.
    """

    def __init__(
        self,
        name: str,
        settings: PolicySettings,
        errors: tuple[type[Exception], ...],
        report: Report,
        wait: Callable[[float], object],
        is_over: Callable[[], bool] = lambda: False,
        counted: tuple[type[Exception], ...] = (),
    ) -> None:
        self._name = name
        self._errors = errors
        self._counted = (*errors, *counted)
        self._report = report
        self._wait = wait
        self._is_over = is_over
        self._breaker = self._make_breaker(settings.circuit_breaker)
        self._retrying = self._make_retrying(settings.retry)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """The function's result, from whichever attempt succeeds.

        Raises:
            CircuitOpen: the circuit is open; the function was not called (again).
            Exception: what the last attempt raised.
        """
        guarded = function if self._breaker is None else functools.partial(self._guarded, function)
        if self._retrying is None:
            return guarded(*arguments)
        result: T = self._retrying(guarded, *arguments)
        return result

    def _guarded(self, function: Callable[..., T], *arguments: Any) -> T:
        import pybreaker

        try:
            result: T = self._breaker.call(function, *arguments)
            return result
        except pybreaker.CircuitBreakerError as error:
            raise CircuitOpen(f"{self._name}: the circuit is open: {error}") from error

    def _make_retrying(self, settings: RetrySettings) -> Any:
        if settings.attempts == 1:
            return None
        import tenacity

        def is_last(state: Any) -> bool:
            return self._is_over() or state.attempt_number == settings.attempts

        def pause(seconds: float) -> None:
            self._wait(float(seconds))

        return tenacity.Retrying(
            sleep=pause,
            stop=is_last,
            wait=tenacity.wait_exponential(multiplier=settings.wait_initial_s, max=settings.wait_max_s),
            retry=tenacity.retry_if_exception_type(self._errors),
            before_sleep=self._on_retry,
            reraise=True,
        )

    def _make_breaker(self, settings: CircuitBreakerSettings | None) -> Any:
        if settings is None:
            return None
        import pybreaker

        report, failures, reset_after_s = self._report, settings.failures, settings.reset_after_s

        class Listener(pybreaker.CircuitBreakerListener):
            def state_change(self, _breaker: Any, before: Any, after: Any) -> None:
                if after.name == pybreaker.STATE_OPEN:
                    retry = f"one more will be made in {reset_after_s:g} s"
                    what = "the one that was to decide" if before.name == pybreaker.STATE_HALF_OPEN else f"{failures}"
                    report(EdgeEvent.CIRCUIT_OPENED, f"{what} failed; {retry}")
                elif after.name == pybreaker.STATE_CLOSED:
                    report(EdgeEvent.CIRCUIT_CLOSED, "it succeeded again")

        return pybreaker.CircuitBreaker(
            fail_max=failures,
            reset_timeout=reset_after_s,
            exclude=[lambda error: not isinstance(error, self._counted)],
            listeners=[Listener()],
            name=self._name,
            throw_new_error_on_trip=False,
        )

    def _on_retry(self, state: Any) -> None:
        error = state.outcome.exception()
        wait_s = state.next_action.sleep
        self._report(EdgeEvent.RETRIED, f"attempt {state.attempt_number}: {error}; again in {wait_s:g} s")
