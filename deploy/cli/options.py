"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from deploy.plan import Placement

_F = TypeVar("_F", bound=Callable[..., Any])


def topology_options(function: _F) -> _F:
    """CONFIG, --set and --placement."""
    for decorate in (
        click.option(
            "--placement",
            type=click.Choice([p.value for p in Placement]),
            help="Run every component in one thread, in threads, or in processes, whatever CONFIG says.",
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Change a value of CONFIG, e.g. components.broker.slippage.price_impact=0.001. Repeatable.",
        ),
        click.argument("config", type=click.Path(path_type=Path)),
    ):
        function = decorate(function)
    return function


def as_placement(value: str | None) -> Placement | None:
    """The chosen placement, or None to follow the topology file."""
    return None if value is None else Placement(value)
