"""The command ``cadenza``: parse, call, show. The work is done elsewhere.

Nothing heavy is imported before a command runs, so that help and mistakes are answered at once.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """The entry point of the command."""
    try:
        from cadenza.cli.app import main as begin

        begin()
    except KeyboardInterrupt:  # no command has begun yet that would say what becomes of its work
        sys.exit(130)
