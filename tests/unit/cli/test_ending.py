"""What runs for ever ends when it is asked to, whatever its clients wait for."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evenhand.cli import exits
from evenhand.cli.worker import PATIENCE_S

WORK = """
import asyncio, sys
from evenhand.cli.worker import run_until_signal
async def work(is_stubborn):
    print("at work", flush=True)
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            if not is_stubborn:
                raise
run_until_signal(work(sys.argv[1] == "stubborn"))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", ["stubborn", "quick"])
def test_it_ends_when_it_is_asked_to(kind: str, number: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WORK, kind], cwd=Path(__file__).parents[3], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "at work\n"
        began = time.monotonic()
        child.send_signal(number)
        _, said = child.communicate(timeout=4 * PATIENCE_S)
    finally:
        child.kill()
    if kind == "quick":
        assert (child.returncode, said) == (exits.OK, "")
    else:
        assert child.returncode == exits.FAILED
        assert "ended without a last commit" in said
        assert time.monotonic() - began >= PATIENCE_S
