"""Whether backtrader is there, and what that means."""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType

import pytest

REQUIRED = "ADMF_REQUIRE_BACKTRADER"
"""Set in the tox environment `independent`: there a missing backtrader is an error."""


def import_backtrader_side() -> ModuleType:
    """`tests.independent.in_backtrader`; the test module that asks for it is skipped where backtrader is not installed.

    Raises:
        ImportError: backtrader is not there, and the environment says that it must be.
    """
    if importlib.util.find_spec("backtrader") is None and not os.environ.get(REQUIRED):
        pytest.skip("backtrader is not installed; `tox -e independent` has it", allow_module_level=True)
    return importlib.import_module("tests.independent.in_backtrader")
