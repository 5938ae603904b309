"""These tests need numba; without it there is nothing to test."""

import importlib.util

if importlib.util.find_spec("numba") is None:
    collect_ignore_glob = ["test_*.py"]
