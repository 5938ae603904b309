"""`admf launch`."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click

from bus.conductor import Progress
from deploy.cli.live_status import StatusLines
from deploy.cli.options import as_placement, topology_options
from deploy.launcher import launch
from deploy.live import Watch
from deploy.plan import make_plan
from deploy.stopping import StopRequest


@click.command("launch")
@topology_options
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document on standard output.")
def command(config: Path, settings: tuple[str, ...], placement: str | None, as_json: bool) -> None:
    """Run the topology in CONFIG to its end and print what it gave."""
    plan = make_plan(config, settings, as_placement(placement))
    if plan.is_live:
        lines = StatusLines(lambda line: click.echo(line, err=True))
        with standard_output_to_error():
            result = launch(plan, stop=StopRequest(), watch=Watch(lines.running, lines.status))
    else:
        with _progress_bar() as progress, standard_output_to_error():
            result = launch(plan, progress, StopRequest())
    if as_json:
        for text in result.json_text():
            click.echo(text, nl=False)
        click.echo()
    else:
        from deploy.cli.report import print_report

        print_report(result, plan)
    if result.error:
        click.echo(f"{result.status.capitalize()}: {result.error}", err=True)
        click.echo(f"Run folder: {result.run_dir}", err=True)
    leave(result.exit_code)


def leave(exit_code: int) -> None:
    """End the process, also when a blocked handler still holds one of its threads."""
    others = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    if others:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    sys.exit(exit_code)


@contextlib.contextmanager
def standard_output_to_error() -> Iterator[None]:
    """What components print goes to standard error, so that our output stays what it is said to be."""
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


@contextlib.contextmanager
def _progress_bar() -> Iterator[Progress | None]:
    """A bar on standard error when that is a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("bars"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("bars", total=None, rate="")

        def on_progress(sent: int, total: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f"{sent / elapsed:,.0f} bars/s" if elapsed > 0 else ""
            bar.update(task, completed=sent, total=total or None, rate=rate)

        yield on_progress
