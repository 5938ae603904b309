"""`admf`: the commands, each imported only when it is called, so that `admf --help` stays quick."""

from __future__ import annotations

import importlib
import os
import signal
import sys

import click

from bus.errors import EXIT_FAILED, AdmfError
from deploy import __version__

COMMANDS = {
    "check": ("deploy.cli.check", "Validate a topology file and show its plan."),
    "data": ("deploy.cli.data", "Check market data files."),
    "launch": ("deploy.cli.launch", "Run a topology."),
    "log": ("deploy.cli.log", "Look into message logs: info, cat, verify, repair, why, diff, stats."),
    "optimize": ("deploy.cli.optimize", "Search the best parameters of a topology."),
    "replay": ("deploy.cli.replay", "Run a captured log again and compare."),
    "schema": ("deploy.cli.schema", "Show the messages and their JSON Schema."),
}

PRINTING = frozenset({"check", "data", "log", "schema"})
"""Commands that only print. The others write to pipes of their own, whose end they must survive."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; their one-line help stands here."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands in `--help`, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="admf")
def admf() -> None:
    """ADMF-Trader: launch component topologies, and look into the message logs that they leave.

    Exit codes: 0 done, 1 failed, 2 wrong configuration or data, 3 two runs differ, 130 interrupted.
    """


def main() -> None:
    """Entry point of the console script: our errors become one clear text and an exit code."""
    # Read when numpy is imported, here and in the processes that we start: see docs/execution-modes.md.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.argv[1:2] and sys.argv[1] in PRINTING:
        # Without this click turns a reader that has left (`admf log cat | head`) into exit code 1.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        admf.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except AdmfError as error:
        report_error(error)
        sys.exit(error.exit_code)
    except OSError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(EXIT_FAILED)


def report_error(error: AdmfError) -> None:
    """The error on standard error; several faults as a list."""
    faults = getattr(error, "faults", [str(error)])
    if len(faults) == 1:
        click.echo(f"Error: {faults[0]}", err=True)
        return
    click.echo(f"Error: {len(faults)} faults:", err=True)
    for fault in faults:
        click.echo(f"  - {fault}", err=True)
