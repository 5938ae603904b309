"""How long an order, an amendment or a cancellation takes to reach the market."""

from __future__ import annotations

import math
from random import Random
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.models.registry import ExecutionModel, ModelConfig, Registry

Kind = Literal["order", "amend", "cancel"]

_NS_PER_MS = 1_000_000


class LatencyModel(ExecutionModel):
    """Base of all latency models. The factors scale the delay of amendments and cancellations."""

    amend_factor: float = Field(default=1.0, ge=0)
    cancel_factor: float = Field(default=1.0, ge=0)

    def draw_ms(self, rng: Random, /) -> float:
        """One delay of an order in milliseconds, not negative."""
        raise NotImplementedError

    def delay_ns(self, kind: Kind, rng: Random) -> int:
        """Nanoseconds from sending to arrival. All randomness comes from `rng`."""
        delay = self.draw_ms(rng)
        if kind == "amend":
            delay *= self.amend_factor
        elif kind == "cancel":
            delay *= self.cancel_factor
        return round(delay * _NS_PER_MS)


class NoLatencyModel(LatencyModel):
    """Everything arrives at once."""

    def draw_ms(self, _rng: Random, /) -> float:
        """Zero."""
        return 0.0


class FixedLatencyModel(LatencyModel):
    """The same delay always."""

    ms: float = Field(ge=0)

    def draw_ms(self, _rng: Random, /) -> float:
        """`ms`."""
        return self.ms


class UniformLatencyModel(LatencyModel):
    """Every delay between `low_ms` and `high_ms` is as likely as any other."""

    low_ms: float = Field(ge=0)
    high_ms: float = Field(ge=0)

    @model_validator(mode="after")
    def _low_is_not_above_high(self) -> Self:
        if self.low_ms > self.high_ms:
            raise ValueError(f"low_ms {self.low_ms} is above high_ms {self.high_ms}")
        return self

    def draw_ms(self, rng: Random, /) -> float:
        """One number between the two."""
        return rng.uniform(self.low_ms, self.high_ms)


class LognormalLatencyModel(LatencyModel):
    """Half of the delays are below `median_ms`; `sigma` is the standard deviation of their logarithm."""

    median_ms: float = Field(gt=0)
    sigma: float = Field(default=0.5, ge=0)

    def draw_ms(self, rng: Random, /) -> float:
        """exp(log(median_ms) + sigma x Z), Z standard normal."""
        return rng.lognormvariate(math.log(self.median_ms), self.sigma)


LATENCY_MODELS: Registry[LatencyModel] = Registry(
    "latency",
    LatencyModel,
    "admf.latency_models",
    {
        "none": NoLatencyModel,
        "fixed": FixedLatencyModel,
        "uniform": UniformLatencyModel,
        "lognormal": LognormalLatencyModel,
    },
)


class LatencyConfig(ModelConfig):
    """`latency: {model: <name>, <parameter>: ...}`; by default there is none."""

    registry: ClassVar[Registry[LatencyModel]] = LATENCY_MODELS

    model: str = "none"


def make_latency(config: LatencyConfig) -> LatencyModel:
    """A new model as configured."""
    model: LatencyModel = config.make()
    return model
