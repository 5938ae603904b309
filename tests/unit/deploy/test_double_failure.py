"""A run that fails, and whose log then cannot be written either."""

from __future__ import annotations

import json
from pathlib import Path

from bus.errors import LogError
from bus.log import LogWriter
from bus.runtime.component import Component, handles
from deploy.launcher import launch
from deploy.plan import plan_of
from deploy.run_folder import FAILED
from schemas import Bar, Signal
from tests.support.launching import ROOT


class Fails(Component):
    component_type = "strategy"
    emits = (Signal,)

    @handles(Bar)
    def on_bar(self, _: Bar) -> None:
        raise ValueError("no idea")


def test_the_first_failure_is_the_one_that_is_told(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise LogError("the disk is full")

    monkeypatch.setattr(LogWriter, "append_message", refuse)
    monkeypatch.setattr("bus.local_order.Captured.take_in", lambda *_: None)
    monkeypatch.setattr("bus.conductor.Conductor.run", lambda conductor: conductor.bus.feed(1, a_day()))
    content = {
        "bus": {"run_dir": str(tmp_path / "runs")},
        "components": {
            "data_handler": {"class": "HistoricalDataHandler", "path": str(ROOT / "configs" / "data" / "daily.csv")},
            "strategy": {"class": f"{__name__}.Fails"},
        },
    }
    result = launch(plan_of(content, Path("topology.yaml")))
    assert result.status == FAILED
    assert "ValueError: no idea" in result.error
    assert "The log does not say so, for it could not be written any more: the disk is full" in result.error
    assert json.loads((Path(result.run_dir) / "results.json").read_text())["status"] == FAILED


def a_day() -> list[Bar]:
    return [Bar(1, "AAPL", 1.0, 1.0, 1.0, 1.0, 1.0)]
