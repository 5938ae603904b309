"""A topology with an `optimization` section, small enough that a search takes seconds."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.support.launching import ROOT

FAST, SLOW = "components.strategy.fast", "components.strategy.slow"


def a_search(folder: Path, **optimization: object) -> Path:
    """A topology file: a crossover on two years of daily bars, and a grid of six cells unless it is told otherwise."""
    section = {
        "study": "s",
        "objective": "total_return",
        "parameters": {FAST: [5, 10, 15], SLOW: [20, 40]},
        "sampler": "grid",
        "executor": "inline",
        "batch_size": 4,
        **optimization,
    }
    content = {
        "bus": {"run_dir": str(folder / "runs")},
        "backtest": {"symbols": ["IBM"], "start_date": "2006-01-01", "end_date": "2007-12-31"},
        "optimization": {key: value for key, value in section.items() if value is not None},
        "components": {
            "data_handler": {
                "class": "HistoricalDataHandler",
                "path": str(ROOT / "configs" / "data" / "daily.csv"),
            },
            "strategy": {"class": "MovingAverageCrossover"},
            "risk_manager": {"class": "RiskStub", "percent_of_equity": 50},
        },
    }
    path = folder / "search.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
