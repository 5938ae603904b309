"""Searches whose study is kept in a real PostgreSQL server, started here with a data folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

# First of all: a module that was skipped while it was imported cannot be imported a second time.
optuna = pytest.importorskip("optuna")
pytest.importorskip("psycopg")

from tests.processes.test_optimize import LONG, Searching, rows  # noqa: E402
from tests.support.searching import a_search  # noqa: E402
from tests.support.waiting import until  # noqa: E402

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

REQUIRED = "ADMF_REQUIRE_POSTGRES" in os.environ
MISSING = "PostgreSQL's server is not on this machine: no initdb on the path or in /usr/lib/postgresql/*/bin"


def binaries() -> Path | None:
    """The folder of the server's programs."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


class Server:
    """A PostgreSQL server on 127.0.0.1. It refuses to run as root, so root starts it as nobody."""

    def __init__(self, folder: Path) -> None:
        programs = binaries()
        assert programs is not None, f"{MISSING} (Debian: apt-get install postgresql)"
        self._programs = programs
        self._user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._data = folder / "data"
        if os.geteuid() == 0:
            shutil.chown(folder, self._user)
        password = folder / "password"
        password.write_text("secret")
        password.chmod(0o644)
        self._run("initdb", "-D", str(self._data), "-U", "admf", "--auth=scram-sha-256", f"--pwfile={password}", "-N")
        self.port = free_port()
        self.url = f"postgresql+psycopg://admf:secret@127.0.0.1:{self.port}/postgres"
        self._log = folder / "log"
        self.start()

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k {self._data} -c fsync=off"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self._log), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        user = self._user if os.geteuid() == 0 else None
        # What the server inherits it keeps open: pg_ctl would be waited for until the server's end.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                command, user=user, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
            output.seek(0)
            assert done.returncode == 0, output.read()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def server():
    if binaries() is None and not REQUIRED:
        pytest.skip(MISSING)
    # Not below pytest's folder, which only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="admf-postgres-") as folder:
        Path(folder).chmod(0o755)
        one = Server(Path(folder))
        yield one
        one.stop()


def test_a_search_in_postgres_is_killed_goes_on_and_finds_what_one_in_sqlite_finds(tmp_path, server):
    config = a_search(tmp_path, **LONG)
    Searching(config, tmp_path).document()
    in_sqlite = rows(tmp_path)
    shutil.rmtree(tmp_path / "runs")

    storage = f"optimization.storage={server.url}"
    search = Searching(config, tmp_path, storage)
    until(lambda: trials_in(server.url) >= 10, 150, "10 trials")
    search.popen.kill()
    search.popen.communicate()
    document = Searching(config, tmp_path, storage).document()
    assert 10 <= document["resumed"] < 60
    assert rows(tmp_path) == in_sqlite
    assert trials_in(server.url) == 60


def test_a_server_that_goes_away_ends_the_search_with_a_sentence_and_it_goes_on_later(tmp_path, server):
    config, storage = a_search(tmp_path, **LONG), f"optimization.storage={server.url}"
    search = Searching(config, tmp_path, storage)
    until(lambda: trials_in(server.url) >= 5, 150, "5 trials")
    server.stop()
    code, errors = search.end()
    assert code == 1
    assert "could not be stored, the same command goes on from there: " in errors
    assert len(errors.splitlines()) == 1
    server.start()
    assert Searching(config, tmp_path, storage).document()["trials"] == 60


def test_a_wrong_password_is_refused_without_showing_it(tmp_path, server):
    url = server.url.replace("secret", "wrong-one")
    code, errors = Searching(a_search(tmp_path), tmp_path, f"optimization.storage={url}").end()
    assert code == 2
    assert f"optimization.storage: cannot open postgresql+psycopg://admf:***@127.0.0.1:{server.port}/postgres" in errors
    assert "wrong-one" not in errors


def trials_in(url: str) -> int:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            return int(connection.execute(sqlalchemy.text("select count(*) from trials")).scalar_one())
    except sqlalchemy.exc.ProgrammingError:  # the tables are not there yet
        return 0
    finally:
        engine.dispose()
