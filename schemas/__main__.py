"""`python -m schemas`: write the contract; `--check`: say what is wrong with it."""

import argparse
import sys
from collections.abc import Sequence
from typing import TextIO

from schemas.examples import rejected
from schemas.generate import stale, write
from schemas.published import UnknownVersion, baseline, breaks


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 if all is well, 1 if not, 2 on wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m schemas", description="Write schemas/, or check it.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale or not compatible")
    parser.add_argument("--against", metavar="REF", help="version in git to be compatible with (default: last release)")
    options = parser.parse_args(arguments)
    if not options.check:
        for path in write():
            _say(f"wrote {path}", sys.stdout)
        return 0
    try:
        version = options.against or baseline()
        faults = [*stale(), *rejected(), *(breaks(version) if version else ())]
    except UnknownVersion as error:
        _say(str(error))
        return 2
    for fault in faults:
        _say(fault)
    if faults:
        _say("`python -m schemas` writes what is stale; schemas/README.md says what may change")
    return 1 if faults else 0


def _say(line: str, stream: TextIO | None = None) -> None:
    (stream or sys.stderr).write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
