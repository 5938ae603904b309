"""Timers, and what edges say of the world outside."""

from __future__ import annotations

from schemas.base import Message
from schemas.enums import EdgeEvent


class SetTimer(Message, frozen=True, array_like=True, gc=False):
    """Component to the hub: tell me when it is `ts` (ns UTC). Setting a timer that is set already moves it.

    `timer_id` is the component's own: two components may use the same one.
    """

    timer_id: str
    ts: int


class CancelTimer(Message, frozen=True, array_like=True, gc=False):
    """Component to the hub: forget this timer; one that is not set, or has fired, is let be."""

    timer_id: str


class TimerFired(Message, frozen=True, array_like=True, gc=False):
    """From the hub: it is `ts` (ns UTC), for which `component` had set its timer `timer_id`.

    Live, the hub's clock has reached `ts`. Otherwise it comes before the first message from outside that is later than
    `ts`; of several in the order of `ts`, then of being set. When nothing later comes it does not fire.
    """

    component: str
    timer_id: str
    ts: int


class StopStream(Message, frozen=True, array_like=True, gc=False):
    """From the hub, in live runs: this data source ends its stream now, and says so by `EndOfStream`."""

    source: str


class EdgeReport(Message, frozen=True, array_like=True, gc=False):
    """What a component that touches the world outside says of its connection, and of what it refused.

    `subject` is what it is about (an address, a file, an order id), `count` how often it has happened in this run.
    """

    component: str
    event: EdgeEvent
    subject: str
    reason: str = ""
    count: int = 1
