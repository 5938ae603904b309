"""`admf log`: info, cat, verify, repair, why, diff, stats."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bus.errors import EXIT_DIVERGENCE, EXIT_FAILED, LogError
from bus.log_reader import LogReader
from bus.log_repair import repair as repair_log
from deploy import log_tools
from deploy.topology import did_you_mean
from schemas.registry import TYPES_BY_NAME

if TYPE_CHECKING:
    from deploy.replay.differences import LogDifference
    from deploy.replay.stats import LogStats

_PATH = click.Path(path_type=Path)


class Moment(click.ParamType[int]):
    """A time on the command line, as ns since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """ISO 8601 or integer ns."""
        if isinstance(value, int):
            return value
        try:
            return log_tools.parse_time(value)
        except ValueError:
            self.fail(f"{value!r} is neither ISO 8601 nor integer nanoseconds", param, ctx)


@click.group("log")
def command() -> None:
    """Look into message logs. PATH is a run folder, a log folder, or one segment file."""


@command.command("info")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def info(paths: tuple[Path, ...], as_json: bool) -> None:
    """What is in a log: size, time range, records by type and source, digest."""
    for path in paths:
        summary = log_tools.summarise(path).document()
        if as_json:
            click.echo(json.dumps(summary))
            continue
        types, sources = summary.pop("types"), summary.pop("sources")
        for key, value in summary.items():
            click.echo(f"{key:<12} {value:,}" if type(value) is int else f"{key:<12} {value}")
        for title, counts in (("types", types), ("sources", sources)):
            click.echo(title)
            for name, count in counts.items():
                click.echo(f"  {name:<22} {count:>12,}")


