"""What a live broker needs of a venue, and the simulated brokers as venues. A real one is another class like them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from pydantic import Field, ValidationError

from bus.runtime.clock import Clock
from bus.runtime.component import Emit, Handler
from bus.runtime.settings import RunContext, StrictModel
from components.broker.base import BrokerBase
from components.broker.live_simulated import LiveSimulatedBroker
from components.broker.passthrough import PassthroughBroker
from schemas import Message, Order, SubmitCancel, SubmitOrder, SubmitReplace


class NotSent(Exception):
    """The request has certainly not reached the venue: it may be made again."""


class InDoubt(Exception):
    """The request may have reached the venue, or not: it is never made again, the venue is asked instead."""


class Declined(Exception):
    """The venue has the request and refuses it; `code` is the venue's."""

    def __init__(self, reason: str, code: str = "DECLINED") -> None:
        self.code = code
        super().__init__(reason)


class LiveVenue(Protocol):
    """Where a live broker's orders go. The order's id is the client order id; it is sent at most once.

    `send`, `cancel`, `replace` and `ask` return when the venue has the request, or raise NotSent, InDoubt or
    Declined. What comes of it the venue says by `say`, which was given to `open`, from whatever thread: `Fill` and
    `BrokerReport`.
    """

    name: str
    """What it is, for people."""
    is_real: bool
    """Whether orders leave this machine."""
    blocks: bool
    """Whether a request may take long: then it is made in a thread of its own, with a time-out."""
    says: tuple[type[Message], ...]
    """What it may say other than fills and reports."""

    def open(self, context: RunContext, say: Emit, clock: Clock) -> None:
        """Connect; called once, when the run has started."""

    def hears(self) -> dict[type[Message], Handler]:
        """Messages of the run that it wants to be handed: a simulated venue, market data; a real one, nothing."""

    def send(self, order: Order) -> None:
        """Give an order."""

    def cancel(self, order_id: str, reason: str) -> None:
        """Ask to cancel what is left of an order."""

    def replace(self, order: Order) -> None:
        """Ask to put new terms in place of the order's of the same id."""

    def ask(self, order_id: str) -> None:
        """Ask what became of an order; the venue says it."""

    def close(self) -> None:
        """Disconnect; orders that work stay where they are."""


class VenueConfig(StrictModel):
    """`venue`: its `class`, one of ours or the dotted path of a class of the user's; the other keys are its own."""

    class_name: str = Field(default="SimulatedBroker", alias="class")
    model_config: ClassVar = {**StrictModel.model_config, "extra": "allow"}

    @property
    def own(self) -> dict[str, Any]:
        """The venue's own keys."""
        return dict(self.model_extra or {})


_ORDERS: Final = (SubmitOrder, SubmitCancel, SubmitReplace)
_BROKERS: Final[dict[str, type[BrokerBase]]] = {
    "SimulatedBroker": LiveSimulatedBroker,
    "PassthroughBroker": PassthroughBroker,
}


class SimulatedVenue:
    """A broker of ours as a venue: it executes nothing outside of this process."""

    is_real = False
    blocks = False

    def __init__(self, broker: BrokerBase) -> None:
        self._broker = broker
        self.name = f"{type(broker).__name__.removeprefix('Live')}, simulated"
        self.says = tuple(broker.emits)

    def open(self, context: RunContext, say: Emit, clock: Clock) -> None:
        """Begin without orders."""
        self._broker.initialize(context, say, clock)
        self._broker.start()

    def hears(self) -> dict[type[Message], Handler]:
        """All that the broker takes but orders: these are sent to it."""
        return {kind: handler for kind, handler in self._broker.handlers().items() if kind not in _ORDERS}

    def send(self, order: Order) -> None:
        """Give an order."""
        self._broker.execute_order(order)

    def cancel(self, order_id: str, reason: str) -> None:
        """Cancel what is left of an order."""
        self._broker.cancel_order(order_id, reason)

    def replace(self, order: Order) -> None:
        """Put new terms in place of an order's."""
        self._broker.replace_order(order)

    def ask(self, order_id: str) -> None:
        """Nothing is ever in doubt here."""

    def close(self) -> None:
        """Stop the broker."""
        self._broker.stop()


def make_venue(name: str, config: VenueConfig) -> LiveVenue:
    """The venue that a configuration names, for the broker `name`.

    Raises:
        ValueError: there is no such class, it cannot be imported, or does not take these keys.
    """
    broker = _BROKERS.get(config.class_name)
    if broker is not None:
        try:
            return SimulatedVenue(broker(name, config.own))
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ValueError(f"{config.class_name}: {faults}") from error
    try:
        return _imported(config.class_name)(name, config.own)
    except (ImportError, AttributeError, TypeError) as error:
        known = ", ".join(_BROKERS)
        raise ValueError(
            f"{config.class_name!r} is none of {known}, nor a class that can be made by its dotted path: {error}"
        ) from error


def _imported(path: str) -> Callable[[str, dict[str, Any]], LiveVenue]:
    import importlib

    module, _, attribute = path.rpartition(".")
    if not module:
        raise ImportError(f"there is no venue {path!r}")
    made: Callable[[str, dict[str, Any]], LiveVenue] = getattr(importlib.import_module(module), attribute)
    return made
