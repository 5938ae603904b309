"""The report of a search: one HTML page with its pictures inside, the table of trials, and the result as JSON."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from deploy.optimize.optimizer import FoldResult, SearchResult
from deploy.optimize.pictures import draw
from deploy.optimize.tables import short_name, write_document, write_trials
from deploy.optimize.trial import Trial, cost_of

_SHOWN = 25
_ALWAYS_SHOWN = {"total_return_pct": "return %", "max_drawdown": "drawdown", "trades": "trades"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c2529 }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } td, th { padding: .2rem .8rem; text-align: right }
th { border-bottom: 1px solid #888 } tr:nth-child(even) td { background: #f3f6f7 }
pre { background: #f3f6f7; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere } img { max-width: 100% }
"""


def write_report(result: SearchResult) -> list[str]:
    """Write all files of the report into the study's folder and return their names.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    names = write_trials(result)
    write_document(result)
    pictures = draw(result)
    (result.folder / "report.html").write_text(_page(result, pictures), encoding="utf-8")
    return ["report.html", *names, "result.json"]


def _page(result: SearchResult, pictures: Sequence[Path]) -> str:
    title = f"Study {html.escape(result.study)}"
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>',
        f"<h1>{title}</h1>",
        _summary(result),
        "<h2>Best</h2>",
        *_best(result),
    ]
    if any(fold.test for fold in result.folds):
        parts += ["<h2>Tests on data that the search never saw</h2>", _folds_table(result)]
    whose = " of the last fold" if len(result.folds) > 1 else ""
    parts += [f"<h2>Pictures{whose}</h2>", *(_image(path) for path in pictures)]
    parts += [f"<h2>The best {_SHOWN} trials of the last fold</h2>", _trials_table(result), "</html>"]
    return "\n".join(parts) + "\n"


def _summary(result: SearchResult) -> str:
    section = result.section
    states = [trial.state for trial in result.trials]
    goals = ", ".join(f"{o.direction} {o.key}" for o in section.objective)
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    limits = "; ".join(section.constraints) or "none"
    return (
        f"<p>{html.escape(goals)}. Constraints: {html.escape(limits)}. Sampler {section.sampler.type}, seed "
        f"{section.seed}, batches of {section.batch_size}. {len(states):,} trials ({counts}).</p>"
    )


def _best(result: SearchResult) -> Iterable[str]:
    if result.chosen is None:
        yield "<p>No trial ran to its end and met every constraint.</p>"
        return
    yield _table(_columns(result), [_row(trial, result) for trial in result.folds[-1].best])
    yield f"<p>This gives the first of them again, digest <code>{result.digest or 'not computed'}</code>:</p>"
    yield f"<pre>{html.escape(result.command)}</pre>"


def _columns(result: SearchResult) -> list[str]:
    objectives = [objective.key for objective in result.section.objective]
    return ["trial", *objectives, *map(short_name, result.section.parameters), *_beside(result).values()]


def _row(trial: Trial, result: SearchResult) -> list[Any]:
    beside = (trial.statistics.get(key, "") for key in _beside(result))
    return [trial.number, *trial.values, *trial.point.values(), *beside]


def _beside(result: SearchResult) -> dict[str, str]:
    """What one wants to know of a trial whatever it was searched for, and what to call it."""
    objectives = {objective.key for objective in result.section.objective}
    return {key: name for key, name in _ALWAYS_SHOWN.items() if key not in objectives}


def _folds_table(result: SearchResult) -> str:
    key = result.section.objective[0].key
    columns = ["fold", "training", "test", "trial", f"{key} in training", f"{key} in the test", "trades", "return %"]
    return _table(columns, [_fold_row(fold) for fold in result.folds])


def _fold_row(fold: FoldResult) -> list[Any]:
    head = [fold.fold.number, str(fold.fold.train), str(fold.fold.test)]
    if not fold.best or fold.test is None:
        return [*head, *["none feasible", "", "", "", ""]]
    value = fold.test.values[0] if fold.test.values else fold.test.error
    statistics = fold.test.statistics
    return [
        *head,
        fold.best[0].number,
        fold.best[0].values[0],
        value,
        *map(statistics.get, ("trades", "total_return_pct")),
    ]


def _trials_table(result: SearchResult) -> str:
    objectives = result.section.objective
    ranked = sorted(
        (trial for trial in result.folds[-1].trials if trial.values),
        key=lambda trial: (not trial.is_feasible, cost_of(trial, objectives)),
    )
    rows = [[*_row(trial, result), "yes" if trial.is_feasible else "no"] for trial in ranked[:_SHOWN]]
    return _table([*_columns(result), "feasible"], rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    return html.escape(f"{value:,.4g}" if isinstance(value, float) else str(value))


def _image(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}"></p>'
