"""evenhand's worker with the agents of the lifecycle alone: as much as the others do, and what decides about it.

A worker has every agent, and whoever measures the whole of it starts `agents.app` itself.
"""

import sys
from types import ModuleType

# The application registers all agents by importing this module at its end.
sys.modules["agents.registry"] = ModuleType("agents.registry")

from agents.act import control  # noqa: E402
from agents.app import app  # noqa: E402  after the line above
from agents.judge import posterior  # noqa: E402
from agents.observe import attribution, evidence, intake  # noqa: E402
from agents.serve import assignment, inference  # noqa: E402

AGENTS = (assignment, inference, intake, attribution, evidence, posterior, control)
__all__ = ["AGENTS", "app"]
