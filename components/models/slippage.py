"""How much worse than the market's price an order fills. Formulas and their sources: docs/models.md."""

from __future__ import annotations

import itertools
import math
from collections import deque
from functools import cached_property
from typing import ClassVar, Final

import msgspec
from pydantic import Field

from components.models.registry import ExecutionModel, ModelConfig, Registry
from schemas import Bar, Direction

_BUY: Final = Direction.BUY


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What slippage may depend on; the fields as in `SlippageModel.apply_slippage`."""

    price: float
    quantity: float
    bar: Bar | None
    volatility: float | None
    adv: float | None
    symbol: str


class SlippageModel(ExecutionModel):
    """Base of all slippage models. A subclass gives `impact`, or replaces `apply_slippage` altogether."""

    @property
    def is_free(self) -> bool:
        """Whether it never moves a price, so that it need not be asked."""
        return False

    @property
    def learns(self) -> bool:
        """Whether the model wants every bar by `on_bar`."""
        return False

    def on_bar(self, bar: Bar) -> None:
        """Learn from a bar; to be called once the bar's orders are matched, so that no fill knows its bar's close."""

    def impact(self, terms: Terms, /) -> float:
        """Slippage as a fraction of the price (0.0001 is one basis point), never negative."""
        raise NotImplementedError

    def apply_slippage(
        self,
        price: float,
        direction: Direction,
        quantity: float,
        *,
        bar: Bar | None = None,
        volatility: float | None = None,
        adv: float | None = None,
        symbol: str = "",
    ) -> float:
        """The price after slippage: higher for BUY, lower for SELL; a price above zero does not fall below it.

        `bar` is the bar that fills the order. `volatility` is the standard deviation of returns over one bar, `adv`
        the average volume of one bar; what is given here goes before what was learnt and before defaults. `symbol` says
        whose history counts where no bar does, as when a quote or a trade fills the order.
        """
        if bar is not None:
            symbol = bar.symbol
        fraction = self.impact(Terms(price, quantity, bar, volatility, adv, symbol))
        if fraction == 0.0:
            return price
        buys = direction == _BUY
        if price <= 0:  # what moves a positive price up moves a negative one down
            return price * (1.0 - fraction if buys else 1.0 + fraction)
        worse = price * (1.0 + fraction if buys else 1.0 - fraction)
        if worse < 0.0:
            return 0.0
        return worse


class NoSlippageModel(SlippageModel):
    """Orders fill at the market's price."""

    @property
    def is_free(self) -> bool:
        """True."""
        return True

    def impact(self, _terms: Terms, /) -> float:
        """Zero."""
        return 0.0


class FixedSlippageModel(SlippageModel):
    """The same fraction of the price for every order."""

    price_impact: float = Field(default=0.0, ge=0)

    @property
    def is_free(self) -> bool:
        """True when `price_impact` is 0."""
        return not self.price_impact

    def impact(self, _terms: Terms, /) -> float:
        """`price_impact`."""
        return self.price_impact


class PercentageSlippageModel(SlippageModel):
    """Grows linearly with the order's quantity, up to `max_pct`. All three are fractions of the price."""

    base_pct: float = Field(default=0.0001, ge=0)
    size_impact: float = Field(default=1e-7, ge=0)
    max_pct: float = Field(default=0.01, ge=0)

    def impact(self, terms: Terms, /) -> float:
        """min(base_pct + quantity x size_impact, max_pct)."""
        return min(self.base_pct + terms.quantity * self.size_impact, self.max_pct)


class VolumeBasedSlippageModel(SlippageModel):
    """Grows with the square of the share of the bar's volume, as in zipline and LEAN.

    The share is capped at `volume_limit`; without a bar, or on a bar without volume, it is taken to be that cap.
    """

    price_impact: float = Field(default=0.1, ge=0)
    volume_limit: float = Field(default=0.025, gt=0, le=1)

    def impact(self, terms: Terms, /) -> float:
        """price_impact x min(quantity / volume, volume_limit) squared."""
        share = self.volume_limit
        if terms.bar is not None and terms.bar.volume > 0:
            share = min(terms.quantity / terms.bar.volume, share)
        return self.price_impact * share * share


