"""Logs of other versions: replayed where messages gained or lost fields at their end, else refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest

from bus.errors import LogError
from bus.record import Record
from deploy import __version__
from deploy.replay.capture import open_capture
from deploy.replay.planning import plan_replay
from deploy.replay.reexecution import ReplayResult, reexecute
from schemas import Fill, Order, OrderStatus, RunStarted, SubmitOrder, TypeDeclared
from schemas.codec import decode, encode
from schemas.registry import TYPE_IDS
from tests.support.captures import captured, rewritten, store_capture
from tests.support.launching import ROOT

VERSIONS = Path(__file__).parents[2] / "golden" / "versions"
RELEASED = sorted(path for path in VERSIONS.iterdir() if path.name != "refused")
"""One for every version of the program, and for every older version of the log that it has had."""
PRESENT = VERSIONS / __version__
MAIN_JOB = ROOT / "tests" / "golden" / "main_job" / "topology.yaml"


@pytest.fixture(scope="module", autouse=True)
def the_present_versions_log(request, tmp_path_factory) -> None:
    """Written anew by `--update-golden`, which is right until the version is released and wrong from then on."""
    if request.config.getoption("--update-golden"):
        run = captured(tmp_path_factory.mktemp("present"), config=MAIN_JOB)
        store_capture(Path(run.run_dir), PRESENT)


def replayed(path: Path) -> ReplayResult:
    capture = open_capture(path)
    return reexecute(capture, plan_replay(capture), lambda: None)


def redeclared(change: Callable[[TypeDeclared], TypeDeclared]) -> Callable[[Record], Record]:
    def apply(record: Record) -> Record:
        if record.type_id != TYPE_IDS[TypeDeclared]:
            return record
        return record._replace(payload=encode(change(decode(record.type_id, record.payload))))

    return apply


def repacked(record: Record, change: Callable[[list], list]) -> Record:
    return record._replace(payload=msgpack.packb(change(msgpack.unpackb(record.payload))))


def without_last_field(declared: TypeDeclared) -> TypeDeclared:
    return TypeDeclared(declared.type_id, declared.name, declared.fields[:-1], declared.field_types[:-1])


@pytest.mark.parametrize("path", RELEASED, ids=lambda p: p.name)
def test_the_logs_of_every_released_version_replay_on_this_one(path):
    capture = open_capture(path)
    assert capture.started.version == path.name.partition("-")[0]
    result = replayed(path)
    assert result.divergence is None
    assert result.is_whole
    assert result.compared > 50
    assert result.digest == json.loads((path / "manifest.json").read_text())["digest"]


def test_the_present_version_has_its_log():
    assert PRESENT in RELEASED, "pytest tests/unit/replay/test_versions.py --update-golden"


def test_a_log_with_messages_that_are_gone_is_refused_and_its_other_components_replay():
    path = VERSIONS / "refused" / "equity-curve-63"
    with pytest.raises(LogError, match=r"portfolio published EquityCurve \(type 63\), which is not known here"):
        replayed(path)
    capture = open_capture(path)
    assert reexecute(capture, plan_replay(capture, ["broker", "order_manager"]), lambda: None).divergence is None


def test_fields_that_an_older_log_lacks_are_filled_in_and_not_compared(tmp_path):
    """Order and OrderStatus without their last field, `reason`; SubmitOrder holds an order."""
    shorter = {TYPE_IDS[Order]: lambda v: v[:17], TYPE_IDS[OrderStatus]: lambda v: v[:8]}
    shorter[TYPE_IDS[SubmitOrder]] = lambda v: [v[0][:17], v[1]]
    declare = redeclared(lambda d: without_last_field(d) if d.name in ("Order", "OrderStatus") else d)
    old = rewritten(
        PRESENT,
        tmp_path,
        lambda rs: [repacked(r, shorter[r.type_id]) if r.type_id in shorter else declare(r) for r in rs],
    )
    result = replayed(old)
    assert result.divergence is None
    assert "Order has no reason in the log; the defaults are taken" in result.notes


def test_fields_that_a_newer_log_has_are_left_out(tmp_path):
    def longer(declared: TypeDeclared) -> TypeDeclared:
        if declared.name != "Fill":
            return declared
        return TypeDeclared(
            declared.type_id, declared.name, (*declared.fields, "venue"), (*declared.field_types, "str")
        )

    declare = redeclared(longer)
    new = rewritten(
        PRESENT,
        tmp_path,
        lambda rs: [repacked(r, lambda v: [*v, "XNAS"]) if r.type_id == TYPE_IDS[Fill] else declare(r) for r in rs],
    )
    result = replayed(new)
    assert result.divergence is None
    assert "Fill has venue in the log, which this version leaves out" in result.notes


def test_a_difference_in_a_field_that_both_have_is_still_found(tmp_path):
    shorter = {TYPE_IDS[OrderStatus]: lambda v: [*v[:4], v[4] + 1.0, *v[5:8]]}
    declare = redeclared(lambda d: without_last_field(d) if d.name == "OrderStatus" else d)
    old = rewritten(
        PRESENT,
        tmp_path,
        lambda rs: [repacked(r, shorter[r.type_id]) if r.type_id in shorter else declare(r) for r in rs],
    )
    assert replayed(old).divergence.differing == ("filled_quantity",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda d: TypeDeclared(d.type_id, d.name, ("id", *d.fields[1:]), d.field_types),
            "field 1 of Fill is 'id' there and 'fill_id' here",
        ),
        (
            lambda d: TypeDeclared(d.type_id, d.name, d.fields, ("bytes", *d.field_types[1:])),
            "Fill.fill_id is bytes there and str here",
        ),
        (
            lambda d: TypeDeclared(d.type_id, "Execution", d.fields, d.field_types),
            "type 48 is Execution there and Fill here",
        ),
    ],
)
def test_a_schema_that_means_something_else_is_refused_with_the_reason(tmp_path, change, reason):
    declare = redeclared(lambda d: change(d) if d.name == "Fill" else d)
    other = rewritten(PRESENT, tmp_path, lambda rs: [declare(r) for r in rs])
    with pytest.raises(LogError) as error:
        replayed(other)
    assert reason in str(error.value)
    assert "Replay it with the version that wrote it" in str(error.value)


def test_the_version_that_wrote_the_log_is_said_when_it_is_another(tmp_path):
    def older(record: Record) -> Record:
        if record.type_id != TYPE_IDS[RunStarted]:
            return record
        return repacked(record, lambda v: [*v[:3], "0.0.9"])

    old = rewritten(PRESENT, tmp_path, lambda rs: [older(r) for r in rs])
    assert f"written by version 0.0.9, replayed by version {__version__}" in replayed(old).notes


def test_a_type_that_is_not_known_here_is_let_be(tmp_path):
    foreign = encode(TypeDeclared(999, "Rumour", ("text",), ("str",)))

    def with_rumour(records: list[Record]) -> list[Record]:
        first = records[0]._replace(payload=foreign)
        return [first, *records, records[-1]._replace(type_id=999, cause=0, source=0, payload=msgpack.packb(["hm"]))]

    result = replayed(rewritten(PRESENT, tmp_path, with_rumour))
    assert result.divergence is None
    assert "Rumour (type 999) is not known here; nothing here takes it" in result.notes
