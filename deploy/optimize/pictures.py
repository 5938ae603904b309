"""Pictures of a search: its course, which parameters matter, where the good ones lie, the Pareto front."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from deploy.optimize.extras import need, optuna
from deploy.optimize.optimizer import FoldResult, SearchResult
from deploy.optimize.section import Objective
from deploy.optimize.space import axis, distributions
from deploy.optimize.tables import short_name
from deploy.optimize.trial import Trial, cost_of
from deploy.run_folder import COMPLETED

_DPI = 110
_ACCENT, _MUTED, _SECOND = "#1f6f8b", "#b8c4c9", "#c8553d"
_MAPS = 6
"""At most so many heat maps: of the pairs of the most important parameters."""
_BINS = 12
_FEWEST = 4
"""Importance is not told from fewer completed trials."""


def draw(result: SearchResult) -> list[Path]:
    """Draw every picture that the result has enough trials for, as PNG files in `pictures/`; those of the last fold.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    need("matplotlib", "optimize", "the report of admf optimize")
    folder = result.folder / "pictures"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    last, objectives = result.folds[-1], result.section.objective
    completed = [trial for trial in last.trials if trial.state == COMPLETED]
    if not completed:
        return []
    paths = [_figure(folder / "course.png", lambda axes: _course(axes, last, objectives[0]))]
    weights = importance(completed, result)
    if weights:
        paths.append(_figure(folder / "importance.png", lambda axes: _bars(axes, weights, objectives[0])))
    if len(objectives) > 1:
        paths.append(_figure(folder / "pareto.png", lambda axes: _pareto(axes, last, objectives)))
    names = [path for path in weights or result.section.parameters if len({t.point[path] for t in completed}) > 1]
    for x, y in itertools.islice(itertools.combinations(names, 2), _MAPS):
        target = folder / f"map-{short_name(x)}-{short_name(y)}.png"
        paths.append(_figure(target, partial(_heat_map, trials=completed, x=x, y=y, result=result)))
    if len(result.folds) > 1 and any(fold.test for fold in result.folds):
        paths.append(_figure(folder / "folds.png", lambda axes: _folds(axes, result.folds, objectives[0])))
    return paths


