"""Whether the components of a topology fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from bus.runtime.component import COMPONENT_TYPES, EXECUTION_TYPES, Component
from bus.runtime.runner import describe, emitted_types
from bus.runtime.settings import RunContext
from schemas import Bar, CancelOrder, Message, Order, Quote, ReplaceOrder, Signal, StopStream, TimerFired, Trade
from schemas.registry import MESSAGE_TYPES

_ONE_ONLY = ("order_manager", "coordinator")
_MARKET_DATA = frozenset({Bar, Quote, Trade})
_BY_HUB = frozenset(
    message_type
    for type_id, message_type in MESSAGE_TYPES.items()
    if type_id < 20 or message_type in (TimerFired, StopStream)
)


def wiring_faults(components: Mapping[str, Component], context: RunContext, complete: bool) -> list[str]:
    """Every way in which the components do not fit together.

    `complete` is False when some component could not be made at all: then what is missing is not complained of again.
    """
    faults = [*_type_faults(components), *_right_faults(components), *_broker_faults(context)]
    for name, component in components.items():
        try:
            faults += [f"components.{name}.{fault}" for fault in component.faults(context)]
        except Exception as error:
            faults.append(f"components.{name}: its own check failed: {describe(error)}")
    if complete:
        faults += _reach_faults(components)
        faults += _count_faults(components)
    return faults


def publishers(components: Mapping[str, Component]) -> dict[type[Message], list[str]]:
    """Message type to the names of the components that may publish it."""
    result: dict[type[Message], list[str]] = {}
    for name, component in components.items():
        for message_type in emitted_types(component):
            result.setdefault(message_type, []).append(name)
    return result


def _type_faults(components: Mapping[str, Component]) -> Iterator[str]:
    for name, component in components.items():
        if component.component_type not in COMPONENT_TYPES:
            known = ", ".join(COMPONENT_TYPES)
            yield f"components.{name}: its class says it is a {component.component_type!r}; known types are {known}"


def _right_faults(components: Mapping[str, Component]) -> Iterator[str]:
    """The execution side hears orders, never signals; and only risk gives orders."""
    for name, component in components.items():
        if component.component_type in EXECUTION_TYPES and Signal in component.handlers():
            yield (
                f"components.{name}: a {component.component_type} takes Signal; the execution side acts on "
                "orders only, and signals are for risk"
            )
        for message_type in (Order, CancelOrder, ReplaceOrder):
            if message_type in component.emits and component.component_type != "risk_manager":
                yield (
                    f"components.{name}: a {component.component_type} publishes {message_type.__name__}; "
                    "only a risk_manager may"
                )


def _broker_faults(context: RunContext) -> Iterator[str]:
    """One symbol, one broker."""
    everything = [name for name, symbols in context.brokers.items() if not symbols]
    if len(everything) > 1:
        yield (
            f"components.{everything[1]}: brokers {' and '.join(everything)} both serve every symbol; "
            "give each its own, as symbols: [AAPL, MSFT]"
        )
    served = Counter(symbol for symbols in context.brokers.values() for symbol in symbols)
    for symbol in sorted(s for s, count in served.items() if count > 1):
        names = [name for name, symbols in context.brokers.items() if symbol in symbols]
        yield f"components.{names[1]}.symbols: {symbol} is served by {' and '.join(names)}; one symbol has one broker"
    if not everything and context.brokers:
        for symbol in context.run.symbols:
            if symbol not in served:
                yield f"backtest.symbols: no broker serves {symbol}; served are {', '.join(sorted(served))}"


def _reach_faults(components: Mapping[str, Component]) -> Iterator[str]:
    """Whoever waits for a message that nobody sends waits for ever."""
    said = {*publishers(components), *_BY_HUB}
    for name, component in components.items():
        takes = component.handlers().keys()
        # Bars, quotes and trades stand in for each other: one of them is enough.
        without = _MARKET_DATA if takes & _MARKET_DATA & said else frozenset()
        for message_type in takes:
            if message_type not in said | component.optional | without:
                yield (
                    f"components.{name}: takes {message_type.__name__}, which no component of this topology publishes"
                    f"{_who_could(message_type)}"
                )


def _who_could(message_type: type[Message]) -> str:
    by_type = {Signal: "a strategy", Order: "a risk_manager"}
    who = by_type.get(message_type)
    return f"; add {who} under 'components'" if who else ""


def _count_faults(components: Mapping[str, Component]) -> Iterator[str]:
    for component_type in _ONE_ONLY:
        names = [name for name, component in components.items() if component.component_type == component_type]
        if len(names) > 1:
            yield f"components.{names[1]}: a run has one {component_type}, and {names[0]} is it already"
