"""Messages about the run itself."""

from __future__ import annotations

from schemas.base import Message

StatisticValue = float | int | str | None


class TypeDeclared(Message, frozen=True, array_like=True, gc=False):
    """Says what the records of type `type_id` mean, before the first of them: a log explains itself.

    `fields` are the names in the order in which the payload's array holds them, `field_types` their Python types.
    """

    type_id: int
    name: str
    fields: tuple[str, ...]
    field_types: tuple[str, ...]


class SourceDeclared(Message, frozen=True, array_like=True, gc=False):
    """Says who source `source_id` is, before its first record. `takes` and `emits` are names of message types."""

    source_id: int
    name: str
    component_type: str
    class_name: str
    takes: tuple[str, ...]
    emits: tuple[str, ...]


class RunStarted(Message, frozen=True, array_like=True, gc=False):
    """The first thing that a run's components hear.

    `config` is the resolved configuration as JSON, without what may differ between two equal runs (placement, run
    folder, times): it and `config_hash` are the same in every placement. `schema_hash` is over the declared types.
    """

    config: str
    config_hash: str
    schema_hash: str
    version: str


class StartStream(Message, frozen=True, array_like=True, gc=False):
    """Coordinator to a data source: begin to send."""

    source: str


class StreamEnding(Message, frozen=True, array_like=True, gc=False):
    """A data source's next timestamp, `ts` (ns UTC), is its last; sent only when positions close at the next open."""

    source: str
    ts: int


class EndOfStream(Message, frozen=True, array_like=True, gc=False):
    """A data source has sent all that it has: `count` messages."""

    source: str
    count: int


class Checkpoint(Message, frozen=True, array_like=True, gc=False):
    """From the hub, every so many external messages: `count` of them have come, and all that followed is settled.

    Whoever gathers something over a run publishes what it has and lets go of it.
    """

    count: int


class Drained(Message, frozen=True, array_like=True, gc=False):
    """From the hub: all streams have ended and nothing is on its way any more, for the `round`-th time."""

    round: int


class ReportRequested(Message, frozen=True, array_like=True, gc=False):
    """Coordinator to the portfolio: publish the equity curve and the account's totals."""

    ts: int


class RunCompleted(Message, frozen=True, array_like=True, gc=False):
    """The coordinator's result; the run ends when this is published.

    `statistics` is keyed by name; a value that is not defined for this run is None, never NaN or infinite.
    `counts` has the number of bars, orders, fills and trades.
    """

    statistics: dict[str, StatisticValue]
    counts: dict[str, int]


class ComponentFailed(Message, frozen=True, array_like=True, gc=False):
    """A component raised, died or went silent; the run ends."""

    component: str
    error: str
    traceback: str = ""


class Halt(Message, frozen=True, array_like=True, gc=False):
    """The run is stopped before its end: by a person, or because of a failure."""

    reason: str
