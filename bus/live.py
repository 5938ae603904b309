"""The live bus: records get their places in the order in which they arrive, and nobody is waited for.

One round: what has come from the hosts is sequenced and stamped with the hub's clock, appended to the log, flushed
once, and only then handed to anybody. That is the gate of architecture: an order that a broker is handed is in the
log, and the flush in `_commit` is where a stricter gate (fdatasync) belongs. Components in the main thread are served
here, and what they answer goes before what arrives later; all others have a link that takes records and never makes
the bus wait.

Live order is whatever it was; what makes a run repeatable is that it is written down. Every component has one inbox
in the order of the log, and its outputs say which record they answer: fed the same records, it gives the same outputs.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bus.errors import ComponentError, ProtocolError
from bus.hosts import serve
from bus.inbox import Inbox
from bus.live_link import LiveLink, PolledLink
from bus.live_watch import Watchdog
from bus.log import Log
from bus.record import encode_record
from bus.runtime.clock import HubClock
from bus.runtime.component import Handler
from bus.runtime.runner import Output, Runner
from bus.sequencer import HUB, Sequencer
from bus.timers import NEVER, TIMER_REQUESTS, TimerQueue
from bus.topics import Wiring
from bus.wave import Sequenced
from schemas import Bar, ComponentFailed, Halt, Message, Quote, Trade
from schemas.codec import encode
from schemas.registry import TYPE_IDS

_SETTLE_S: Final = 0.05
_TIMER_REQUEST_IDS: Final = frozenset(TYPE_IDS[message_type] for message_type in TIMER_REQUESTS)
_MARKET_DATA_IDS: Final = frozenset(TYPE_IDS[message_type] for message_type in (Bar, Quote, Trade))


class LiveBus:
    """Sequences, captures, and delivers as it comes. Everything of it runs in the thread that calls `turn`.

    `inline` serves the components of that thread; `links` lead to the others. `inbox` is what links in this process
    bring their outputs to; a `PolledLink` among the links brings its own.
    """

    def __init__(
        self, wiring: Wiring, links: Sequence[LiveLink], log: Log | None, clock: HubClock, inbox: Inbox
    ) -> None:
        self.counts: dict[int, int] = Counter()
        self.now_ns = 0
        self.timers = TimerQueue()
        self.turns = inbox.turns
        self.inline: Runner | None = None
        self.check: Callable[[], None] = lambda: None
        """Called now and then; raises to break the run off."""
        self._taps: dict[int, Handler] = {}
        self._noticed = set(_TIMER_REQUEST_IDS)
        """Types of which a message concerns the bus itself."""
        self._wiring = wiring
        self._links = links
        self._polled = _polled(links)
        self._log = log
        self._clock = clock
        self._inbox = inbox
        self._sequencer = Sequencer(wiring.rules)
        self._answers: list[Output] = []
        """What the components of this thread have answered; it goes before what has come from elsewhere."""
        self._watchdog = Watchdog(links, self._name)

    def start(self) -> None:
        """Begin to take what the hosts emit."""
        if self._polled is not None:
            self._inbox.wake = self._polled.wake
        for link in self._links:
            link.start(self._inbox.put)

    def tap(self, message_type: type[Message], handler: Handler) -> None:
        """Call `handler` with every message of a type, once it has its place in the log."""
        self._taps[TYPE_IDS[message_type]] = handler
        self._noticed.add(TYPE_IDS[message_type])

    def declare(self, messages: Iterable[Message]) -> None:
        """Sequence messages of the hub that no component takes."""
        self._sequence([Output(0, HUB, TYPE_IDS[type(message)], message) for message in messages])

    def publish(self, message: Message) -> None:
        """Sequence and deliver a message of the hub."""
        self._commit([Output(0, HUB, TYPE_IDS[type(message)], message)])

    def turn(self, timeout_s: float) -> bool:
        """One round with all that has come; waits at most `timeout_s` for the first. Whether there was anything.

        Raises:
            ComponentError: a component failed, or a host died or went silent.
            ProtocolError: a host broke the rules.
        """
        self._watchdog.look(self._look_after)
        # A timer whose time has come goes first. In a recording only data say what time it is: see `_enter`.
        acted = bool(self._answers) or (self.timers.next_ts != NEVER and self._fire(self._clock.now_ns() + 1))
        self._settle_inline()
        is_asked = self.turns.is_asked
        if acted or is_asked:
            timeout_s = 0.0
        elif self.timers.next_ts != NEVER:
            timeout_s = min(timeout_s, self._clock.seconds_until(self.timers.next_ts))
        outputs = self._gather(timeout_s)
        self._enter(outputs)
        self._settle_inline()
        if is_asked and not outputs and not acted and self._is_settled(_SETTLE_S):
            self._grant()
        return bool(outputs) or acted

    def settle(self, timeout_s: float) -> None:
        """Go on until nothing is under way any more.

        Raises:
            ComponentError: a component failed, or some host did not come to an end within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            while self.turn(0.0):
                pass
            if self._is_settled(_SETTLE_S):
                return
            self.check()
            if time.monotonic() > deadline:
                raise ComponentError("hosts", f"did not come to an end within {timeout_s:g} s; is a handler blocked?")

    def hub_time(self) -> int:
        """What time it is (ns UTC), though nothing may come that is stamped with it."""
        return max(self.now_ns, self._clock.now_ns())

    def lag(self) -> int:
        """How many records the slowest host is behind."""
        return max((link.lag() for link in self._links), default=0)

    def fail(self, message: ComponentFailed | Halt) -> None:
        """Record why the run ends before its end; no component hears it any more."""
        self._sequence([Output(0, HUB, TYPE_IDS[type(message)], message)])

    def _look_after(self) -> None:
        """What is to be done now and then."""
        if self._log is not None:
            self._log.flush(sealed=True)
        self.check()

    def _gather(self, timeout_s: float) -> list[Output]:
        polled = self._polled
        if polled is None:
            return self._inbox.take(timeout_s)
        outputs = [] if self._inbox.is_empty else self._inbox.take(0.0)
        return outputs + polled.poll(0.0 if outputs else min(max(timeout_s, 0.0), 3600.0))

    def _enter(self, outputs: list[Output]) -> None:
        """Sequence and deliver what has come, in that order; data may move the clock on, and let timers fire first."""
        batch: list[Output] = []
        for output in outputs:
            if output.type_id in _MARKET_DATA_IDS and not output.cause:
                ts = _ts_of(output)
                if self._only_data_tell(ts):
                    self._commit(batch)
                    batch = []
                    self._settle_inline()
                    self._fire(ts)
                    self._settle_inline()
                self._clock.follow(ts)
                if not self._clock.follows_data:
                    self._watchdog.compare(output.source, ts, self.hub_time)
            batch.append(output)
        self._commit(batch)

    def _grant(self) -> None:
        """Let the next message of a recording come; timers first, one by one, each with all that follows from it."""
        if self._only_data_tell(self.turns.next_ts):
            self._fire(self.turns.next_ts, at_most=1)
        else:
            self.turns.grant()

    def _only_data_tell(self, ts: int) -> bool:
        """Whether a timer is set for a time before `ts`, and only data of that time will say that it has passed."""
        return self.timers.next_ts < ts and self._clock.seconds_until(self.timers.next_ts) == math.inf

    def _fire(self, before: int, at_most: int | None = None) -> bool:
        """Let timers fire that are set for a time before this one; whether there were any."""
        fired = False
        for message in itertools.islice(self.timers.due(before), at_most):
            self.now_ns = max(self.now_ns, message.ts)
            self.publish(message)
            self._settle_inline()
            fired = True
        return fired

    def _settle_inline(self) -> None:
        while self._answers:
            answers, self._answers = self._answers, []
            self._commit(answers)

    def _commit(self, outputs: Sequence[Output]) -> None:
        """Give outputs their places, write them down, and only then let anybody see them."""
        if outputs:
            batch = self._sequence(outputs)
            if self._log is not None:
                self._log.flush()
            for link in self._links:
                link.deliver(batch)
            for link in self._links:
                link.acknowledge()
            if self.inline is not None:
                self._answers += serve(self.inline, batch)

    def _sequence(self, outputs: Iterable[Output]) -> list[Sequenced]:
        """Give outputs their places, all at one time, and append them."""
        self.now_ns = now_ns = max(self.now_ns, self._clock.now_ns())
        append = self._log.append_record if self._log is not None else None
        sequencer, counts, noticed = self._sequencer, self.counts, self._noticed
        offer, epoch, following = sequencer.offer, sequencer.epoch, sequencer.following
        batch = []
        for cause, source, type_id, message, payload in outputs:
            if payload is None:
                assert message is not None
                payload = encode(message)
            if cause > sequencer.head:
                raise ProtocolError(f"{self._name(source)} answered record {cause}; the last one is {sequencer.head}")
            source_seq = following(source)
            seq = offer(source, epoch, source_seq, type_id)
            assert seq is not None
            counts[type_id] += 1
            record = encode_record(seq, now_ns, source_seq, cause, source, type_id, payload)
            if append is not None:
                append(record)
            batch.append(sequenced := Sequenced(seq, now_ns, type_id, source, record, message, payload))
            if type_id in noticed:
                self._notice(sequenced)
        return batch

    def _notice(self, sequenced: Sequenced) -> None:
        message = sequenced.message
        tap = self._taps.get(sequenced.type_id)
        if tap is not None:
            tap(message)
        if isinstance(message, TIMER_REQUESTS):
            self.timers.heed(self._name(sequenced.source), message)

    def _is_settled(self, timeout_s: float) -> bool:
        """Whether every host has served all that was delivered, and nothing has come of it that is not sequenced."""
        if self.timers.next_ts != NEVER and self._clock.seconds_until(self.timers.next_ts) <= 0:
            return False
        if not all(link.finish(timeout_s) for link in self._links):
            return False
        return self._inbox.is_empty and not self._enter_polled()

    def _enter_polled(self) -> bool:
        outputs = self._polled.poll(0.0) if self._polled is not None else []
        self._enter(outputs)
        return bool(outputs)

    def _name(self, source: int) -> str:
        return self._wiring.members[source - 1].component.name if source else "hub"


def _polled(links: Sequence[LiveLink]) -> PolledLink | None:
    polled = [link for link in links if hasattr(link, "poll")]
    assert len(polled) <= 1, "one hub serves all processes"
    return polled[0] if polled else None  # type: ignore[return-value]


def _ts_of(output: Output) -> int:
    message = output.message
    if message is None:
        message = Sequenced(0, 0, output.type_id, output.source, b"", None, output.payload or b"").message
    ts: int = message.ts  # type: ignore[attr-defined]
    return ts
