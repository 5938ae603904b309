"""How functions are compiled, and where the machine code is kept between runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])


def cache_folder() -> Path:
    """`~/.cache/admf/numba/<hash>`, by our sources: numba misses a change in a module that another one calls."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.blake2b(b"".join(path.read_bytes() for path in sources), digest_size=8).hexdigest()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "admf" / "numba" / digest


if not numba.config.CACHE_DIR:  # NUMBA_CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder())


def compiled(function: F) -> F:
    """The function as machine code: without the interpreter's lock, and with every operation as it is written."""
    made: F = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return made
