"""The study that lasts: every trial, as soon as it ends, in a database that Optuna and its dashboard can read."""

from __future__ import annotations

import contextlib
import fcntl
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bus.errors import AdmfError, ConfigError
from deploy.optimize.extras import optuna
from deploy.optimize.section import Objective
from deploy.optimize.trial import PRUNED, Trial
from deploy.run_folder import COMPLETED

_KEPT = ("state", "violations", "statistics", "digests", "error", "elapsed_s")


class Store:
    """The trials of one fold, appended in the order of their numbers, so that a kill leaves a beginning of them."""

    def __init__(self, study: Any, space: Mapping[str, Any]) -> None:
        self._study = study
        self._space = space
        self.trials: list[Trial] = [_from_frozen(frozen) for frozen in study.get_trials(deepcopy=False)]

    def append(self, trial: Trial) -> None:
        """Keep a trial: it is committed when this returns.

        Raises:
            AdmfError: the database does not take it.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._study.add_trial(_to_frozen(trial, self._space))
        except Exception as error:
            if not _is_of_the_database(error):
                raise
            raise AdmfError(
                f"trial {trial.number} could not be stored, the same command goes on from there: {_first_line(error)}"
            ) from None
        self.trials.append(trial)


def open_store(
    storage: Any, name: str, objectives: Sequence[Objective], space: Mapping[str, Any], fingerprint: Mapping[str, str]
) -> Store:
    """The study of that name, made if there is none.

    Raises:
        ConfigError: there is one, made with another configuration or other data.
    """
    directions = [objective.direction for objective in objectives]
    try:
        study = optuna().create_study(study_name=name, storage=storage, directions=directions)
    except optuna().exceptions.DuplicatedStudyError:
        study = optuna().load_study(study_name=name, storage=storage)
        _require_same(name, study.user_attrs, fingerprint)
    else:
        for key, value in fingerprint.items():
            study.set_user_attr(key, value)
        study.set_user_attr("objectives", [objective.key for objective in objectives])
    return Store(study, space)


def _require_same(name: str, found: Mapping[str, Any], fingerprint: Mapping[str, str]) -> None:
    # A kill while the study was being made may have left some of them out: then it has no trials either.
    differing = [key for key, value in fingerprint.items() if found.get(key, value) != value]
    if differing:
        raise ConfigError(
            f"study {name!r} was made with another {' and '.join(differing)}; go on as it was, give a new name "
            "(--set optimization.study=NAME), or begin anew with --restart"
        )


@contextlib.contextmanager
def open_storage(url: str) -> Iterator[Any]:
    """Optuna's storage at an SQLAlchemy URL (sqlite:///..., postgresql://...), closed at the end.

    Raises:
        ConfigError: it cannot be opened, or its driver is not installed.
    """
    storages = optuna().storages
    # Writers of one file wait for each other instead of failing.
    engine = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None
    try:
        storage = storages.RDBStorage(url, engine_kwargs=engine)
    except ImportError as error:
        hint = (
            " (pip install 'psycopg[binary]', and let the URL begin with postgresql+psycopg://)"
            if url.startswith("postgresql")
            else ""
        )
        raise ConfigError(f"optimization.storage: the driver of {_hidden(url)} is missing{hint}: {error}") from None
    except Exception as error:
        if not _is_of_the_database(error):
            raise
        raise ConfigError(f"optimization.storage: cannot open {_hidden(url)}: {_first_line(error)}") from None
    if engine is not None:
        _commit_without_waiting_for_the_disk(storage)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _commit_without_waiting_for_the_disk(storage: Any) -> None:
    """SQLite with a write-ahead log: a kill loses nothing, a power cut the last trials at most, and never the study."""
    from sqlalchemy import event

    def configure(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(storage.engine, "connect", configure)
    storage.remove_session()
    storage.engine.dispose()


def _is_of_the_database(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("sqlalchemy", "optuna")


def _first_line(error: Exception) -> str:
    """Of the database's own words, where the library wraps them."""
    return str(getattr(error, "orig", None) or error.__cause__ or error).strip().partition("\n")[0]


def _hidden(url: str) -> str:
    """The URL without its password."""
    head, at, tail = url.rpartition("@")
    return f"{head.rpartition(':')[0]}:***@{tail}" if at and head.count(":") > 1 else url


def delete_studies(storage: Any, name: str) -> None:
    """Forget the study and its folds."""
    for summary in optuna().get_all_study_names(storage=storage):
        if summary == name or summary.startswith(f"{name}/fold-"):
            optuna().delete_study(study_name=summary, storage=storage)


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the study's folder: two searches at a time would mix their trials.

    Raises:
        ConfigError: another process holds it.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{folder}: another search works on this study; wait for it, or give this one a name of its own "
                "(--set optimization.study=NAME)"
            ) from None
        yield


def _to_frozen(trial: Trial, space: Mapping[str, Any]) -> Any:
    states = optuna().trial.TrialState
    state = {COMPLETED: states.COMPLETE, PRUNED: states.PRUNED}.get(trial.state, states.FAIL)
    return optuna().trial.create_trial(
        state=state,
        params=trial.point,
        distributions=dict(space),
        values=list(trial.values) if state is states.COMPLETE else None,
        intermediate_values=trial.intermediate,
        user_attrs={"number": trial.number, **{key: getattr(trial, key) for key in _KEPT}},
        constraints=trial.violations or None,
    )


def _from_frozen(frozen: Any) -> Trial:
    kept = {**frozen.user_attrs}
    return Trial(
        number=kept["number"],
        point=dict(frozen.params),
        state=kept["state"],
        values=tuple(frozen.values or ()),
        intermediate=dict(frozen.intermediate_values),
        violations=kept["violations"],
        statistics=kept["statistics"],
        digests=tuple(kept["digests"]),
        error=kept["error"],
        elapsed_s=kept["elapsed_s"],
    )
