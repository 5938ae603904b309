"""Playing a log in a terminal: the keyboard, the clock, and what is printed."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from bus.log_reader import LogReader
from bus.record import Record
from deploy.cli.log import as_json_text, line_of
from deploy.log_tools import Filter, describe, parse_time
from deploy.replay.playback import KEYS, Player, Point

_STEP_KEYS = {"\x1b[C": "s", "\x1bOC": "s", ".": "s", "n": "s"}
_SEQ_BELOW = 10**15
"""Integers from here on are times in ns: the first 11 days of 1970 are nobody's data."""
_LONGEST_WAIT_S = 3600.0


class Speed(click.ParamType[float]):
    """A speed on the command line: 10x, 0.5, 0 for as fast as possible."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of the log a second."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)x?", str(value))
        if match is None:
            self.fail(f"{value!r} is not a speed; write 1x, 10x, 0.5x, or 0 for as fast as possible", param, ctx)
        return float(match[1])


class PointType(click.ParamType[Point]):
    """A place in a log on the command line: a seq, or a time (ISO 8601, or integer ns)."""

    name = "seq|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Point:
        """The place."""
        if isinstance(value, Point):
            return value
        text = str(value)
        if text.isdigit() and int(text) < _SEQ_BELOW:
            return Point(seq=int(text))
        try:
            return Point(ts=parse_time(text))
        except ValueError:
            self.fail(f"{value!r} is neither a seq nor a time (ISO 8601, or integer ns)", param, ctx)


@dataclass
class Keyboard:
    """Keys from a file descriptor, real time. `fd` is -1 when nobody can press any."""

    fd: int
    _typed: str = ""
    """What was read and is not yet taken: keys may be pressed faster than they are looked at."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def wait(self, until: float | None) -> str | None:
        """See `PlaybackClock`."""
        if self._typed:
            return self._take()
        if self.fd < 0:
            if until is None:
                raise EOFError
            time.sleep(max(0.0, until - self.now()))
            return None
        while True:
            left = _LONGEST_WAIT_S if until is None else min(_LONGEST_WAIT_S, max(0.0, until - self.now()))
            if select.select([self.fd], [], [], left)[0]:
                self._typed = os.read(self.fd, 64).decode(errors="replace")
                if not self._typed:
                    self.fd = -1
                return self.wait(until)
            if until is not None and self.now() >= until:
                return None

    def _take(self) -> str:
        sequence = re.match(r"\x1b[\[O]?[0-9;]*[A-Za-z~]?|.", self._typed, re.DOTALL)
        assert sequence is not None
        self._typed = self._typed[sequence.end() :]
        return _STEP_KEYS.get(sequence[0], sequence[0][0])


@contextlib.contextmanager
def keyboard(wants_keys: bool) -> Iterator[Keyboard]:
    """The terminal's keys, one by one; without a terminal standard input's, when the playback waits for keys at all."""
    fd = -1 if sys.stdin is None else sys.stdin.fileno()
    if fd < 0 or not os.isatty(fd):
        yield Keyboard(fd if wants_keys else -1)
        return
    saved = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield Keyboard(fd)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, saved)


_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--play", is_flag=True, help="Play: print records at the pace of their times."),
    click.option("--speed", type=Speed(), help="Play: 1x by default; 10x, 0.5x, 0 as fast as possible."),
    click.option("--from", "start", type=PointType(), help="Play: first record shown, by seq or time."),
    click.option("--to", "end", type=PointType(), help="Play: last record, by seq or time."),
    click.option("--types", multiple=True, help="Play: only these message types (A,B or repeated)."),
    click.option("--sources", multiple=True, help="Play: only what these components, or hub, published."),
    click.option("--step", is_flag=True, help="Play: one record at each press of s."),
    click.option("--pause-at", multiple=True, type=PointType(), help="Play: pause before this place. Repeatable."),
    click.option("--loop", is_flag=True, help="Play: again and again, until q."),
    click.option("--start-paused", is_flag=True, help="Play: begin paused."),
)


def playback_options(function: _F) -> _F:
    """The options of playing."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def wants_playback(options: dict[str, Any]) -> bool:
    """Whether any option of playing was given."""
    flags = ("play", "start", "end", "types", "sources", "step", "pause_at", "loop", "start_paused")
    return options["speed"] is not None or any(options[name] for name in flags)


def make_player(clock: Keyboard, options: dict[str, Any], as_json: bool) -> Player:
    """The player that the options describe: records go to standard output, what keys did to standard error."""

    def show(reader: LogReader, record: Record) -> None:
        described = describe(reader, record)
        click.echo(as_json_text(described) if as_json else line_of(described))

    player = Player(
        clock=clock,
        show=show,
        speed=1.0 if options["speed"] is None else options["speed"],
        wanted=Filter(types=_names(options["types"]), sources=_names(options["sources"])),
        start=options["start"],
        end=options["end"],
        pause_at=options["pause_at"],
        paused=options["step"] or options["start_paused"],
        say=lambda text: click.echo(f"[{text}]", err=True),
    )
    if player.paused:
        player.say(f"paused: {KEYS}")
    return player


def _names(values: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name.strip() for value in values for name in value.split(",") if name.strip())
