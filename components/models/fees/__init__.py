"""Dated fee tables of brokers, one YAML file each: where it was published, when it held, and the model's parameters."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.models.registry import unknown

_FOLDER = Path(__file__).parent


def table_names() -> list[str]:
    """The tables there are, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


@functools.cache
def read_table(name: str) -> Mapping[str, Any]:
    """A table by name, with the keys source, in_force, currency, note, model and parameters.

    Raises:
        ValueError: there is no such table; the text lists those that there are.
    """
    import yaml

    if name not in table_names():
        raise ValueError(unknown("fee table", name, table_names()))
    table: Mapping[str, Any] = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return table
