"""`admf schema`."""

from __future__ import annotations

import inspect
import json

import click

from deploy.topology import did_you_mean
from schemas.registry import TYPES_BY_NAME, all_types, fields
from schemas.validation import json_schema


@click.command("schema")
@click.argument("type_name", metavar="[TYPE]", required=False)
def command(type_name: str | None) -> None:
    """Print the JSON Schema of a message TYPE, or list all types with id, fields and meaning."""
    if type_name is None:
        for type_id, message_type in all_types():
            click.echo(f"{type_id:>4}  {message_type.__name__:<16} {', '.join(fields(message_type))}")
            click.echo(f"      {'':<16} {(inspect.getdoc(message_type) or '').splitlines()[0]}")
        return
    message_type_or_none = TYPES_BY_NAME.get(type_name)
    if message_type_or_none is None:
        raise click.UsageError(f"no message type is called {type_name!r}{did_you_mean(type_name, TYPES_BY_NAME)}")
    click.echo(json.dumps(json_schema(message_type_or_none), indent=2))
