"""What a run tells every component, from the `backtest` and `instruments` sections of the topology file."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.enums import CloseRule

_NS_PER_S = 1_000_000_000


class StrictModel(BaseModel):
    """Configuration: unknown keys are errors, values never change, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Instrument(StrictModel):
    """What may be traded and in which steps. `tick_size` and `lot_size` 0 mean any price and any quantity.

    Prices are in `currency` per unit. `multiplier` is currency per point of price and unit (1 for shares).
    """

    symbol: str = Field(min_length=1)
    tick_size: float = Field(default=0.0, ge=0)
    lot_size: float = Field(default=0.0, ge=0)
    min_quantity: float = Field(default=0.0, ge=0)
    max_quantity: float = Field(default=math.inf, gt=0, allow_inf_nan=True)
    multiplier: float = Field(default=1.0, gt=0)
    currency: str = "USD"


class RunSettings(StrictModel):
    """The `backtest` section: what is traded, when, and with how much.

    `start_date` and `end_date` are calendar days in UTC, both inclusive. `initial_cash` is in `currency`.
    `close_at_end` says how positions are closed after the last bar.
    """

    symbols: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    start_date: dt.date | None = None
    end_date: dt.date | None = None
    initial_cash: float = Field(default=100_000.0, gt=0, le=1e15)
    currency: str = "USD"
    close_at_end: CloseRule = CloseRule.LAST_CLOSE
    periods_per_year: float | None = Field(default=None, gt=0)
    seed: int = 0
    instruments: tuple[Instrument, ...] = ()

    @field_validator("symbols")
    @classmethod
    def _each_symbol_once(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({s for s in symbols if symbols.count(s) > 1})
        if repeated:
            raise ValueError(f"named more than once: {', '.join(repeated)}")
        return symbols

    @field_validator("start_date", "end_date")
    @classmethod
    def _is_representable(cls, day: dt.date | None) -> dt.date | None:
        if day is not None and not 1700 <= day.year <= 2199:
            raise ValueError(f"{day} is outside the years 1700 to 2199, which nanoseconds since the epoch can hold")
        return day

    @field_validator("instruments")
    @classmethod
    def _each_instrument_once(cls, instruments: tuple[Instrument, ...]) -> tuple[Instrument, ...]:
        symbols = [instrument.symbol for instrument in instruments]
        repeated = sorted({s for s in symbols if symbols.count(s) > 1})
        if repeated:
            raise ValueError(f"declared more than once: {', '.join(repeated)}")
        return instruments

    @model_validator(mode="after")
    def _start_before_end(self) -> RunSettings:
        if self.start_date and self.end_date and self.start_date > self.end_date:
            raise ValueError(f"start_date {self.start_date} is after end_date {self.end_date}")
        return self

    @property
    def start_ns(self) -> int | None:
        """First nanosecond of `start_date`, or None."""
        return None if self.start_date is None else _midnight_ns(self.start_date)

    @property
    def end_ns(self) -> int | None:
        """First nanosecond after `end_date`, or None."""
        return None if self.end_date is None else _midnight_ns(self.end_date + dt.timedelta(days=1))

    def instrument(self, symbol: str) -> Instrument:
        """The declared instrument, or one without restrictions in the run's currency."""
        for instrument in self.instruments:
            if instrument.symbol == symbol:
                return instrument
        return Instrument(symbol=symbol, currency=self.currency)


class LiveSettings(RunSettings):
    """The `live_trading` section: as `backtest`, where it makes sense, and when the run ends by itself.

    `start_date` and `end_date` choose from a recording. The run ends after `duration_s` seconds, or at `until` (UTC
    unless it has an offset), whichever is first; left out, when its data end or somebody stops it. Positions stay open
    unless `close_at_end` says `last_close`. `clock` is what stamps records: the time of day (`wall`), or that of the
    `data` where a recording is played; `auto` is `data` if all data are recordings.
    """

    close_at_end: CloseRule = CloseRule.NONE
    duration_s: float | None = Field(default=None, gt=0, le=1e9)
    until: dt.datetime | None = None
    clock: Literal["auto", "wall", "data"] = "auto"

    @field_validator("close_at_end")
    @classmethod
    def _can_be_done(cls, rule: CloseRule) -> CloseRule:
        if rule is CloseRule.NEXT_OPEN:
            raise ValueError(
                "next_open is for backtests: nobody knows which bar will be the last; use last_close or none"
            )
        return rule

    @property
    def until_ns(self) -> int | None:
        """`until` in ns UTC, or None."""
        if self.until is None:
            return None
        moment = self.until if self.until.tzinfo else self.until.replace(tzinfo=dt.UTC)
        return round(moment.timestamp() * _NS_PER_S)


def _midnight_ns(day: dt.date) -> int:
    midnight = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
    return int(midnight.timestamp()) * _NS_PER_S


class RunContext(StrictModel):
    """What a component may know of the topology that it runs in.

    `sources` names the data sources, `brokers` maps each broker's name to the symbols it serves (empty: all).
    `base_dir` is the folder of the topology file, against which relative paths are looked up. `is_live` says that the
    run is live or paper trading.
    """

    run: RunSettings = RunSettings()
    is_live: bool = False
    sources: tuple[str, ...] = ()
    brokers: dict[str, tuple[str, ...]] = {}
    base_dir: Path = Path()
