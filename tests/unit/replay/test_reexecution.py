"""A captured run goes again through its components: equal, or the first difference, in its place."""

from __future__ import annotations

import json
import shutil
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.errors import ConfigError, LogError
from bus.log import LogWriter
from bus.log_reader import LogReader
from bus.record import Record
from bus.replay import Kind
from bus.runtime.modes import ExecutionMode, Isolation, ThreadModel
from deploy.plan import Placement
from deploy.replay.capture import open_capture
from deploy.replay.planning import plan_replay
from deploy.replay.reexecution import ReplayResult, reexecute
from schemas import Bar, EndOfStream, RunStarted
from schemas.codec import decode, encode
from schemas.registry import MESSAGE_TYPES, TYPE_IDS, TYPES_BY_NAME
from tests.support import parts
from tests.support.builders import a_bar
from tests.support.captures import captured, rewritten
from tests.support.launching import ROOT

OTHERS = {"strategy", "risk", "manager", "broker", "sink", "coordinator", "portfolio"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """60 bars, a signal, an order and a fill at every third."""
    return Path(captured(tmp_path_factory.mktemp("run"), "components.bars.count=60").run_dir)


def replayed(path: Path, *only: str, placement: Placement | None = None) -> ReplayResult:
    capture = open_capture(path)
    return reexecute(capture, plan_replay(capture, only, placement), lambda: None)


def records_of(path: Path) -> list[Record]:
    return list(LogReader(path))


def said_by(path: Path, *names: str) -> list[Record]:
    """Records that these components published in answer to something."""
    reader = LogReader(path)
    records = list(reader)
    return [r for r in records if r.cause and (not names or reader.source_name(r.source) in names)]


def leaves(path: Path) -> list[Record]:
    """Answers that nothing was answered to, and which nobody counts on later in the same settlement."""
    causes = {r.cause for r in records_of(path)}
    return [r for r in said_by(path) if r.seq not in causes]


@pytest.mark.parametrize("placement", [None, Placement.THREADS])
def test_a_run_replays_to_the_same_digest_wherever_its_components_run(run, placement):
    result = replayed(run, placement=placement)
    assert result.divergence is None
    assert set(result.executed) == OTHERS
    assert result.taken == ("bars",)
    assert result.compared == len(said_by(run))
    assert result.digest == json.loads((run / "manifest.json").read_text())["digest"]
    assert result.records == len(records_of(run))


@pytest.mark.processes
def test_components_in_processes_replay_a_run_too(run):
    result = replayed(run, "broker", "risk", placement=Placement.PROCESSES)
    assert result.divergence is None
    assert result.compared == len(said_by(run, "broker", "risk"))


@pytest.mark.parametrize("placement", [Placement.THREADS])
def test_a_run_captured_in_another_placement_replays_in_one_thread(tmp_path, placement):
    run = captured(tmp_path, "components.bars.count=40", placement=placement)
    assert replayed(Path(run.run_dir)).divergence is None


def test_a_run_with_timers_replays_with_the_timers_of_the_log(tmp_path):
    alarms = "components.strategy={class: tests.support.parts.Alarms}"
    run = captured(tmp_path, "components.bars.count=30", alarms)
    result = replayed(Path(run.run_dir))
    assert result.divergence is None
    assert run.counts["TimerFired"] > 5


def test_only_the_named_components_are_re_executed(run):
    result = replayed(run, "broker", "risk")
    assert set(result.executed) == {"broker", "risk"}
    assert set(result.taken) == OTHERS - {"broker", "risk"} | {"bars"}
    assert result.compared == len(said_by(run, "broker", "risk"))


def test_the_log_alone_is_enough_without_its_run_folder(run, tmp_path):
    shutil.copytree(run / "log", tmp_path / "alone")
    assert replayed(tmp_path / "alone").divergence is None
    assert replayed(next((tmp_path / "alone").iterdir())).divergence is None


def test_market_data_are_not_needed_again(tmp_path):
    shutil.copytree(ROOT / "tests" / "golden" / "main_job", tmp_path / "config")
    run = Path(captured(tmp_path, config=tmp_path / "config" / "topology.yaml").run_dir)
    shutil.rmtree(tmp_path / "config")
    assert replayed(run).divergence is None


def changed(record: Record, **fields: object) -> Record:
    """The record, its message with other values."""
    return record._replace(payload=encode(replace(decode(record.type_id, record.payload), **fields)))


def test_a_message_that_differs_is_shown_with_both_texts_its_fields_and_its_causes(run, tmp_path):
    fill = [r for r in said_by(run, "broker") if r.type_id == 48][4]
    path = rewritten(run, tmp_path, lambda rs: [changed(r, price=7.25) if r.seq == fill.seq else r for r in rs])
    found = replayed(path).divergence
    assert (found.kind, found.seq, found.component) == (Kind.DIFFERENT, fill.seq, "broker")
    assert found.differing == ("price",)
    assert (found.recorded["message"]["price"], found.executed["message"]["price"]) == (7.25, 100.0)
    assert [cause["type"] for cause in found.causes] == ["Bar"]
    assert found.causes[0]["seq"] == fill.cause


def test_an_answer_that_the_log_lacks_is_found_where_it_should_stand(run, tmp_path):
    for lost in leaves(run)[3::25]:
        path = rewritten(run, tmp_path / str(lost.seq), lambda rs, lost=lost: [r for r in rs if r.seq != lost.seq])
        found = replayed(path).divergence
        assert found.seq == lost.seq
        # What comes next of the same component to the same cause stands in the place of what was lost.
        assert found.kind in (Kind.ADDITIONAL, Kind.DIFFERENT)
        assert TYPES_BY_NAME[found.executed["type"]] is MESSAGE_TYPES[lost.type_id]


def test_an_answer_that_is_only_in_the_log_is_found(run, tmp_path):
    for twice in said_by(run)[5::40]:
        path = rewritten(
            run, tmp_path / str(twice.seq), lambda rs, twice=twice: [c for r in rs for c in [r] * (1 + (r == twice))]
        )
        found = replayed(path).divergence
        assert found.seq == twice.seq + 1
        assert found.kind in (Kind.MISSING, Kind.DIFFERENT)
        assert found.recorded["seq"] == twice.seq + 1


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whichever_answer_is_lost_or_doubled_the_first_difference_is_named(data, run, tmp_path_factory):
    answers = said_by(run)
    victim = data.draw(st.sampled_from(answers))
    how = data.draw(st.sampled_from(["double", "lose"]))
    path = tmp_path_factory.mktemp("changed")
    if how == "double":
        found = replayed(rewritten(run, path, lambda rs: [c for r in rs for c in [r] * (1 + (r == victim))])).divergence
        assert found.seq == victim.seq + 1
    else:
        victim = data.draw(st.sampled_from(leaves(run)[:-1]))
        found = replayed(rewritten(run, path, lambda rs: [r for r in rs if r != victim])).divergence
        assert found.seq == victim.seq


def test_a_log_without_its_last_answer_is_said_to_be_cut_there(run, tmp_path):
    result = replayed(rewritten(run, tmp_path, lambda rs: rs[:-1]))
    assert (result.divergence, result.is_whole) == (None, False)
    assert result.notes == [
        f"the log was cut after seq {result.records}, before the run's end. All that is there was replayed"
    ]


@pytest.mark.parametrize("placement", [None, Placement.THREADS])
def test_a_component_that_raises_only_now_is_named_with_the_record_that_it_did_not_answer(run, monkeypatch, placement):
    def on_fill(self, fill):
        raise RuntimeError("not today")

    monkeypatch.setattr(parts.PlainManager, "on_fill", on_fill)
    found = replayed(run, placement=placement).divergence
    assert (found.kind, found.component, found.error) == (Kind.FAILED, "manager", "RuntimeError: not today")
    assert found.recorded["type"] == "OrderStatus"
    assert found.causes[0]["type"] == "Fill"


MOODY = """
import os

from bus.runtime.component import handles
from schemas import Bar
from tests.support.parts import EveryNth


class Moody(EveryNth):
    @handles(Bar)
    def on_bar(self, bar):
        if self.seen == 40 and os.environ.get("IN_A_BAD_MOOD"):
            raise RuntimeError("not today")
        super().on_bar(bar)
"""


@pytest.mark.processes
def test_a_process_that_fails_only_now_is_named_with_the_record_that_it_did_not_answer(tmp_path, monkeypatch):
    (tmp_path / "moody_for_replay.py").write_text(MOODY)
    text = (ROOT / "tests" / "support" / "parts.yaml").read_text()
    config = tmp_path / "topology.yaml"
    config.write_text(text.replace("tests.support.parts.EveryNth", "moody_for_replay.Moody"))
    run = Path(captured(tmp_path, "components.bars.count=60", config=config).run_dir)
    monkeypatch.setenv("IN_A_BAD_MOOD", "1")
    found = replayed(run, "strategy", placement=Placement.PROCESSES).divergence
    assert (found.kind, found.component, found.error) == (Kind.FAILED, "strategy", "RuntimeError: not today")
    assert found.recorded["type"] == "Signal"


@pytest.mark.parametrize("placement", [Placement.LOCAL, Placement.THREADS])
def test_a_run_that_failed_replays_to_its_failure_and_fails_again_in_the_same_way(tmp_path, placement):
    run = captured(tmp_path, "components.strategy.raise_at=33", placement=placement)
    assert run.status == "failed"
    result = replayed(Path(run.run_dir))
    assert result.divergence is None
    assert any(
        "the run failed: strategy: RuntimeError: the strategy has no idea. It failed again" in n for n in result.notes
    )


def test_a_failure_that_does_not_happen_again_is_said_to_have_come_from_outside(tmp_path):
    run = captured(tmp_path, "components.bars.fail_at=21")
    result = replayed(Path(run.run_dir))
    assert result.divergence is None
    assert any("the run failed: bars: " in note and "did not fail again" in note for note in result.notes)


def test_a_log_that_breaks_off_replays_as_far_as_it_goes(run, tmp_path):
    segment = next((run / "log").iterdir())
    (tmp_path / segment.name).write_bytes(segment.read_bytes()[: segment.stat().st_size // 2])
    result = replayed(tmp_path)
    assert result.divergence is None
    assert 0 < result.records < len(records_of(run))
    assert not result.is_whole
    assert any("the log breaks off after seq" in note for note in result.notes)


def test_a_damaged_log_is_an_error_and_no_result(run, tmp_path):
    segment = next((run / "log").iterdir())
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / segment.name).write_bytes(data)
    with pytest.raises(LogError, match=r"byte \d+, after seq \d+: "):
        replayed(tmp_path)


def test_a_log_without_a_configuration_is_refused(tmp_path):
    log = LogWriter(tmp_path)
    log.append(1, 0, 1, 0, 1, TYPE_IDS[Bar], encode(a_bar()))
    log.close()
    with pytest.raises(LogError, match="does not say how its run was configured"):
        open_capture(tmp_path)


def test_a_class_that_is_gone_is_a_configuration_error_that_says_where_it_was_looked_for(tmp_path):
    config = tmp_path / "config" / "topology.yaml"
    config.parent.mkdir()
    strategies = "from tests.support.parts import EveryNth\n\n\nclass Mine(EveryNth):\n    pass\n"
    (config.parent / "mine_for_replay.py").write_text(strategies)
    text = (ROOT / "tests" / "support" / "parts.yaml").read_text()
    config.write_text(text.replace("tests.support.parts.EveryNth", "mine_for_replay.Mine"))
    run = Path(captured(tmp_path, config=config).run_dir)
    assert replayed(run).divergence is None
    shutil.rmtree(config.parent)
    sys.modules.pop("mine_for_replay")
    with pytest.raises(ConfigError) as error:
        replayed(run)
    assert "components.strategy.class: cannot import 'mine_for_replay'" in str(error.value)
    assert f"{config.parent} (which is not there any more)" in str(error.value)
    assert replayed(run, "broker", "risk").divergence is None


def test_names_that_the_capture_does_not_have_and_edges_are_refused_at_once(run):
    with pytest.raises(ConfigError) as error:
        replayed(run, "brokr", "bars")
    assert "there is no such component; did you mean 'broker'?" in str(error.value)
    assert "--component bars: what it says comes from outside" in str(error.value)


def test_a_long_log_is_replayed_in_the_memory_of_a_short_one(run, tmp_path):
    """The records of one bar without consequences, again and again."""

    def longer(records: list[Record]) -> list[Record]:
        end = next(n for n, r in enumerate(records) if r.type_id == TYPE_IDS[EndOfStream])
        bar = records[end - 1]
        return [*records[:end], *[bar] * 12_000, *records[end:]]

    long = rewritten(run, tmp_path, longer)
    tracemalloc.start()
    try:
        result = replayed(long, "sink")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.records > 12_000
    assert sum(p.stat().st_size for p in (long / "log").iterdir()) > 1_200_000
    assert peak < 5_000_000


def test_a_parameter_that_cannot_be_had_any_more_is_refused_and_not_replaced(run, tmp_path):
    def reconfigured(record: Record) -> Record:
        if record.type_id != TYPE_IDS[RunStarted]:
            return record
        started = decode(record.type_id, record.payload)
        return changed(record, config=started.config.replace('"n":3', '"n":"3"'))

    other = rewritten(run, tmp_path, lambda rs: [reconfigured(r) for r in rs])
    with pytest.raises(
        ConfigError, match=r"components.strategy.n: was '3' in the capture and would be 3: this version cannot"
    ):
        replayed(other)
    assert replayed(other, "broker").divergence is None


def test_a_replay_runs_in_mode_replay_with_the_thread_model_that_is_asked_for(run):
    capture = open_capture(run)
    assert isinstance(capture.started, RunStarted)
    plan = plan_replay(capture, thread_model=ThreadModel.MULTI_THREADED).plan
    assert (plan.mode, plan.thread_model) == (ExecutionMode.REPLAY, ThreadModel.MULTI_THREADED)
    assert {e.name for e in plan.at(Isolation.ISOLATED)} == {"strategy"}
    assert plan_replay(capture).plan.placement == "local"


def test_mode_replay_is_not_launched(tmp_path):
    with pytest.raises(ConfigError, match=r"execution.mode: REPLAY .*admf replay LOG"):
        captured(tmp_path, "execution.mode=REPLAY")
