"""Whether a log that another version wrote can be replayed by this one, and how its messages compare with ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from bus.errors import LogError
from bus.record import Record
from bus.replay import Same, payload_of, same_bytes
from bus.runtime.runner import Output
from deploy import __version__
from deploy.replay.capture import Capture
from schemas import TypeDeclared
from schemas.base import Message
from schemas.codec import decode
from schemas.registry import MESSAGE_TYPES, field_types, fields


def check_schema(capture: Capture, executed: Collection[str]) -> list[str]:
    """What the user should know of the difference between the log's schema and ours, in sentences.

    Raises:
        LogError: the log's messages mean something else here: a field was renamed, moved, removed or has another type,
            or an id means another message, or one that a re-executed component publishes is not known. With every such
            reason.
    """
    notes, refusals = [], []
    for declared in capture.types.values():
        ours = MESSAGE_TYPES.get(declared.type_id)
        if ours is None:
            what = f"{declared.name} (type {declared.type_id})"
            by = [s.name for s in capture.sources.values() if s.name in executed and declared.name in s.emits]
            refusals += [f"{name} published {what}, which is not known here" for name in by]
            notes += [] if by else [f"{what} is not known here; nothing here takes it"]
            continue
        refusals += _refusals(declared, ours)
        notes += _notes(declared, ours)
    if refusals:
        raise LogError(
            f"{capture.path}: written by version {capture.started.version}, whose messages differ from those of this "
            f"version ({__version__}) in ways that cannot be bridged: {'; '.join(refusals)}. Replay it with the "
            "version that wrote it, or re-execute other components only"
        )
    if capture.started.version != __version__:
        notes.insert(0, f"written by version {capture.started.version}, replayed by version {__version__}")
    return notes


def _refusals(declared: TypeDeclared, ours: type[Message]) -> list[str]:
    if ours.__name__ != declared.name:
        return [f"type {declared.type_id} is {declared.name} there and {ours.__name__} here"]
    found = []
    there = zip(declared.fields, declared.field_types, strict=False)
    here = zip(fields(ours), field_types(ours), strict=False)
    for place, ((name, its_type), (our_name, our_type)) in enumerate(zip(there, here, strict=False), 1):
        if name != our_name:
            found.append(f"field {place} of {declared.name} is {name!r} there and {our_name!r} here")
        elif not _widens(its_type, our_type):
            found.append(f"{declared.name}.{name} is {its_type} there and {our_type} here")
    return found


def _widens(old: str, new: str) -> bool:
    """Whether every value of the old type is one of the new: `float` became `float | None`, or `int` became `float`."""
    before, after = ({part.strip() for part in text.split("|")} for text in (old, new))
    return before <= after or (before - {"int"} <= after and "float" in after)


def _notes(declared: TypeDeclared, ours: type[Message]) -> list[str]:
    there, here = declared.fields, fields(ours)
    if len(there) < len(here):
        return [f"{declared.name} has no {', '.join(here[len(there) :])} in the log; the defaults are taken"]
    if len(there) > len(here):
        return [f"{declared.name} has {', '.join(there[len(here) :])} in the log, which this version leaves out"]
    return []


def comparison(capture: Capture) -> Same:
    """How outputs are compared with this log's records: by bytes, or where the schemas differ by the fields of both."""
    differing = _differing_types(capture.types)
    if not differing:
        return same_bytes
    common = {t.name: frozenset(t.fields) for t in capture.types.values()}

    def same(record: Record, output: Output) -> bool:
        if record.type_id not in differing:
            return same_bytes(record, output)
        one, two = decode(record.type_id, record.payload), decode(output.type_id, payload_of(output))
        return msgspec.msgpack.encode(_plain(one, common)) == msgspec.msgpack.encode(_plain(two, common))

    return same


def _differing_types(types: Mapping[int, TypeDeclared]) -> frozenset[int]:
    """Ids of the types that are otherwise here than in the log, or hold a message that is."""
    names = {t.name for i, t in types.items() if i in MESSAGE_TYPES and t.fields != fields(MESSAGE_TYPES[i])}
    size = -1
    while size != len(names):
        size = len(names)
        names |= {t.name for t in types.values() if names & set(re.findall(r"\w+", str(t.field_types)))}
    return frozenset(i for i, t in types.items() if t.name in names)


def _plain(value: object, common: Mapping[str, frozenset[str]]) -> Any:
    """A message as a list of the values of those fields that both schemas have."""
    if isinstance(value, Message):
        name = type(value).__name__
        wanted = common.get(name)
        return [_plain(getattr(value, f), common) for f in value.__struct_fields__ if wanted is None or f in wanted]
    if isinstance(value, tuple | list):
        return [_plain(item, common) for item in value]
    return value
