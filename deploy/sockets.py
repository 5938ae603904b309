"""Where a run's sockets lie: a private folder with a short path, which goes with the run, however that ends.

Whoever launches holds a lock in the folder as long as it lives. A folder whose lock nobody holds was left behind by a
launcher that was killed; the next one takes it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PREFIX: Final = "admf-"
_LOCK: Final = "lock"
_LONGEST: Final = 107 - len("/out")
"""Bytes of the folder's path: a socket's is limited to 107, so it cannot lie in a run folder, which may be deep."""


@contextlib.contextmanager
def socket_folder() -> Iterator[Path]:
    """A folder that only this user may enter, until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    if len(os.fsencode(folder)) > _LONGEST:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    sweep(folder.parent)
    with (folder / "new").open("wb") as lock:
        # Locked before it has its name, so that nobody finds it and nobody holding it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "new").rename(folder / _LOCK)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(place: Path) -> list[Path]:
    """Remove the folders of ours in `place` that dead launchers have left, and return them."""
    return [folder for folder in sorted(place.glob(f"{PREFIX}*")) if _is_abandoned(folder) and _removed(folder)]


def _is_abandoned(folder: Path) -> bool:
    try:
        if folder.stat().st_uid != os.getuid():
            return False
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # no folder of ours, gone meanwhile, or its launcher lives
        return False
    return True


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
