"""What a broker and the authorities charge for a trade. Rules and their sources: docs/models.md."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from pydantic import AfterValidator, Field, model_validator

from bus.runtime.settings import StrictModel
from components.models.fees import read_table
from components.models.registry import ExecutionModel, ModelConfig, Registry
from components.models.tiers import Tier, TradedVolume, ascending, average_rate, pick_rate, tier_at
from schemas import Direction, FeeLine, Liquidity

_MAKER: Final = Liquidity.MAKER
Basis = Literal["quantity", "value"]


class Execution(msgspec.Struct, frozen=True, gc=False):
    """A fill as a fee sees it; `value` is price x quantity x multiplier."""

    quantity: float
    value: float
    direction: Direction
    liquidity: Liquidity
    ts: int

    def amount(self, basis: Basis) -> float:
        """The quantity or the value."""
        return self.quantity if basis == "quantity" else self.value


class OrderTally(msgspec.Struct):
    """What one order has filled and paid so far. `cost` is before, `commission` after minimum and maximum.

    `paid` are the extra lines, None for none.
    """

    quantity: float = 0.0
    value: float = 0.0
    maker_quantity: float = 0.0
    maker_value: float = 0.0
    cost: float = 0.0
    commission: float = 0.0
    paid: dict[str, float] | None = None

    @classmethod
    def of(cls, fill: Execution) -> OrderTally:
        """The tally of an order after its first fill."""
        quantity, value = fill.quantity, fill.value
        return cls(quantity, value, quantity, value) if fill.liquidity is _MAKER else cls(quantity, value)

    def add(self, fill: Execution) -> None:
        """Count a fill."""
        self.quantity += fill.quantity
        self.value += fill.value
        if fill.liquidity is _MAKER:
            self.maker_quantity += fill.quantity
            self.maker_value += fill.value

    def amount(self, basis: Basis) -> float:
        """All of it."""
        return self.quantity if basis == "quantity" else self.value

    def maker_amount(self, basis: Basis) -> float:
        """What gave liquidity."""
        return self.maker_quantity if basis == "quantity" else self.maker_value


class ExtraFee(StrictModel):
    """A line beside the commission, such as a regulator's fee on sales.

    `rate` is money per unit of quantity, a fraction of the traded value or of the commission, or money per order.
    `side` limits it to BUY or SELL; `maximum` is money per order.
    """

    name: str = Field(min_length=1)
    rate: float
    per: Literal["quantity", "value", "commission", "order"] = "value"
    side: Direction | None = None
    maximum: float | None = Field(default=None, ge=0)

    def total(self, order: OrderTally, direction: Direction) -> float:
        """What the order owes so far, all its fills together."""
        if self.side not in (None, direction):
            return 0.0
        amounts = {"quantity": order.quantity, "value": order.value, "commission": order.commission, "order": 1.0}
        owed = self.rate * amounts[self.per]
        return owed if self.maximum is None else min(owed, self.maximum)


class CommissionModel(ExecutionModel):
    """Base of all commission models: minimum, maximum and extra lines, each per order across its partial fills.

    An order's fills together cost what one fill of the whole would: each pays what the order owes by then, less what
    it has paid. `maximum_pct` is a fraction of the traded value. A maximum goes before the minimum.
    """

    minimum: float = Field(default=0.0, ge=0)
    maximum: float | None = Field(default=None, ge=0)
    maximum_pct: float | None = Field(default=None, ge=0)
    extra_fees: tuple[ExtraFee, ...] = ()

    @cached_property
    def tallies(self) -> dict[str, OrderTally]:
        """Orders that have filled in part, by id."""
        return {}

    @property
    def is_free(self) -> bool:
        """Whether it never charges anything, so that it need not be asked."""
        return False

    def order_cost(self, order: OrderTally, fill: Execution, /) -> float:
        """Cost of the order so far before minimum and maximum; `order` already counts `fill`, `order.cost` not."""
        raise NotImplementedError

    def traded(self, fill: Execution) -> None:
        """Learn of a fill; for models whose rates depend on the volume so far."""

    def fees(
        self,
        fill_price: float,
        quantity: float,
        direction: Direction,
        order_id: str,
        liquidity: Liquidity,
        ts: int,
        multiplier: float = 1.0,
    ) -> tuple[FeeLine, ...]:
        """The fee lines of one fill, those of zero left out; negative is a rebate. `ts` is its time, ns UTC."""
        way = direction if type(direction) is Direction else Direction(direction)
        fill = Execution(quantity, abs(fill_price * quantity * multiplier), way, liquidity, ts)
        tallies = self.tallies
        order = tallies.get(order_id)
        if order is None:
            order, paid = _tally_of(fill), 0.0
            tallies[order_id] = order
        else:
            paid = order.commission
            order.add(fill)
        self._charge(order, fill)
        self.traded(fill)
        amount = order.commission - paid
        lines = (FeeLine("commission", amount),) if amount else ()
        return lines + self._extra_lines(order, way) if self.extra_fees else lines

    def forget(self, order_id: str) -> None:
        """The order is final: its partial fills need not be remembered any more."""
        self.tallies.pop(order_id, None)

    def calculate_commission(self, price: float, quantity: float) -> float:
        """Commission of an order that takes liquidity and fills at once, extra lines left out. Changes nothing."""
        amount = abs(quantity)
        fill = Execution(amount, abs(price * amount), Direction.BUY, Liquidity.TAKER, self._now())
        order = OrderTally.of(fill)
        self._charge(order, fill)
        return order.commission

    def _charge(self, order: OrderTally, fill: Execution) -> None:
        """Work out what an order owes, which counts the fill already."""
        cost = self.order_cost(order, fill)
        order.cost = cost
        if self.minimum > 0 or self.maximum is not None or self.maximum_pct is not None:
            cost = self._bounded(cost, order.value)
        order.commission = cost

    def _extra_lines(self, order: OrderTally, direction: Direction) -> tuple[FeeLine, ...]:
        if order.paid is None:
            order.paid = {}
        return _lines(order.paid, [(extra.name, extra.total(order, direction)) for extra in self.extra_fees])

    def _bounded(self, cost: float, value: float) -> float:
        if self.minimum > 0:
            cost = max(cost, self.minimum)
        if self.maximum is not None:
            cost = min(cost, self.maximum)
        if self.maximum_pct is not None:
            cost = min(cost, self.maximum_pct * value)
        return cost

    def _now(self) -> int:
        return 0


_tally_of: Final = OrderTally.of


def _lines(paid: dict[str, float], owed: list[tuple[str, float]]) -> tuple[FeeLine, ...]:
    """What is owed and not paid yet; from then on it is paid."""
    lines = [FeeLine(name, amount) for name, total in owed if (amount := total - paid.get(name, 0.0)) != 0]
    paid.update(owed)
    return tuple(lines)


class NoCommissionModel(CommissionModel):
    """No commission; a minimum or extra lines may still be charged."""

    @property
    def is_free(self) -> bool:
        """True without a minimum and extra lines."""
        return not self.minimum and not self.extra_fees

    def order_cost(self, _order: OrderTally, _fill: Execution, /) -> float:
        """Zero."""
        return 0.0


class FixedCommissionModel(CommissionModel):
    """`cost_per_trade` once an order, with its first fill."""

    cost_per_trade: float = Field(default=0.0, ge=0)

    @property
    def is_free(self) -> bool:
        """True when the cost is 0, without a minimum and extra lines."""
        return not self.cost_per_trade and not self.minimum and not self.extra_fees

    def order_cost(self, _order: OrderTally, _fill: Execution, /) -> float:
        """`cost_per_trade`."""
        return self.cost_per_trade


class PercentageCommissionModel(CommissionModel):
    """A fraction of the traded value (0.001 is 0.1 %); fills that give liquidity pay `maker_rate`, if there is one."""

    rate: float
    maker_rate: float | None = None

    def order_cost(self, order: OrderTally, fill: Execution, /) -> float:
        """Cost so far + rate x value of the fill."""
        return order.cost + pick_rate(self.rate, self.maker_rate, fill.liquidity) * fill.value


class PerShareCommissionModel(CommissionModel):
    """Money per share, contract or coin; fills that give liquidity pay `maker_rate`, if there is one."""

    rate: float
    maker_rate: float | None = None

    def order_cost(self, order: OrderTally, fill: Execution, /) -> float:
        """Cost so far + rate x quantity of the fill."""
        return order.cost + pick_rate(self.rate, self.maker_rate, fill.liquidity) * fill.quantity


class TieredCommissionModel(CommissionModel):
    """A rate that depends on how much is traded.

    `tier_by` says what counts towards the tiers, `rate_per` what the rate is multiplied with. `period` is `order`
    (the size of the order), `calendar_month` or `rolling_30_days` (all trades of this broker, UTC days). `cliff`
    charges all of a trade at the tier that it lies in, `marginal` each part at the rate of its own tier.

    With `cliff` the volume that picks the tier is the order's own size, or the month's before the fill, or that of
    the 30 days before the fill's day.
    """

    tiers: Annotated[tuple[Tier, ...], AfterValidator(ascending)]
    tier_by: Basis = "value"
    rate_per: Basis = "value"
    period: Literal["order", "calendar_month", "rolling_30_days"] = "order"
    scheme: Literal["marginal", "cliff"] = "cliff"

    @cached_property
    def volume(self) -> TradedVolume:
        """What has been traded so far."""
        return TradedVolume()

    def order_cost(self, order: OrderTally, fill: Execution, /) -> float:
        """As the period and the scheme say."""
        if self.period == "order" and self.scheme == "cliff":
            return self._cost_by_size(order)
        if self.scheme == "cliff":
            rate = tier_at(self.tiers, self._volume_before(order, fill)).rate_for(fill.liquidity)
        else:
            amount = fill.amount(self.tier_by)
            rate = average_rate(self.tiers, self._volume_before(order, fill), amount, fill.liquidity)
        return order.cost + rate * fill.amount(self.rate_per)

    def traded(self, fill: Execution) -> None:
        """Count the fill towards the volume."""
        self.volume.add(fill.ts, fill.amount(self.tier_by))

    def _cost_by_size(self, order: OrderTally) -> float:
        tier = tier_at(self.tiers, order.amount(self.tier_by))
        made = order.maker_amount(self.rate_per)
        taken = order.amount(self.rate_per) - made
        return tier.rate_for(Liquidity.TAKER) * taken + tier.rate_for(Liquidity.MAKER) * made

    def _volume_before(self, order: OrderTally, fill: Execution) -> float:
        if self.period == "order":
            return order.amount(self.tier_by) - fill.amount(self.tier_by)
        if self.period == "calendar_month":
            return self.volume.this_month(fill.ts)
        if self.scheme == "cliff":
            return self.volume.previous_30_days(fill.ts)
        return self.volume.last_30_days(fill.ts)

    def _now(self) -> int:
        return self.volume.last_ts


COMMISSION_MODELS: Registry[CommissionModel] = Registry(
    "commission",
    CommissionModel,
    "admf.commission_models",
    {
        "none": NoCommissionModel,
        "fixed": FixedCommissionModel,
        "percentage": PercentageCommissionModel,
        "per_share": PerShareCommissionModel,
        "tiered": TieredCommissionModel,
    },
)


class CommissionConfig(ModelConfig):
    """`commission: {model: <name>, <parameter>: ...}`; by default `fixed`, whose default is no commission.

    `table` names a dated fee table. Its parameters are written into the configuration, so that a run keeps them;
    those given beside it go before the table's.
    """

    registry: ClassVar[Registry[CommissionModel]] = COMMISSION_MODELS

    model: str = "fixed"
    table: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _write_out_table(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not values.get("table"):
            return values
        table = read_table(str(values["table"]))
        model = values.get("model", table["model"])
        if model != table["model"]:
            raise ValueError(f"fee table {values['table']!r} is for model {table['model']!r}, not {model!r}")
        return {**table["parameters"], **values, "model": model}


def make_commission(config: CommissionConfig) -> CommissionModel:
    """A new model as configured, that has charged nothing yet; make one in every `reset`."""
    model: CommissionModel = config.make()
    return model
