"""The hub's view of a topology: who its sources are, what they take and publish."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bus.runtime.runner import Member, emitted_types
from bus.sequencer import HUB, SourceRule
from bus.timers import sets_timers
from schemas import Message, SourceDeclared, StopStream, TimerFired, TypeDeclared
from schemas.codec import to_builtins
from schemas.registry import MESSAGE_TYPES, TYPE_IDS, field_types, fields


@dataclass(frozen=True)
class Wiring:
    """Every component of a run, in rank order. `is_live` says that sources may be stopped before they end."""

    members: tuple[Member, ...]
    is_live: bool = False

    @property
    def rules(self) -> list[SourceRule]:
        """What each source may publish, as the sequencer enforces it."""
        hub = SourceRule(HUB, "hub", frozenset(self._hub_type_ids()))
        return [hub] + [
            SourceRule(m.source_id, m.component.name, frozenset(emitted_types(m.component).values()))
            for m in self.members
        ]

    def declarations(self) -> list[Message]:
        """What a log says before anything else, so that it explains itself: types by id, sources by rank."""
        return [*(type_declaration(type_id) for type_id in self._type_ids()), *map(_source_declaration, self.members)]

    def schema_hash(self) -> str:
        """Over all declared types."""
        text = json.dumps([to_builtins(type_declaration(type_id)) for type_id in self._type_ids()])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _hub_type_ids(self) -> Iterator[int]:
        """What the hub says in this run: a log declares no type that cannot occur in it."""
        yield from (type_id for type_id in MESSAGE_TYPES if type_id < 20)
        if any(sets_timers(member.component) for member in self.members):
            yield TYPE_IDS[TimerFired]
        if self.is_live:
            yield TYPE_IDS[StopStream]

    def _type_ids(self) -> Sequence[int]:
        spoken: set[int] = set()
        for rule in self.rules:
            spoken |= rule.type_ids
        return sorted(spoken)


def type_declaration(type_id: int) -> TypeDeclared:
    """The declaration of one registered type."""
    message_type = MESSAGE_TYPES[type_id]
    return TypeDeclared(type_id, message_type.__name__, fields(message_type), field_types(message_type))


def _source_declaration(member: Member) -> SourceDeclared:
    component = member.component
    return SourceDeclared(
        member.source_id,
        component.name,
        component.component_type,
        f"{type(component).__module__}.{type(component).__qualname__}",
        tuple(sorted(message_type.__name__ for message_type in component.handlers())),
        tuple(sorted(message_type.__name__ for message_type in emitted_types(component))),
    )