@command.command("cat")
@click.argument("path", type=_PATH)
@click.option("--type", "types", multiple=True, help="Only these message types. Repeatable.")
@click.option("--source", "sources", multiple=True, help="Only what these components (or hub) published.")
@click.option("--component", "components", multiple=True, help="Only what these components published or took.")
@click.option("--from-seq", type=int, help="First seq.")
@click.option("--to-seq", type=int, help="Last seq.")
@click.option("--from", "from_ts", type=Moment(), help="Earliest time, ISO 8601 (UTC) or ns.")
@click.option("--to", "to_ts", type=Moment(), help="Latest time.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many records.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def cat(path: Path, as_json: bool, limit: int | None, **wanted: Any) -> None:
    """Print records, one a line."""
    sets = {key: frozenset(wanted.pop(key)) for key in ("types", "sources", "components")}
    _check_types(sets["types"])
    bounds: dict[str, Any] = wanted
    chosen = log_tools.Filter(**{**sets, **bounds})
    reader = LogReader(path, check_digest=False)
    shown = 0
    for record in log_tools.matching(reader, chosen):
        described = log_tools.describe(reader, record)
        click.echo(as_json_text(described) if as_json else line_of(described))
        shown += 1
        if shown == limit:
            return
    if not shown:
        require_known(path, reader, chosen)


def require_known(path: Path, log: log_tools.Declarations, wanted: log_tools.Filter) -> None:
    """Raise LogError when a filter that let nothing pass asks for a name that the log does not declare."""
    unknown = log_tools.unknown_names(log, wanted)
    if unknown:
        declared = [s.name for s in log.sources.values()] + [t.name for t in log.types.values()]
        raise LogError(f"{path}: the log knows no {unknown[0]!r}{did_you_mean(unknown[0], declared)}")


def as_json_text(value: Any) -> str:
    """JSON, in which NaN and the infinities, which it does not have, are null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check_types(types: frozenset[str]) -> None:
    for name in sorted(types - TYPES_BY_NAME.keys()):
        if suggestion := did_you_mean(name, TYPES_BY_NAME):
            raise click.UsageError(f"no message type is called {name!r}{suggestion}")


def line_of(described: dict[str, Any]) -> str:
    """A described record in one line: seq, time, source, type, values (None and empty ones left out), its cause."""
    said = {key: value for key, value in described["message"].items() if value not in (None, "")}
    values = " ".join(f"{key}={_short(value)}" for key, value in said.items())
    cause = f" <- {described['cause']}" if described["cause"] else ""
    return (
        f"{described['seq']:>8} {described['time']:<20} {described['source']:<14} {described['type']} {values}{cause}"
    )


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, str | int | float) or value is None else json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


@command.command("verify")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=_PATH)
def verify(paths: tuple[Path, ...]) -> None:
    """Check every checksum, the order, and every stored digest. Exit code 1 when a log is not sound."""
    failed = False
    for path in paths:
        reader = LogReader(path)
        try:
            reader.verify()
            log_tools.require_sound(reader)
        except LogError as error:
            click.echo(f"BAD  {error}", err=True)
            failed = True
        else:
            click.echo(f"ok   {path}: {reader.records:,} records, digest {reader.digest}")
    sys.exit(EXIT_FAILED if failed else 0)


@command.command("repair")
@click.argument("path", type=_PATH)
@click.option("--to", required=True, type=_PATH, metavar="NEW", help="A new folder for the repaired log.")
def repair(path: Path, to: Path) -> None:
    """Make a sound log in NEW of a damaged or torn one. PATH itself is never changed.

    Every sound record from the first on is kept, what follows is cut, and a footer is written. A run folder's manifest
    and topology come along.
    """
    done = repair_log(path, to)
    click.echo(f"{path}: sound already; nothing was written" if done is None else f"{to}: {done.text()}")


@command.command("why")
@click.argument("path", type=_PATH)
@click.argument("subject", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def why(path: Path, subject: str, as_json: bool) -> None:
    """Explain an order, fill or trade by its ID, or a record by its seq, back to the bar that caused it."""
    from deploy.replay.telling import sentences
    from deploy.replay.why import explain

    story = explain(path, subject)
    if as_json:
        click.echo(as_json_text({**story.document(), "sentences": list(sentences(story))}))
        return
    for line in sentences(story):
        click.echo(line)


@command.command("diff")
@click.argument("left", type=_PATH)
@click.argument("right", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diff(left: Path, right: Path, as_json: bool) -> None:
    """Show the first difference between two logs, and a summary by component and type; exit code 3 for one."""
    from deploy.replay.differences import difference

    found = difference(left, right)
    if as_json:
        document = None if found is None else found.first.__dict__
        streams = [] if found is None else found.document()["streams"]
        click.echo(as_json_text({"equal": found is None, "difference": document, "streams": streams}))
    elif found is None:
        click.echo("equal")
    else:
        click.echo(f"first difference at seq {found.first.seq}")
        for side, described in ((left, found.first.left), (right, found.first.right)):
            click.echo(f"  {side}")
            click.echo(f"    {line_of(described) if described else 'ends before'}")
        _print_streams(found)
    sys.exit(0 if found is None else EXIT_DIVERGENCE)


def _print_streams(found: LogDifference) -> None:
    head = f"  {'component':<16} {'type':<16} {'left':>12} {'right':>12} {'difference':>12}   first different at seq"
    click.echo("by component and type" + "\n" + head)
    for stream in found.streams:
        where = "equal"
        if not stream.is_equal:
            seqs = [f"{seq:,}" if seq is not None else "none left" for seq in (stream.left_seq, stream.right_seq)]
            where = f"{seqs[0]} left, {seqs[1]} right"
        counts = f"{stream.left:>12,} {stream.right:>12,} {stream.right - stream.left:>+12,}"
        click.echo(f"  {stream.source:<16} {stream.type:<16} {counts}   {where}")


@command.command("stats")
@click.argument("path", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def stats(path: Path, as_json: bool) -> None:
    """Counts, rates, latencies of each hop (p50, p99, max), pauses in the data, and what was refused."""
    from deploy.replay.stats import statistics_of

    found = statistics_of(path)
    if as_json:
        click.echo(as_json_text(found.document()))
        return
    for line in stats_lines(found):
        click.echo(line)


def stats_lines(stats: LogStats) -> Iterator[str]:
    """The statistics of a log as a table of text."""
    document = stats.document()
    rate = _rate(stats)
    yield f"{stats.records:,} records, {stats.external:,} from outside, {document['bytes_per_record']} bytes each{rate}"
    yield "counts"
    for (source, name), count in sorted(stats.by_stream.items()):
        yield f"  {source:<16} {name:<18} {count:>12,}"
    time = "   time: p50 p99 max" if stats.is_live else ""
    yield f"hops{'':<68} {'count':>10}   records between: p50 p99 max{time}"
    for (one, two), hop in stats.hops.items():
        between = " ".join(f"{value:,}" for value in hop.records.document().values())
        ns = "   " + " ".join(_duration(v) for v in hop.ns.document().values()) if stats.is_live else ""
        yield f"  {one:<32} -> {two:<34} {hop.count:>10,}   {between}{ns}"
    if not stats.is_live:
        yield "  a deterministic run: answers have the time of what they answer, and no latency"
    for source, pause in stats.pauses.items():
        start = log_tools.format_time(pause.start_ts)
        yield f"longest pause in the data of {source}: {_duration(pause.ns)} from {start}"
    yield f"refusals: {sum(stats.refusals.values()):,}"
    for (kind, code), count in stats.refusals.most_common():
        yield f"  {kind:<24} {code:<28} {count:>8,}"


def _rate(stats: LogStats) -> str:
    if not stats.span_s:
        return ""
    days = stats.span_s / 86_400
    per, unit = (days, "day") if days > 10 else (stats.span_s, "second")
    return f", {stats.records / per:,.3g} a {unit} of its own time"


def _duration(ns: int) -> str:
    for size, unit in ((86_400 * 10**9, "d"), (10**9, "s"), (10**6, "ms"), (1_000, "us")):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns} ns"
