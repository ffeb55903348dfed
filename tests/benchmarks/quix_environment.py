"""Quix Streams gets a virtual environment of its own: it asks for older pydantic and Kafka clients than evenhand's."""

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("quix-requirements.txt")


def python(var: Path) -> Path:
    """The interpreter in which Quix Streams is installed, which happens at the first call."""
    home = var / "bench" / "quix"
    interpreter, installed = home / "bin" / "python", home / "installed.txt"
    wanted = REQUIREMENTS.read_text()
    if not installed.exists() or installed.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        install = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "-r", str(REQUIREMENTS)], check=True)
        installed.write_text(wanted)
    return interpreter
