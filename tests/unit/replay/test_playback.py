"""Playing a log: pace, keys, pauses and bounds, on a clock that is not real."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from bus.log_reader import LogReader
from bus.record import Record
from deploy.cli.playback import Keyboard, PointType, Speed
from deploy.log_tools import Filter
from deploy.replay.playback import PlaybackStopped, Player, Point
from schemas import Bar
from schemas.registry import TYPE_IDS
from tests.support.builders import DAY_NS, T0
from tests.support.captures import captured
from tests.support.launching import admf

DAY_S = 86_400.0


@dataclass
class FakeClock:
    """Time passes only by waiting; keys are pressed at given moments."""

    keys: list[tuple[float, str]] = field(default_factory=list)
    time: float = 1000.0

    def now(self) -> float:
        return self.time

    def wait(self, until: float | None) -> str | None:
        if self.keys and (until is None or self.keys[0][0] <= until):
            moment, key = self.keys.pop(0)
            self.time = max(self.time, moment)
            return key
        if until is None:
            raise EOFError
        self.time = max(self.time, until)
        return None


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Ten bars, one a day, and what followed from them."""
    return Path(captured(tmp_path_factory.mktemp("run"), "components.bars.count=10").run_dir)


@dataclass
class Shown:
    """What a player showed, and when."""

    clock: FakeClock
    records: list[tuple[float, Record]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def show(self, _reader: LogReader, record: Record) -> None:
        self.records.append((self.clock.time - 1000.0, record))

    @property
    def bars(self) -> list[float]:
        return [moment for moment, record in self.records if record.type_id == TYPE_IDS[Bar]]

    @property
    def seqs(self) -> list[int]:
        return [record.seq for _, record in self.records]


def played(run: Path, keys: Sequence[tuple[float, str]] = (), **options) -> tuple[Shown, list[Record]]:
    """What was shown, and all records that were handed on."""
    clock = FakeClock([(1000.0 + moment, key) for moment, key in keys])
    shown = Shown(clock)
    player = Player(clock, shown.show, say=shown.said.append, **options)
    handed: list[Record] = []
    try:
        for records in player.play(LogReader(run)):
            handed += records
    except PlaybackStopped as stopped:
        shown.said.append(str(stopped))
    return shown, handed


def test_records_come_at_the_pace_of_their_times_and_in_the_order_of_seq(run):
    shown, handed = played(run)
    assert shown.bars == [n * DAY_S for n in range(10)]
    assert shown.seqs == [r.seq for r in handed] == list(range(1, len(handed) + 1))


@pytest.mark.parametrize(("speed", "pace"), [(10.0, DAY_S / 10), (0.5, DAY_S * 2), (86_400.0, 1.0), (0.0, 0.0)])
def test_a_speed_makes_it_faster_or_slower_and_zero_does_not_wait(run, speed, pace):
    shown, _ = played(run, speed=speed)
    assert shown.bars == pytest.approx([n * pace for n in range(10)])


def test_from_and_to_by_time_or_seq_bound_what_is_shown_and_what_comes_before_is_handed_on_at_once(run):
    shown, handed = played(run, start=Point(ts=T0 + 3 * DAY_NS), end=Point(ts=T0 + 5 * DAY_NS))
    assert shown.bars == [0.0, DAY_S, 2 * DAY_S]
    assert [r.seq for r in handed] == list(range(1, len(handed) + 1))
    assert shown.said == [f"stopped after seq {handed[-1].seq}: the end that was asked for"]
    shown, _ = played(run, start=Point(seq=20), end=Point(seq=23))
    assert shown.seqs == [20, 21, 22, 23]


def test_types_and_sources_choose_what_is_shown_and_everything_is_handed_on(run):
    shown, handed = played(run, wanted=Filter(types=frozenset({"Fill", "Order"}), sources=frozenset({"broker"})))
    reader = LogReader(run)
    assert {reader.type_name(r.type_id) for r in list(reader)} >= {"Fill", "Order"}
    assert len(shown.records) == 3
    assert handed[-1].seq == reader.last_seq


def test_space_pauses_and_resumes_and_the_pause_is_not_made_up_for(run):
    shown, _ = played(run, [(1.5 * DAY_S, " "), (11.5 * DAY_S, " ")])
    # The second bar came after a day; the third's time begins anew when the playback resumes.
    assert shown.bars[:3] == [0.0, DAY_S, 11.5 * DAY_S]
    assert shown.bars[3] == 12.5 * DAY_S
    assert shown.said[0].startswith("paused before seq ")
    assert shown.said[1] == "playing"


def test_s_steps_one_record_at_a_time_while_paused(run):
    shown, _ = played(run, [(1.0, "s"), (2.0, "s"), (3.0, "s"), (9.0, "q")], paused=True)
    assert [moment for moment, _ in shown.records] == [1.0, 2.0, 3.0]
    assert shown.said[-1] == "stopped after seq 3: somebody quit"


def test_plus_and_minus_change_the_speed_from_that_moment_on(run):
    shown, _ = played(run, [(0.5 * DAY_S, "+")])
    # Half of the first day at 1x, the other half and all others at 2x.
    assert shown.bars[1] == pytest.approx(0.75 * DAY_S)
    assert shown.bars[2] == pytest.approx(1.25 * DAY_S)
    assert shown.said == ["speed 2x"]
    slower, _ = played(run, [(0.5 * DAY_S, "-")])
    assert slower.bars[1] == pytest.approx(1.5 * DAY_S)


def test_pause_at_pauses_before_a_seq_or_a_time_once(run):
    shown, _ = played(run, [(5 * DAY_S, " ")], pause_at=[Point(ts=T0 + 2 * DAY_NS)])
    assert shown.bars[:3] == [0.0, DAY_S, 5 * DAY_S]
    shown, _ = played(run, [(7.0, "q")], speed=0.0, pause_at=[Point(seq=30)])
    assert shown.seqs[-1] == 29


def test_another_key_tells_the_keys(run):
    assert played(run, [(10.0, "x"), (11.0, "q")])[0].said[0].startswith("space pauses")


def test_a_pause_that_nobody_can_end_is_not_waited_for(run):
    with pytest.raises(EOFError):
        played(run, paused=True)


def test_played_again_it_begins_anew(run):
    clock = FakeClock()
    shown = Shown(clock)
    player = Player(clock, shown.show, speed=0.0, pause_at=())
    once = [r for records in player.play(LogReader(run)) for r in records]
    assert [r for records in player.play(LogReader(run)) for r in records] == once


def test_keys_are_taken_one_by_one_however_fast_they_are_pressed_and_then_nobody_is_there():
    read, write = os.pipe()
    os.write(write, b"s \x1b[Cs\x1b[A+q")
    os.close(write)
    keys = Keyboard(read)
    assert [keys.wait(None) for _ in range(7)] == ["s", " ", "s", "s", "\x1b", "+", "q"]
    with pytest.raises(EOFError):
        keys.wait(None)
    assert keys.wait(keys.now()) is None
    os.close(read)


@pytest.mark.parametrize(("text", "speed"), [("10x", 10.0), ("0", 0.0), ("0.5x", 0.5), ("3", 3.0)])
def test_speeds_are_written_as_a_person_would(text, speed):
    assert Speed().convert(text, None, None) == speed


@pytest.mark.parametrize("text", ["fast", "-1x", "x", "1e3"])
def test_what_is_no_speed_is_refused(text):
    with pytest.raises(click.BadParameter, match=r"is not a speed; write 1x, 10x, 0\.5x, or 0"):
        Speed().convert(text, None, None)


def test_places_are_a_seq_or_a_time():
    convert = PointType().convert
    assert convert("930", None, None) == Point(seq=930)
    assert convert("2020-01-02", None, None) == convert(str(T0), None, None) == Point(ts=T0)
    with pytest.raises(click.BadParameter, match="neither a seq nor a time"):
        convert("yesterday", None, None)


def test_the_command_plays_from_to_with_types_and_feeds_components(run, tmp_path):
    done = admf("replay", str(run), "--speed", "0", "--types", "Fill", "--component", "all", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [" Fill fill_id=broker-" in line for line in lines[:3]] == [True] * 3
    assert "Equal: every output is as recorded" in lines[-1]


def test_the_command_refuses_a_pause_without_a_keyboard(run, tmp_path):
    done = admf("replay", str(run), "--start-paused", folder=tmp_path)
    assert done.returncode == 1
    assert "no key can come" in done.stderr


def test_the_command_loops_between_its_bounds_until_somebody_quits(run, tmp_path):
    options = ("--loop", "--step", "--from", "2", "--to", "3", "--speed", "0")
    done = admf("replay", str(run), *options, folder=tmp_path, keys="sssssq")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["2", "3", "2", "3", "2"]
    assert "somebody quit" in done.stderr


def test_a_loop_that_shows_nothing_ends(run, tmp_path):
    done = admf("replay", str(run), "--loop", "--speed", "0", "--from", "99999999", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_name_that_the_log_does_not_know_suggests_the_one_that_was_meant(run, tmp_path):
    done = admf("replay", str(run), "--speed", "0", "--types", "Fil", folder=tmp_path)
    assert done.returncode == 1
    assert "the log knows no 'Fil'; did you mean 'Fill'?" in done.stderr
