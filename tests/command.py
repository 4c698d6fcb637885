"""The command, run in this process."""

from dataclasses import dataclass

from typer.testing import CliRunner

from cadenza.cli.app import app


@dataclass(frozen=True)
class Result:
    code: int
    output: str
    errors: str
    binary: bytes  # standard output as it was written


def run(*arguments: str) -> Result:
    """``cadenza ARGUMENTS``; an exception that is not ours fails the test that called."""
    result = CliRunner().invoke(app, list(arguments), prog_name="cadenza")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Result(
        result.exit_code,
        result.stdout_bytes.decode(errors="replace"),
        result.stderr,
        result.stdout_bytes,
    )
