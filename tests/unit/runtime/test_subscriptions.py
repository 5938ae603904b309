"""Subscriptions of one owner, and the small bus for components that are wired by hand."""

from __future__ import annotations

import pytest

from bus.runtime.subscriptions import EventBus, SubscriptionManager
from schemas import EventType, Fill, Order, Signal
from tests.support.builders import a_fill, a_signal, an_order


def test_every_event_type_has_its_messages_delivered():
    bus, heard = EventBus(), []
    manager = SubscriptionManager(bus)
    manager.subscribe(EventType.ORDER, heard.append)
    manager.subscribe(Fill, heard.append)
    for message in (an_order(), a_signal(), a_fill()):
        bus.publish(message)
    assert [type(message) for message in heard] == [Order, Fill]


def test_handlers_are_called_in_order_of_subscribing_and_once_each():
    bus, heard = EventBus(), []
    first, second = (lambda _: heard.append("first")), (lambda _: heard.append("second"))
    for handler in (first, second, first):
        bus.subscribe(EventType.ORDER, handler)
    bus.publish(an_order())
    assert heard == ["first", "second"]


def test_what_a_handler_publishes_comes_after_what_it_handles():
    bus, heard = EventBus(), []
    bus.subscribe(Signal, lambda _: bus.publish(an_order()))
    bus.subscribe(Signal, heard.append)
    bus.subscribe(Order, heard.append)
    bus.publish(a_signal())
    assert [type(message) for message in heard] == [Signal, Order]


def test_a_handler_that_raises_ends_the_delivery_and_leaves_the_bus_usable():
    bus, heard = EventBus(), []

    def refuse(_: Signal) -> None:
        bus.publish(an_order())
        raise KeyError

    bus.subscribe(Signal, refuse)
    bus.subscribe(Order, heard.append)
    with pytest.raises(KeyError):
        bus.publish(a_signal())
    assert heard == []
    bus.publish(an_order())
    assert len(heard) == 1


def test_unsubscribing_ends_one_subscription_or_all_of_ones_own():
    bus, mine, others = EventBus(), [], []
    manager, other = SubscriptionManager(bus), SubscriptionManager(bus)
    manager.subscribe(EventType.ORDER, mine.append)
    manager.subscribe(EventType.FILL, mine.append)
    other.subscribe(EventType.FILL, others.extend)
    other.subscribe(EventType.FILL, others.append)
    other.unsubscribe(EventType.FILL, others.extend)
    manager.unsubscribe(EventType.ORDER, mine.append)
    bus.publish(an_order())
    manager.unsubscribe_all()
    manager.unsubscribe_all()
    bus.publish(a_fill())
    assert (mine, others) == ([], [a_fill()])


def test_what_was_not_subscribed_cannot_be_unsubscribed():
    with pytest.raises(ValueError, match=r"is not subscribed to <EventType\.ORDER: 'Order'> here"):
        SubscriptionManager(EventBus()).unsubscribe(EventType.ORDER, print)


def test_what_is_no_event_is_refused():
    with pytest.raises(TypeError, match="'ORDER' is neither a message type nor an EventType, of which there are BAR"):
        SubscriptionManager(EventBus()).subscribe("ORDER", print)
