"""The periods of a search: where it trains, and where the best is tested on data that it never saw."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from bus.errors import ConfigError
from deploy.optimize.section import ValidationSection

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """Calendar days in UTC, both inclusive."""

    start: dt.date
    end: dt.date

    @property
    def days(self) -> int:
        """How many calendar days."""
        return (self.end - self.start).days + 1

    def first(self, fraction: float) -> Period:
        """The beginning of the period, at least a day."""
        return Period(self.start, self.start + (max(1, round(self.days * fraction)) - 1) * _DAY)

    @property
    def settings(self) -> tuple[str, str]:
        """As `--set` settings."""
        return f"backtest.start_date={self.start}", f"backtest.end_date={self.end}"

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"


@dataclass(frozen=True)
class Fold:
    """One search: its number from 1, where it trains (None: as the topology says), and where its best is tested."""

    number: int
    train: Period | None
    test: Period | None = None


def make_folds(whole: Period | None, validation: ValidationSection | None) -> list[Fold]:
    """The folds in order of time. No day of a test is ever in the training of the same or an earlier fold.

    Raises:
        ConfigError: the period is too short for one.
    """
    if validation is None or whole is None:
        return [Fold(1, whole)]
    folds = _split(whole, validation) if validation.method == "split" else _walk(whole, validation)
    if not folds:
        needed = "test_fraction" if validation.method == "split" else "train_days + embargo_days + test_days"
        raise ConfigError(
            f"optimization.validation: {whole} has {whole.days} days, too few for one fold; lower {needed}, or widen "
            "backtest.start_date and end_date"
        )
    return folds


def _split(whole: Period, validation: ValidationSection) -> list[Fold]:
    test_days = max(1, round(whole.days * validation.test_fraction))
    test = Period(whole.end - (test_days - 1) * _DAY, whole.end)
    train = Period(whole.start, test.start - (1 + validation.embargo_days) * _DAY)
    return [Fold(1, train, test)] if train.days >= 1 else []


def _walk(whole: Period, validation: ValidationSection) -> list[Fold]:
    train_days, test_days = validation.train_days or 0, validation.test_days or 0
    folds: list[Fold] = []
    start = whole.start
    while True:
        train_end = start + (train_days - 1) * _DAY
        test_start = train_end + (1 + validation.embargo_days) * _DAY
        test = Period(test_start, test_start + (test_days - 1) * _DAY)
        if test.end > whole.end:
            return folds
        first = whole.start if validation.anchored else start
        folds.append(Fold(len(folds) + 1, Period(first, train_end), test))
        start += test_days * _DAY
