"""`admf data`: check."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from bus.errors import EXIT_CONFIG
from components.data.file_format import COLUMNS, Column, FileFormat, TimeUnit
from components.data.report import DataReport, SymbolReport, check_file
from deploy.log_tools import format_time

_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_NS_PER_S = 1_000_000_000


@click.group("data")
def command() -> None:
    """Look at market data files before a run."""


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--column", "columns", multiple=True, metavar="OURS=FILE'S", help="E.g. close=Last. Repeatable.")
@click.option("--unit", type=click.Choice(get_args(TimeUnit)), default="auto", help="Of integer timestamps.")
@click.option("--timezone", default="UTC", show_default=True, help="The zone of times that name none.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(file: Path, columns: tuple[str, ...], unit: TimeUnit, timezone: str, as_json: bool) -> None:
    """Report the rows, symbols, range, gaps, duplicates and errors of FILE, by row.

    FILE is CSV or Parquet, or a folder with one file for each symbol. Exit code 2 when a run would not accept it.
    """
    report = check_file(file, FileFormat(_columns(columns), unit, timezone))
    if as_json:
        click.echo(json.dumps(_document(report)))
    else:
        _print(report)
    sys.exit(0 if report.sound else EXIT_CONFIG)


def _columns(settings: tuple[str, ...]) -> dict[Column, str]:
    columns: dict[Column, str] = {}
    for setting in settings:
        name, equals, theirs = setting.partition("=")
        known = next((column for column in COLUMNS if column == name), None)
        if known is None or not equals:
            allowed = ", ".join(COLUMNS)
            raise click.UsageError(f"--column {setting}: write it as close=Last; ours are {allowed}")
        columns[known] = theirs
    return columns


def _document(report: DataReport) -> dict[str, Any]:
    return {**asdict(report), "path": str(report.path), "sound": report.sound}


def _print(report: DataReport) -> None:
    click.echo(f"{report.path}: {report.rows:,} rows, {len(report.symbols)} symbols, {report.fault_count:,} errors")
    for symbol in report.symbols:
        click.echo(
            f"  {symbol.symbol:<10} {symbol.rows:>10,} rows  {format_time(symbol.first_ns)} to "
            f"{format_time(symbol.last_ns)}  every {_span(symbol.step_ns)}  {symbol.gap_count:,} gaps  "
            f"{symbol.duplicates:,} duplicates"
        )
        _print_gaps(symbol)
    for fault in report.faults:
        click.echo(f"  error: {fault}")


def _print_gaps(symbol: SymbolReport) -> None:
    for gap in symbol.gaps:
        length = _span(gap.end_ns - gap.start_ns)
        click.echo(f"    gap of {length}: {format_time(gap.start_ns)} to {format_time(gap.end_ns)}")
    if symbol.gap_count > len(symbol.gaps):
        click.echo(f"    and {symbol.gap_count - len(symbol.gaps):,} more gaps")


def _span(ns: int) -> str:
    """A length of time in its largest fitting unit."""
    seconds = ns / _NS_PER_S
    for size, unit in _SPANS:
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
