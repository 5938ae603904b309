"""Runs commands of `admf` in this process, for what they say; `tests.support.launching` runs them as a user does."""

from __future__ import annotations

from click.testing import CliRunner, Result

from bus.errors import AdmfError
from deploy.cli.main import admf


def command(*arguments: object, code: int = 0) -> Result:
    """`admf ARGUMENTS`, which must end with this exit code; an error of ours is in its `exception`."""
    result = CliRunner().invoke(admf, [str(argument) for argument in arguments])
    found = result.exception.exit_code if isinstance(result.exception, AdmfError) else result.exit_code
    assert found == code, (result.output, result.exception)
    return result


def text_of(result: Result) -> str:
    """All that the command said, its error too."""
    return result.output + (str(result.exception) if isinstance(result.exception, AdmfError) else "")
