"""Registers every agent with the application. `adapters.kafka.running` does what they share."""

from agents.act import control
from agents.judge import posterior
from agents.observe import attribution, evidence, intake
from agents.serve import assignment, inference

AGENTS = (assignment, inference, intake, attribution, evidence, posterior, control)