def importance(trials: Sequence[Trial], result: SearchResult) -> dict[str, float]:
    """Each parameter's share in what makes trials good (PED-ANOVA, Watanabe et al. 2023), the largest first.

    Of the first objective. Empty when there are too few trials, or all gave the same.
    """
    if len(trials) < _FEWEST or len({trial.values[0] for trial in trials}) < 2 or len(result.section.parameters) < 2:
        return {}
    space = distributions(result.section.parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna().create_study(direction=result.section.objective[0].direction)
        for trial in trials:
            study.add_trial(optuna().trial.create_trial(params=trial.point, distributions=space, value=trial.values[0]))
        evaluator = optuna().importance.PedAnovaImportanceEvaluator()
        found: dict[str, float] = optuna().importance.get_param_importances(study, evaluator=evaluator)
    return found


def _figure(path: Path, draw_on: Callable[[Any], None]) -> Path:
    # The figure without pyplot: no window, no global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.4), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw_on(axes)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    return path


def _course(axes: Any, fold: FoldResult, objective: Objective) -> None:
    for feasible, color, label in ((False, _MUTED, "not feasible"), (True, _ACCENT, "feasible")):
        shown = [t for t in fold.trials if t.state == COMPLETED and t.is_feasible is feasible]
        if shown:
            axes.scatter([t.number for t in shown], [t.values[0] for t in shown], s=16, color=color, label=label)
    better = max if objective.direction == "maximize" else min
    feasible_trials = [t for t in fold.trials if t.is_feasible]
    if feasible_trials:
        best = list(itertools.accumulate((t.values[0] for t in feasible_trials), better))
        numbers = [t.number for t in feasible_trials]
        axes.step(
            [*numbers, fold.trials[-1].number], [*best, best[-1]], where="post", color=_SECOND, label="best so far"
        )
    axes.set(xlabel="trial", ylabel=objective.key, title=f"Course of the search ({objective.direction})")
    axes.legend(frameon=False)


def _bars(axes: Any, weights: dict[str, float], objective: Objective) -> None:
    names = [short_name(path) for path in reversed(weights)]
    values = list(reversed(weights.values()))
    bars = axes.barh(names, values, color=_ACCENT, height=0.6)
    axes.bar_label(bars, [f"{value:.0%}" for value in values], padding=4)
    axes.set(xlim=(0, max(values) * 1.15 or 1), xlabel="share", title=f"Importance for {objective.key}")


def _pareto(axes: Any, fold: FoldResult, objectives: Sequence[Objective]) -> None:
    x, y = objectives[:2]
    others = [t for t in fold.trials if t.state == COMPLETED and t not in fold.best]
    axes.scatter(
        [t.values[0] for t in others],
        [t.values[1] for t in others],
        s=16,
        color=_MUTED,
        label="beaten, or not feasible",
    )
    front = sorted(fold.best, key=lambda trial: cost_of(trial, objectives))
    axes.plot([t.values[0] for t in front], [t.values[1] for t in front], "o-", color=_SECOND, label="Pareto front")
    axes.set(xlabel=f"{x.key} ({x.direction})", ylabel=f"{y.key} ({y.direction})", title="Pareto front")
    axes.legend(frameon=False)


def _heat_map(axes: Any, trials: Sequence[Trial], x: str, y: str, result: SearchResult) -> None:
    """The mean over the trials in each cell; cells without a trial stay empty."""
    objective = result.section.objective[0]
    columns, column_of = _axis(_values(trials, x, result), result.section.parameters[x].log)
    rows, row_of = _axis(_values(trials, y, result), result.section.parameters[y].log)
    cells: dict[tuple[int, int], list[float]] = {}
    for trial in trials:
        cells.setdefault((row_of(trial.point[y]), column_of(trial.point[x])), []).append(trial.values[0])
    values = [
        [fmean(cells[r, c]) if (r, c) in cells else float("nan") for c in range(len(columns))] for r in range(len(rows))
    ]
    colors = "viridis" if objective.direction == "maximize" else "viridis_r"
    image = axes.imshow(values, origin="lower", aspect="auto", cmap=colors, interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, label=f"mean {objective.key}")
    axes.set_xticks(range(len(columns)), columns, rotation=45 if len(columns) > 8 else 0)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=short_name(x), ylabel=short_name(y), title=objective.key)


def _values(trials: Sequence[Trial], path: str, result: SearchResult) -> list[Any]:
    """All that the parameter may be, where that can be counted, else what was tried."""
    one = result.section.parameters[path]
    if one.choices or (one.step is not None):
        return axis(path, one)
    return [trial.point[path] for trial in trials]


def _axis(values: Sequence[Any], log: bool) -> tuple[list[str], Callable[[Any], int]]:
    """Labels of an axis, and which of them a value belongs to.

    Each value has its own, but many numbers share bins, which are equal in size or, with `log`, in ratio.
    """
    distinct = sorted(set(values), key=lambda v: (isinstance(v, str), v if v is not None else -1))
    if len(distinct) <= 2 * _BINS or any(isinstance(v, str | None) for v in distinct):
        place = {value: i for i, value in enumerate(distinct)}
        return [f"{v:.6g}" if isinstance(v, float) else str(v) for v in distinct], place.__getitem__
    scale, back = (math.log, math.exp) if log else (float, float)
    low, high = scale(distinct[0]), scale(distinct[-1])
    width = (high - low) / _BINS
    labels = [f"{back(low + (i + 0.5) * width):.3g}" for i in range(_BINS)]
    return labels, lambda value: min(_BINS - 1, int((scale(value) - low) / width))


def _folds(axes: Any, folds: Sequence[FoldResult], objective: Objective) -> None:
    shown = [fold for fold in folds if fold.best]
    for shift, color, label, values in (
        (-0.2, _MUTED, "training", [fold.best[0].values[0] for fold in shown]),
        (0.2, _ACCENT, "test", [fold.test.values[0] if fold.test and fold.test.values else 0.0 for fold in shown]),
    ):
        axes.bar([fold.fold.number + shift for fold in shown], values, width=0.4, color=color, label=label)
    axes.set_xticks([f.fold.number for f in shown], [str(f.fold.test.start) if f.fold.test else "" for f in shown])
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="test from", ylabel=objective.key, title="In training, and on data that the search never saw")
    axes.legend(frameon=False)
