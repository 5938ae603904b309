"""`admf log`: info, cat, verify, repair, diff."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import click

from bus.errors import EXIT_DIVERGENCE, EXIT_FAILED, LogError
from bus.log_reader import LogReader
from bus.log_repair import repair as repair_log
from deploy import log_tools
from deploy.topology import did_you_mean
from schemas.registry import TYPES_BY_NAME

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
    unknown = log_tools.unknown_names(reader, chosen)
    if not shown and unknown:
        declared = [s.name for s in reader.sources.values()] + [t.name for t in reader.types.values()]
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
    """A described record in one line: seq, time, source, type, values, and what caused it."""
    values = " ".join(f"{key}={_short(value)}" for key, value in described["message"].items())
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


@command.command("diff")
@click.argument("left", type=_PATH)
@click.argument("right", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diff(left: Path, right: Path, as_json: bool) -> None:
    """Show the first difference between two logs. Exit code 3 when there is one."""
    difference = log_tools.first_difference(left, right)
    if as_json:
        document = None if difference is None else difference.__dict__
        click.echo(as_json_text({"equal": difference is None, "difference": document}))
    elif difference is None:
        click.echo("equal")
    else:
        click.echo(f"first difference at seq {difference.seq}")
        for side, described in ((left, difference.left), (right, difference.right)):
            click.echo(f"  {side}")
            click.echo(f"    {line_of(described) if described else 'ends before'}")
    sys.exit(0 if difference is None else EXIT_DIVERGENCE)
