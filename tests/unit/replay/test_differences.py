"""`admf log diff` and `admf log stats`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.log_reader import LogReader
from deploy.cli.log import stats_lines
from deploy.replay.differences import difference
from deploy.replay.stats import Distribution, statistics_of
from schemas import Fill
from schemas.codec import decode, encode
from schemas.registry import TYPE_IDS
from tests.support.captures import captured, rewritten
from tests.support.commands import command
from tests.support.launching import ROOT


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return Path(captured(tmp_path_factory.mktemp("run"), "components.bars.count=600").run_dir)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch) -> None:
    """So that streams of a small log have several."""
    monkeypatch.setattr("deploy.replay.differences._BLOCK", 64)


def test_equal_logs_have_no_difference(run):
    assert difference(run, run / "log") is None


@pytest.mark.parametrize("nth", [0, 63, 64, 150, 198])
def test_the_first_difference_of_every_stream_is_found_in_whichever_block(run, tmp_path, nth):
    fills = [r for r in LogReader(run) if r.type_id == TYPE_IDS[Fill]]
    victim = fills[nth]
    other = encode(replace(decode(victim.type_id, victim.payload), price=1.5))
    changed = rewritten(run, tmp_path, lambda rs: [r._replace(payload=other) if r == victim else r for r in rs])
    found = difference(run, changed)
    assert found.first.seq == victim.seq
    unequal = [s for s in found.streams if not s.is_equal]
    assert [(s.source, s.type, s.left_seq, s.right_seq) for s in unequal] == [
        ("broker", "Fill", victim.seq, victim.seq)
    ]
    assert found.streams[0] == unequal[0]


def test_what_one_log_has_more_of_is_counted_and_placed(run, tmp_path):
    last = [r for r in LogReader(run) if r.type_id == TYPE_IDS[Fill]][-1]
    longer = rewritten(run, tmp_path, lambda rs: [c for r in rs for c in [r] * (1 + (r == last))])
    found = difference(run, longer)
    (fills,) = [s for s in found.streams if not s.is_equal]
    assert (fills.right - fills.left, fills.left_seq, fills.right_seq) == (1, None, last.seq + 1)


def test_diff_prints_the_first_difference_and_the_summary(run, tmp_path):
    shorter = Path(captured(tmp_path, "components.bars.count=590").run_dir)
    said = command("log", "diff", run, shorter, code=3).output
    assert "first difference at seq " in said
    assert "bars             Bar                       600          590          -10" in said
    assert "TypeDeclared" in said
    assert command("log", "diff", run, run).output == "equal\n"


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200))
def test_quantiles_are_right_to_three_digits(values):
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    ordered = sorted(values)
    for share in (0.5, 0.99):
        exact = ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
        assert exact <= distribution.quantile(share) <= exact * 1.01 + 1
    assert distribution.max == max(values)


def test_stats_count_streams_hops_pauses_and_refusals(run):
    stats = statistics_of(run)
    assert stats.records == sum(stats.by_stream.values())
    assert stats.by_stream["bars", "Bar"] == 600
    hop = stats.hops["bars Bar", "strategy Signal"]
    assert hop.count == 200
    assert hop.records.document() == {"p50": 0, "p99": 0, "max": 0}
    assert stats.pauses["bars"].ns == 86_400 * 10**9
    assert not stats.unknown_causes
    text = "\n".join(stats_lines(stats))
    assert "bars Bar                         -> strategy Signal " in text
    assert "longest pause in the data of bars: 1 d from 2020-01-02T00:00:00Z" in text
    assert "refusals: 0" in text


def test_refusals_are_counted_by_code(tmp_path):
    orders = "[{order_id: a, after: 1, direction: BUY, order_type: MARKET, quantity: -5}]"
    risk = f"components.risk_manager={{class: tests.support.scripted.ScriptedRisk, orders: {orders}}}"
    config = ROOT / "tests" / "golden" / "main_job" / "topology.yaml"
    stats = statistics_of(Path(captured(tmp_path, risk, config=config).run_dir))
    ((kind, code), count), *_ = stats.refusals.most_common()
    assert (kind, count) == ("order rejected", 1)
    assert code
