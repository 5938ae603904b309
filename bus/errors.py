"""Everything that goes wrong on purpose. Who erred is in the type; the exit code follows from it.

AdmfError
|-- ConfigError        the user's configuration, before anything started (exit 2)
|-- DataError          the user's data files (exit 2)
|-- LogError           a message log that is damaged, missing, or not a log
|-- ProtocolError      a peer sent what it must not send
|-- ComponentError     a component raised, died, or went silent
`-- Divergence         two runs that should be equal are not (exit 3)
"""

from __future__ import annotations

from collections.abc import Sequence

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_DIVERGENCE = 3
EXIT_INTERRUPTED = 130


class AdmfError(Exception):
    """Base of all errors that we raise on purpose; its text is meant for the user."""

    exit_code = EXIT_FAILED


class ConfigError(AdmfError):
    """One or more faults in the configuration, all of them at once, each with its place."""

    exit_code = EXIT_CONFIG

    def __init__(self, faults: Sequence[str] | str) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


class DataError(AdmfError):
    """One or more faults in a market data file, each with file and row."""

    exit_code = EXIT_CONFIG

    def __init__(self, faults: Sequence[str] | str) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


class StopNow(KeyboardInterrupt):
    """The run is broken off where it is. Not an Exception: no handler of ours or of a component may swallow it."""


class LogError(AdmfError):
    """The message log cannot be read or written."""


class ProtocolError(AdmfError):
    """A peer on the bus sent something that the protocol does not allow; names the sender."""


class ComponentError(AdmfError):
    """A component failed; `component` names it."""

    def __init__(self, component: str, error: str, traceback: str = "") -> None:
        self.component = component
        self.error = error
        self.traceback = traceback
        super().__init__(f"component {component!r} failed: {error}")


class Divergence(AdmfError):
    """Two runs that should be equal differ."""

    exit_code = EXIT_DIVERGENCE
