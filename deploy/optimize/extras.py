"""Libraries that come with an extra, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from bus.errors import ConfigError


def need(module: str, extra: str, what: str) -> Any:
    """The imported module.

    Raises:
        ConfigError: it is not installed; the text says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise ConfigError(
            f"{what} needs {module.partition('.')[0]}, which is not installed: pip install 'admf-trader[{extra}]'"
        ) from None


def optuna() -> Any:
    """Optuna, without its messages."""
    module = need("optuna", "optimize", "admf optimize")
    module.logging.set_verbosity(module.logging.WARNING)
    return module
