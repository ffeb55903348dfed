"""Rigs for the hazards, ended after each test."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.hazards.rigs import Rigs


@pytest.fixture
async def rigs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rigs]:
    logging.disable(logging.ERROR)
    made = Rigs(tmp_path, monkeypatch)
    yield made
    await made.stop()
    logging.disable(logging.NOTSET)
