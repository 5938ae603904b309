"""The course of a live run: it begins like every run, and ends when its streams have ended or somebody ends it.

Declarations and `RunStarted` come first; the sources begin when the coordinator asks for them (`StartStream`). When all
have ended, or the run is to end, the hub tells those that still stream to stop (`StopStream`) and goes on until
nothing is under way any more; then it says `Drained` as often as the coordinator needs it to finish.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bus.conductor import MAX_ROUNDS, Progress
from bus.errors import ProtocolError
from bus.live import LiveBus
from bus.topics import Wiring
from schemas import (
    Bar,
    Checkpoint,
    Drained,
    EndOfStream,
    Quote,
    RunCompleted,
    RunStarted,
    StartStream,
    StopStream,
    Trade,
)
from schemas.registry import TYPE_IDS

END_OF_DATA: Final = "end of data"
CHECKPOINT_EVERY: Final = 8192
"""Messages of the market between two of the hub's checkpoints: fewer than in a backtest, as they take hours to come."""
_TURN_S: Final = 0.1
_PROGRESS_S: Final = 0.1
_MARKET_DATA_IDS: Final = [TYPE_IDS[message_type] for message_type in (Bar, Quote, Trade)]


@dataclass
class LiveConductor:
    """Takes a live run from its first record to its last.

    `why_over` is asked between rounds why the run is to end now; nothing: it goes on. `timeout_s` is how long the
    components may take to come to an end then. `ended_by` is why it has ended, once it has.
    """

    bus: LiveBus
    wiring: Wiring
    run_started: RunStarted
    why_over: Callable[[], str]
    timeout_s: float
    progress: Progress | None = None
    running: Callable[[], None] = lambda: None
    """Called once, when the components have heard `RunStarted`."""
    ended_by: str = ""
    _streaming: dict[str, None] = field(default_factory=dict)
    _has_streamed: bool = False
    _completed: list[RunCompleted] = field(default_factory=list)
    _told: float = 0.0
    _checked: int = 0
    """Messages of the market at the last checkpoint."""

    def run(self) -> RunCompleted:
        """Run to the end.

        Raises:
            ComponentError: a component failed, or did not come to an end.
            ProtocolError: the coordinator asks for a source that is not there, or never completes the run.
        """
        bus = self.bus
        bus.tap(StartStream, self._on_start_stream)
        bus.tap(EndOfStream, self._on_end_of_stream)
        bus.tap(RunCompleted, self._completed.append)
        bus.declare(self.wiring.declarations())
        bus.publish(self.run_started)
        self.running()
        while not self._is_over():
            bus.turn(_TURN_S)
            self._take_stock()
        self._stop_streams()
        for round_number in range(1, MAX_ROUNDS + 1):
            bus.settle(self.timeout_s)
            bus.publish(Drained(round_number))
            bus.settle(self.timeout_s)
            if self._completed:
                return self._completed[0]
        raise ProtocolError(
            f"all streams have ended and nothing is under way, but after {MAX_ROUNDS} rounds of Drained no component "
            "has published RunCompleted: does the topology have a coordinator?"
        )

    def _is_over(self) -> bool:
        self.ended_by = self.why_over() or (END_OF_DATA if self._has_streamed and not self._streaming else "")
        return bool(self.ended_by)

    def _stop_streams(self) -> None:
        for source in self._streaming:
            self.bus.publish(StopStream(source))
        deadline = time.monotonic() + self.timeout_s
        while self._streaming:
            self.bus.turn(_TURN_S)
            if time.monotonic() > deadline:
                raise ProtocolError(f"{', '.join(self._streaming)} did not end within {self.timeout_s:g} s")

    def _on_start_stream(self, message: StartStream) -> None:
        sources = sorted(m.component.name for m in self.wiring.members if m.component.component_type == "data_handler")
        if message.source not in sources:
            raise ProtocolError(f"StartStream names {message.source!r}; the data sources of this run are {sources}")
        self._streaming[message.source] = None
        self._has_streamed = True

    def _on_end_of_stream(self, message: EndOfStream) -> None:
        self._streaming.pop(message.source, None)

    def _take_stock(self) -> None:
        """Say how far the run is; a checkpoint is due every so many messages of the market."""
        count = sum(self.bus.counts.get(type_id, 0) for type_id in _MARKET_DATA_IDS)
        if count - self._checked >= CHECKPOINT_EVERY:
            self._checked = count
            self.bus.publish(Checkpoint(count))
        now = time.monotonic()
        if self.progress is not None and now - self._told >= _PROGRESS_S:
            self._told = now
            self.progress(count, 0)
