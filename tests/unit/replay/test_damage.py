"""Damaged logs: whatever is asked of them, the answer is right or there is a clear error."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import LogError
from bus.log import LogWriter
from bus.log_format import SEGMENT_HEAD_SIZE
from bus.log_reader import DigestError, LogReader
from bus.log_repair import repair
from deploy.log_tools import Filter, matching, summarise
from deploy.replay.capture import open_capture
from deploy.replay.consequences import outcome_of
from deploy.replay.differences import difference
from deploy.replay.planning import plan_replay
from deploy.replay.reexecution import reexecute
from deploy.replay.stats import statistics_of
from deploy.replay.why import explain
from schemas import Bar, Fill, TypeDeclared
from schemas.codec import encode
from schemas.registry import TYPE_IDS
from tests.support.builders import a_bar
from tests.support.captures import captured, rewritten

NAME = "00000000000000000001.admflog"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return Path(captured(tmp_path_factory.mktemp("run"), "components.bars.count=12").run_dir)


@pytest.fixture(scope="module")
def data(run) -> bytes:
    return (run / "log" / NAME).read_bytes()


def replayed(path: Path):
    capture = open_capture(path)
    return reexecute(capture, plan_replay(capture), lambda: None)


QUESTIONS: dict[str, Callable[[Path], Any]] = {
    "info": summarise,
    "verify": lambda path: LogReader(path).verify(),
    "cat": lambda path: list(matching(LogReader(path, check_digest=False), Filter())),
    "stats": statistics_of,
    "why": lambda path: explain(path, "risk-1"),
    "outcome": outcome_of,
    "diff": lambda path: difference(path, path),
}


def written(folder: Path, data: bytes, name: str = NAME) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder


@settings(max_examples=40, deadline=None)
@given(draw=st.data())
def test_a_flipped_bit_is_an_error_to_every_question_or_a_torn_tail(draw, tmp_path_factory, data):
    harmed = bytearray(data)
    harmed[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    path = written(tmp_path_factory.mktemp("flip"), bytes(harmed))
    torn = LogReader(path)
    try:
        torn.verify()
    except DigestError:
        # It is the digest that is damaged, and the records are proven by their checksum: who only shows them may.
        assert len(QUESTIONS["cat"](path)) == torn.records
        for question in ("info", "verify", "stats", "outcome"):
            with pytest.raises(DigestError):
                QUESTIONS[question](path)
    except LogError:
        for question in ("info", "verify", "cat", "stats", "outcome", "diff"):
            with pytest.raises(LogError):
                QUESTIONS[question](path)
        with pytest.raises(LogError):
            replayed(path)
    else:
        # Only in the last record can damage look like a writer that was killed.
        assert torn.torn_bytes
        assert not torn.closed
        result = replayed(path)
        assert result.divergence is None
        assert not result.is_whole


def test_a_log_cut_at_any_byte_replays_what_is_whole_or_says_that_there_is_nothing(data, tmp_path_factory):
    for length in [*range(0, 200, 13), *range(200, len(data), 1999), *range(len(data) - 120, len(data), 3)]:
        path = written(tmp_path_factory.mktemp("cut"), data[:length])
        try:
            result = replayed(path)
        except LogError as error:
            assert str(path) in str(error)
            continue
        assert result.divergence is None
        assert not result.is_whole
        assert any("breaks off after seq" in note for note in result.notes)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the file ends within the segment's head"),
        (b"hello, this is not a log at all, though it is long enough to be one, is it not", "not a message log"),
        (b"\0" * 4096, "not a message log"),
        (b"ADMFLOG\x01" + b"\xff" * 400, "log version"),
    ],
)
@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_not_a_log_is_called_so(tmp_path, content, text, question):
    with pytest.raises(LogError, match=text):
        QUESTIONS[question](written(tmp_path, content))
    with pytest.raises(LogError, match=text):
        replayed(tmp_path)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_folder_without_a_log_and_a_path_without_a_folder_are_said_to_be_so(tmp_path, question):
    with pytest.raises(LogError, match="holds no message log"):
        QUESTIONS[question](tmp_path)
    with pytest.raises(LogError, match="no such file or folder"):
        QUESTIONS[question](tmp_path / "nothing")


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_missing_segment_is_an_error_unless_it_is_the_last(run, tmp_path, lost):
    log = LogWriter(tmp_path / "log", segment_bytes=3500)
    for r in LogReader(run):
        log.append(r.seq, r.ts, r.source_seq, r.cause, r.source, r.type_id, r.payload)
    log.close()
    segments = sorted((tmp_path / "log").iterdir())
    assert len(segments) == 3
    segments[lost].unlink()
    if lost == 2:
        assert not replayed(tmp_path).is_whole
        return
    with pytest.raises(LogError, match=r"a segment is missing|the segments before it are missing"):
        replayed(tmp_path)


def test_a_length_that_cannot_be_is_refused_before_anything_is_read_for_it(data, tmp_path):
    harmed = bytearray(data)
    harmed[SEGMENT_HEAD_SIZE : SEGMENT_HEAD_SIZE + 4] = (2**32 - 1).to_bytes(4, "little")
    with pytest.raises(LogError, match="more than the 67108864 allowed"):
        replayed(written(tmp_path, bytes(harmed)))


def test_sound_bytes_that_mean_nothing_are_an_error_and_no_crash(run, tmp_path):
    nonsense = rewritten(
        run, tmp_path / "a", lambda rs: [r._replace(payload=b"\xc1") if r.type_id == TYPE_IDS[Bar] else r for r in rs]
    )
    with pytest.raises(LogError, match="does not fit its type"):
        replayed(nonsense)
    nonsense = rewritten(
        run, tmp_path / "b", lambda rs: [r._replace(payload=b"\x90") if r.type_id == TYPE_IDS[Fill] else r for r in rs]
    )
    with pytest.raises(LogError, match="does not fit its type"):
        outcome_of(nonsense)
    assert summarise(nonsense).records > 0
    log = LogWriter(tmp_path / "c")
    log.append(1, 0, 1, 0, 0, TYPE_IDS[TypeDeclared], b"\x01")
    log.close()
    with pytest.raises(LogError, match="declares nothing that can be read"):
        summarise(tmp_path / "c")


@pytest.mark.parametrize("lacking", [0.1, 0.15, 0.2, 0.25, 0.3])
def test_a_repaired_run_is_replayed_to_where_it_was_cut(run, data, tmp_path, lacking):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "log" / NAME).write_bytes(data[: -int(len(data) * lacking)])
    assert repair(tmp_path / "run", tmp_path / "new") is not None
    result = replayed(tmp_path / "new")
    assert result.divergence is None
    assert not result.is_whole
    assert any("was cut after seq" in note for note in result.notes)


def test_a_record_of_many_megabytes_is_read_and_one_that_is_too_long_is_not_written(tmp_path):
    log = LogWriter(tmp_path)
    payload = encode(a_bar(symbol="X" * 3_000_000))
    log.append(1, 0, 1, 0, 1, TYPE_IDS[Bar], payload)
    with pytest.raises(LogError, match="more than the 67108864 allowed"):
        log.append(2, 0, 2, 0, 1, TYPE_IDS[Bar], b"x" * (64 * 1024 * 1024 + 1))
    log.close()
    assert [r.payload for r in LogReader(tmp_path)] == [payload]
