"""`python -m tests.benchmarks.drift`: prints the table and leaves var/bench/drift.json. `--quick`: a tenth of it."""

import json
import sys
from pathlib import Path

from tests.benchmarks.drift.annotated import annotated
from tests.benchmarks.drift.contest import univariate
from tests.benchmarks.drift.injected import injected
from tests.benchmarks.drift.jointly import month, vectors

size = 0.1 if "--quick" in sys.argv[1:] else 1.0


def say(line: str) -> None:
    print(line, flush=True)


rows = [
    *vectors(size, say),
    *month(say, planted=False),
    *month(say, planted=True),
    *annotated(say),
    *injected(size, say),
    *univariate(size, say),
]
target = Path("var/bench/drift.json")
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(json.dumps(rows, indent=1) + "\n")
say(f"{len(rows)} rows in {target}")
