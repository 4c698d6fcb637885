"""The command ``cadenza``: parse, call, show. The work is done elsewhere.

Nothing heavy is imported before a command runs, so that help and mistakes are answered at once.
"""

from cadenza.cli.app import app, main

__all__ = ["app", "main"]
