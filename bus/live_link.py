"""What the live bus asks of the ways to its hosts: nobody is waited for.

The bus runs in one thread. What a host's components emit reaches it in one of two ways: a link in this process calls
`receive` from whatever thread the host runs in; the link over ZeroMQ, whose sockets belong to the bus's thread, is a
`PolledLink`, and the bus waits in its `poll`. The course of one round:

    outputs = what `receive` was given + what `poll` returned
    sequence all of them, append all, flush the log once          (group commit)
    `deliver` the batch to every link                             (append before publish)
    `acknowledge` on every link
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from bus.runtime.runner import Output
from bus.wave import Sequenced

Receive = Callable[[list[Output]], None]
"""Takes outputs from any thread and returns at once. Each source's outputs come in the order of their emission."""


class LiveLink(Protocol):
    """The way to one or more hosts in the live discipline."""

    def start(self, receive: Receive) -> None:
        """Begin to take what the hosts emit by themselves; called once, in the bus's thread, before anything else."""

    def deliver(self, batch: Sequence[Sequenced]) -> None:
        """Hand over records that are in the log, in their order. Never waits for a host, however slow it is."""

    def acknowledge(self) -> None:
        """All outputs that this link has passed on so far have their place in the log."""

    def lag(self) -> int:
        """How many of the records delivered the slowest host has not yet served, as far as is known."""

    def finish(self, timeout_s: float) -> bool:
        """Wait until every host has served all that was delivered, and has passed on all that it emitted.

        What came in meanwhile has been given to `receive`, or is what the next `poll` returns; the bus sequences it and
        calls again until nothing more comes. False when some host did not get that far within `timeout_s`.

        Raises:
            ComponentError: a host failed or died.
        """


class PolledLink(LiveLink, Protocol):
    """A link whose outputs are fetched in the bus's own thread."""

    def poll(self, timeout_s: float) -> list[Output]:
        """All outputs that have arrived; waits at most `timeout_s` for the first, 0 looks only.

        Returns early, perhaps with nothing, when `wake` was called.

        Raises:
            ComponentError: a host failed or died.
            ProtocolError: a host broke the rules; names it.
        """

    def wake(self) -> None:
        """Let `poll` return, the present or the next one; called from any thread by whoever has work for the bus."""