class LearningSlippageModel(SlippageModel):
    """Base of models that learn from the last `window` bars of each symbol; 0 learns nothing."""

    window: int = Field(default=20, ge=0)

    @cached_property
    def closes(self) -> dict[str, deque[float]]:
        """Last closes by symbol, one more than `window`."""
        return {}

    @cached_property
    def volumes(self) -> dict[str, deque[float]]:
        """Last volumes by symbol."""
        return {}

    @property
    def learns(self) -> bool:
        """True unless the window is empty."""
        return self.window > 0

    def on_bar(self, bar: Bar) -> None:
        """Remember the bar's close and volume; anything that is computed from them is computed at a fill."""
        closes = self.closes.get(bar.symbol)
        if closes is None:
            closes = self.closes[bar.symbol] = deque(maxlen=self.window + 1)
            self.volumes[bar.symbol] = deque(maxlen=self.window)
        closes.append(bar.close)
        self.volumes[bar.symbol].append(bar.volume)

    def realised_volatility(self, symbol: str) -> float | None:
        """Sample standard deviation of the window's simple returns; None with fewer than two returns."""
        closes = self.closes.get(symbol, ())
        returns = [after / before - 1.0 for before, after in itertools.pairwise(closes) if before > 0]
        if len(returns) < 2:
            return None
        mean = math.fsum(returns) / len(returns)
        return math.sqrt(math.fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1))

    def average_volume(self, symbol: str) -> float | None:
        """Mean volume of the window's bars; None without any."""
        volumes = self.volumes.get(symbol)
        return math.fsum(volumes) / len(volumes) if volumes else None


class VolatilityAwareSlippageModel(LearningSlippageModel):
    """Grows with the volatility of returns: as given, else as realised over the window, else the default."""

    base_slippage: float = Field(default=0.0001, ge=0)
    volatility_multiplier: float = Field(default=5.0, ge=0)
    default_volatility: float = Field(default=0.01, ge=0)

    def impact(self, terms: Terms, /) -> float:
        """base_slippage + volatility x volatility_multiplier."""
        sigma = self.realised_volatility(terms.symbol) if terms.volatility is None else terms.volatility
        if sigma is None:
            sigma = self.default_volatility
        return self.base_slippage + sigma * self.volatility_multiplier


class SquareRootSlippageModel(LearningSlippageModel):
    """The square-root law of market impact: Y x sigma x sqrt(quantity / average volume).

    Sigma and the volume are those of one bar; the ratio does not depend on the length of the bars. While either is
    not known the impact is `default_impact` (zipline's 7.5 basis points).
    """

    Y: float = Field(default=1.0, ge=0)
    default_impact: float = Field(default=0.00075, ge=0)

    def impact(self, terms: Terms, /) -> float:
        """Y x sigma x sqrt(quantity / adv)."""
        sigma = self.realised_volatility(terms.symbol) if terms.volatility is None else terms.volatility
        volume = self.average_volume(terms.symbol) if terms.adv is None else terms.adv
        participation = terms.quantity / volume if volume else math.inf
        if sigma is None or not math.isfinite(participation):  # so little volume that it says nothing
            return self.default_impact
        return self.Y * sigma * math.sqrt(participation)


SLIPPAGE_MODELS: Registry[SlippageModel] = Registry(
    "slippage",
    SlippageModel,
    "admf.slippage_models",
    {
        "none": NoSlippageModel,
        "fixed": FixedSlippageModel,
        "percentage": PercentageSlippageModel,
        "volume": VolumeBasedSlippageModel,
        "volatility": VolatilityAwareSlippageModel,
        "square_root": SquareRootSlippageModel,
    },
)


class SlippageConfig(ModelConfig):
    """`slippage: {model: <name>, <parameter>: ...}`; by default `fixed`, whose default is no slippage."""

    registry: ClassVar[Registry[SlippageModel]] = SLIPPAGE_MODELS

    model: str = "fixed"


def make_slippage(config: SlippageConfig) -> SlippageModel:
    """A new model as configured, with nothing learnt; make one in every `reset`."""
    model: SlippageModel = config.make()
    return model
