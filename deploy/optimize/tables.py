"""All trials as one table: a row a trial, in files and on the terminal."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

from deploy.optimize.optimizer import FoldResult, SearchResult
from deploy.optimize.trial import Trial

Columns = dict[str, list[Any]]


def trial_columns(result: SearchResult) -> Columns:
    """`fold`, `trial`, `state`, `feasible`, `best`, the parameters by their path, the result keys, then `digest`,
    `elapsed_s`, `error`. What a trial does not have is None."""
    rows = [(fold, trial) for fold in result.folds for trial in fold.trials]
    keys = list(dict.fromkeys(key for _, trial in rows for key in trial.statistics))
    columns: Columns = {
        "fold": [fold.fold.number for fold, _ in rows],
        "trial": [trial.number for _, trial in rows],
        "state": [trial.state for _, trial in rows],
        "feasible": [trial.is_feasible for _, trial in rows],
        "best": [trial in fold.best for fold, trial in rows],
    }
    for path in result.section.parameters:
        columns[path] = [trial.point[path] for _, trial in rows]
    for key in keys:
        columns[key] = [trial.statistics.get(key) for _, trial in rows]
    columns["digest"] = [trial.digests[0] if trial.digests else None for _, trial in rows]
    columns["elapsed_s"] = [trial.elapsed_s for _, trial in rows]
    columns["error"] = [trial.error.partition("\n")[0] for _, trial in rows]
    return columns


def write_trials(result: SearchResult) -> list[str]:
    """Write `trials.csv`, and `trials.parquet` where pyarrow is installed; returns the names."""
    columns = trial_columns(result)
    with (result.folder / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    if importlib.util.find_spec("pyarrow") is None:
        return ["trials.csv"]
    _write_parquet(result.folder / "trials.parquet", columns)
    return ["trials.csv", "trials.parquet"]


def _write_parquet(path: Path, columns: Columns) -> None:
    import pyarrow
    import pyarrow.parquet

    arrays = {name: pyarrow.array(_of_one_type(values)) for name, values in columns.items()}
    pyarrow.parquet.write_table(pyarrow.table(arrays), path)


def _of_one_type(values: list[Any]) -> list[Any]:
    """Choices may mix texts and numbers, which a column cannot."""
    types = {type(value) for value in values if value is not None}
    if types == {int, float}:
        return [value if value is None else float(value) for value in values]
    return values if len(types) < 2 else [value if value is None else str(value) for value in values]


def value_text(trial: Trial, result: SearchResult) -> str:
    """The objectives' values for people."""
    pairs = zip(result.section.objective, trial.values, strict=False)
    return ", ".join(f"{objective.key} {value:.4g}" for objective, value in pairs)


def point_text(trial: Trial) -> str:
    """The point for people: parameters without the common beginning of their paths."""
    return ", ".join(f"{short_name(path)}={value}" for path, value in trial.point.items())


def short_name(path: str) -> str:
    """`components.strategy.fast` is `strategy.fast`."""
    return path.removeprefix("components.")


def document(result: SearchResult) -> dict[str, Any]:
    """The result as one JSON object, without the single trials."""
    states = [trial.state for trial in result.trials]
    return {
        "study": result.study,
        "folder": str(result.folder),
        "trials": len(states),
        "states": {state: states.count(state) for state in sorted(set(states))},
        "resumed": result.resumed,
        "workers_replaced": result.workers_replaced,
        "folds": [_fold_document(fold) for fold in result.folds],
        "command": result.command,
        "digest": result.digest,
        "run_dir": result.run_dir,
        "elapsed_s": round(result.elapsed_s, 3),
    }


def _fold_document(fold: FoldResult) -> dict[str, Any]:
    return {
        "fold": fold.fold.number,
        "train": str(fold.fold.train) if fold.fold.train else None,
        "test": str(fold.fold.test) if fold.fold.test else None,
        "best": [_trial_document(trial) for trial in fold.best],
        "test_result": _trial_document(fold.test) if fold.test else None,
        "commands": list(fold.commands),
    }


def _trial_document(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": trial.state,
        "parameters": trial.point,
        "values": list(trial.values),
        "statistics": trial.statistics,
        "digests": list(trial.digests),
        **({"error": trial.error} if trial.error else {}),
    }


def write_document(result: SearchResult) -> None:
    """Write `result.json`."""
    text = json.dumps(document(result), indent=2, allow_nan=False)
    (result.folder / "result.json").write_text(text + "\n", encoding="utf-8")
