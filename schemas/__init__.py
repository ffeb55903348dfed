"""The contract for any language: JSON Schemas, AsyncAPI and examples, generated from `evenhand.events` and `topics`.

`python -m schemas` writes them; `python -m schemas --check` fails where they are stale or no longer compatible.
"""

from pathlib import Path

HOME = Path(__file__).resolve().parent
EXAMPLES = HOME / "examples"
