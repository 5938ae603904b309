"""A log can be read with nothing but `struct` and `msgpack`: it says what its types, fields and sources are."""

from __future__ import annotations

import struct
from pathlib import Path

import msgpack
import pytest

from bus.log import LogWriter
from bus.log_reader import LogReader
from schemas.codec import to_builtins
from tests.support.parts import Bars, EveryNth, PlainBroker, PlainCoordinator, PlainManager, PlainRisk
from tests.support.transports import Run

SEGMENT_HEAD = 56
RECORD_HEAD = struct.Struct("<IQqQQHH")
SEALS = (0xFFFE, 0xFFFF)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("run") / "log"
    parts = [
        Bars("bars", {"count": 40}),
        EveryNth("strategy"),
        PlainRisk("risk"),
        PlainManager("manager"),
        PlainBroker("broker"),
        PlainCoordinator("coordinator"),
    ]
    log = LogWriter(place, segment_bytes=4000)
    Run(parts, place, log=log).over("local")
    log.close()
    return place


def records_of(folder: Path):
    """Heads and payloads, by the documented layout."""
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        offset = SEGMENT_HEAD
        while offset < len(data):
            length, seq, ts, source_seq, cause, source, type_id = RECORD_HEAD.unpack_from(data, offset)
            payload = data[offset + RECORD_HEAD.size : offset + RECORD_HEAD.size + length]
            offset += RECORD_HEAD.size + length
            head = (seq, ts, source_seq, cause, source, type_id)
            yield head, payload if type_id in SEALS else msgpack.unpackb(payload)


def read_without_our_code(folder: Path):
    """Every message as (seq, source's name, type's name, fields by name), from what the log says of itself."""
    types: dict[int, list] = {}
    sources = {0: "hub"}
    for (seq, _, _, _, source, type_id), values in records_of(folder):
        if type_id in SEALS:
            continue
        if type_id == 1:
            types[values[0]] = values
        elif type_id == 2:
            sources[values[0]] = values[1]
        yield seq, sources[source], types[type_id][1], named(values, types[type_id], types)


def named(values: list, declared: list, types: dict[int, list]) -> dict:
    """Field names to values; a field whose type is itself declared holds an array of that type's fields."""
    by_name = {declaration[1]: declaration for declaration in types.values()}
    _, _, fields, field_types = declared
    return {
        name: named(value, by_name[kind], types) if kind in by_name else value
        for name, kind, value in zip(fields, field_types, values, strict=True)
    }


def test_without_our_code_the_same_is_read_as_with_it(folder):
    reader = LogReader(folder)
    ours = [
        (r.seq, reader.source_name(r.source), reader.type_name(r.type_id), to_builtins(reader.message(r)))
        for r in reader
    ]
    assert list(read_without_our_code(folder)) == ours
    assert {"Bar", "Signal", "Order", "SubmitOrder", "Fill", "RunCompleted"} <= {name for _, _, name, _ in ours if name}


def test_every_type_and_every_source_is_declared_before_its_first_record(folder):
    types, sources = {1}, {0}
    for (_, _, _, _, source, type_id), values in records_of(folder):
        if type_id == 1:
            types.add(values[0])
        elif type_id == 2:
            sources.add(values[0])
        elif type_id not in SEALS:
            assert type_id in types
            assert source in sources


def test_the_declaration_of_declarations_comes_first(folder):
    (_, first), *_ = records_of(folder)
    assert first[:3] == [1, "TypeDeclared", ["type_id", "name", "fields", "field_types"]]


def test_every_cause_came_before_and_every_source_counts_without_a_gap(folder):
    counts: dict[int, int] = {}
    for (seq, _, source_seq, cause, source, type_id), _ in records_of(folder):
        if type_id not in SEALS:
            assert 0 <= cause < seq
            counts[source] = counts.get(source, 0) + 1
            assert source_seq == counts[source]


def test_a_source_is_declared_with_what_it_takes_and_emits(folder):
    reader = LogReader(folder)
    list(reader)
    strategy = next(source for source in reader.sources.values() if source.name == "strategy")
    assert to_builtins(strategy) == {
        "source_id": strategy.source_id,
        "name": "strategy",
        "component_type": "strategy",
        "class_name": "tests.support.parts.EveryNth",
        "takes": ["Bar"],
        "emits": ["Signal"],
    }
