"""Writes small market data files and reads them as a run does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bus.runtime.clock import Clock
from bus.runtime.settings import RunContext, RunSettings
from components.data import HistoricalDataHandler
from schemas import Message

HEADER = "timestamp,symbol,open,high,low,close,volume"


@pytest.fixture
def csv_of(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV file of these rows below a header, and returns its path."""

    def write(*rows: str, header: str = HEADER, name: str = "bars.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return write


def handler_of(path: Path | None, run: dict[str, Any] | None = None, **parameters: Any) -> HistoricalDataHandler:
    """An initialized data handler named `data`."""
    values = parameters if path is None else {"path": path, **parameters}
    handler = HistoricalDataHandler("data", values)
    handler.initialize(RunContext(run=RunSettings(**(run or {}))), lambda message: None, Clock())
    return handler


@pytest.fixture
def stream() -> Callable[..., list[Message]]:
    """Everything that a data handler with this path, run section and parameters sends."""

    def read(path: Path | None, run: dict[str, Any] | None = None, **parameters: Any) -> list[Message]:
        return [message for block in handler_of(path, run, **parameters).blocks() for message in block]

    return read


@pytest.fixture
def handler() -> Callable[..., HistoricalDataHandler]:
    """Makes an initialized data handler."""
    return handler_of
