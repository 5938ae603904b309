"""`admf optimize`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from bus.errors import EXIT_FAILED, EXIT_INTERRUPTED
from deploy.optimize.optimizer import Hooks, SearchResult, optimize
from deploy.optimize.tables import document, point_text, value_text
from deploy.optimize.trial import Trial, cost_of
from deploy.optimize.windows import Fold
from deploy.stopping import Interrupted, StopRequest

_SHOWN = 10


@click.command("optimize")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of CONFIG, e.g. optimization.trials=200. Repeatable.",
)
@click.option("--restart", is_flag=True, help="Forget the study's trials and begin anew.")
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document on standard output.")
def command(config: Path, settings: tuple[str, ...], restart: bool, as_json: bool) -> None:
    """Search the best parameters of the topology in CONFIG, as its `optimization` section says.

    Started again, it goes on where it ended or was killed. The report is in the study's folder.
    """
    try:
        with _progress() as hooks:
            result = optimize(config, settings, hooks, StopRequest(grace_s=None), restart)
    except Interrupted as error:
        click.echo(f"Interrupted: {error}. The study keeps what was found; the same command goes on.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    from deploy.optimize.report import write_report

    names = write_report(result)
    if as_json:
        click.echo(json.dumps(document(result), allow_nan=False))
    else:
        _print(result, names)
    if result.chosen is None:
        click.echo("Error: no trial of the last fold ran to its end and met every constraint", err=True)
        sys.exit(EXIT_FAILED)


@contextlib.contextmanager
def _progress() -> Iterator[Hooks]:
    """A bar on standard error when that is a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield Hooks()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("fold {task.fields[fold]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("best {task.fields[best]}"),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("trials", total=None, fold=1, best="none yet")

        def on_begin(fold: Fold, count: int | None) -> None:
            bar.reset(task, total=count, fold=fold.number, best="none yet")

        def on_trial(_fold: Fold, _trial: Trial, best: Trial | None) -> None:
            text = "none yet" if best is None else f"{best.values[0]:.4g} (trial {best.number})"
            bar.update(task, advance=1, best=text)

        yield Hooks(on_begin, on_trial)


def _print(result: SearchResult, names: list[str]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    for fold in result.folds:
        console.print(_table(result, fold))
    if result.chosen is not None:
        console.print("The best again:", style="dim")
        console.print(escape(result.command), soft_wrap=True)
        console.print(f"Digest      {result.digest or 'not computed (capture none)'}", soft_wrap=True)
    done = len(result.trials) - result.resumed
    console.print(f"Trials      {len(result.trials):,} ({done:,} now, {result.elapsed_s:.1f} s)")
    console.print(f"Report      {escape(str(result.folder / names[0]))}  ({', '.join(names[1:])})", soft_wrap=True)


def _table(result: SearchResult, fold: Any) -> Any:
    from rich.markup import escape
    from rich.table import Table

    window = f", {fold.fold.train}" if fold.fold.train else ""
    table = Table(title=f"{result.study}: fold {fold.fold.number}{window}", title_justify="left")
    table.add_column("trial", justify="right")
    table.add_column("value")
    table.add_column("parameters")
    objectives = result.section.objective
    ranked = [t for t in fold.trials if t.is_feasible and t not in fold.best]
    ranked.sort(key=lambda trial: cost_of(trial, objectives))
    for trial in [*fold.best, *ranked][:_SHOWN]:
        style = "bold" if trial in fold.best else None
        table.add_row(str(trial.number), escape(value_text(trial, result)), escape(point_text(trial)), style=style)
    if fold.test is not None:
        found = value_text(fold.test, result) or fold.test.error
        table.add_row("test", escape(found), escape(f"{fold.fold.test} with the best"), style="italic")
    return table
