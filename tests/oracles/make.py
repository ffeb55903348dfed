"""Asks the oracles again: `python -m tests.oracles.make` writes `gbstats.json` and `ville.json` beside this file.

Each has an environment of its own under `var/oracles`, made by pip from the registry.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
VAR = HERE.parents[1] / "var" / "oracles"
ORACLES = {"gbstats": "gbstats==0.8.0", "ville": "ville==0.1.0"}


def main() -> None:
    """Make the environments where they are not there, and ask."""
    for name, requirement in ORACLES.items():
        home = VAR / name
        python = home / "bin" / "python"
        if not python.exists():
            venv.create(home, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], check=True)
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        script = HERE / f"ask_{name}.py"
        answered = subprocess.run([python, script], check=True, capture_output=True, text=True, env=environment)
        (HERE / f"{name}.json").write_text(answered.stdout)
        sys.stderr.write(f"{name}: {len(answered.stdout)} bytes\n")


if __name__ == "__main__":
    main()
