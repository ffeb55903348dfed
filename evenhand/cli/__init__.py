"""The `evenhand` command. A file for each group; what is heavy is imported by the command that needs it."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    from evenhand.cli.run import run

    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))
