"""``python -m cadenza`` is the command."""

from cadenza.cli import main

main()
