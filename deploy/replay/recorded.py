"""Stand-ins for what a replay does not execute: their records come from the log."""

from __future__ import annotations

from typing import Any

from bus.runtime.component import Component, Handler, Parameters
from schemas import SourceDeclared
from schemas.base import Message
from schemas.registry import TYPES_BY_NAME


class RecordedParameters(Parameters):
    """What the log declares of the component. `symbols` are those that a broker served."""

    takes: tuple[str, ...] = ()
    emits: tuple[str, ...] = ()
    symbols: tuple[str, ...] | None = None


class Recorded(Component):
    """Has the place of a component in the topology, takes what it took, and never says anything by itself."""

    Parameters = RecordedParameters

    def __init__(self, name: str, parameters: dict[str, Any] | None = None) -> None:
        super().__init__(name, parameters)
        # Of this one, not of the class; and whether a capture's parts fit together was asked when it was made.
        self.emits = _types(self.parameters.emits)  # type: ignore[misc]
        self.optional = frozenset(_types(self.parameters.takes))  # type: ignore[misc]

    def handlers(self) -> dict[type[Message], Handler]:
        """Everything that the component took, and nothing is done with it."""
        return dict.fromkeys(_types(self.parameters.takes), _ignore)


class RecordedDataHandler(Recorded):
    """A data handler's records."""

    component_type = "data_handler"


class RecordedBroker(Recorded):
    """A broker's records."""

    component_type = "broker"


class RecordedOrderManager(Recorded):
    """An order manager's records."""

    component_type = "order_manager"


class RecordedPortfolio(Recorded):
    """A portfolio's records."""

    component_type = "portfolio"


class RecordedRiskManager(Recorded):
    """A risk manager's records."""

    component_type = "risk_manager"


class RecordedStrategy(Recorded):
    """A strategy's records."""

    component_type = "strategy"


class RecordedCoordinator(Recorded):
    """A coordinator's records."""

    component_type = "coordinator"


_BY_TYPE: dict[str, type[Recorded]] = {
    cls.component_type: cls
    for cls in (
        Recorded,
        RecordedDataHandler,
        RecordedBroker,
        RecordedOrderManager,
        RecordedPortfolio,
        RecordedRiskManager,
        RecordedStrategy,
        RecordedCoordinator,
    )
}


def stand_in(declared: SourceDeclared, parameters: dict[str, Any]) -> dict[str, Any]:
    """The topology entry of a component's stand-in."""
    cls = _BY_TYPE.get(declared.component_type, Recorded)
    entry = {"class": f"{cls.__module__}.{cls.__qualname__}", "takes": declared.takes, "emits": declared.emits}
    if declared.component_type == "broker" and parameters.get("symbols"):
        entry["symbols"] = parameters["symbols"]
    return entry


def _types(names: tuple[str, ...]) -> tuple[type[Message], ...]:
    """The types of these names; those of another version of the schema that are not known here are left out."""
    return tuple(TYPES_BY_NAME[name] for name in names if name in TYPES_BY_NAME)


def _ignore(_message: Message) -> None:
    return None
