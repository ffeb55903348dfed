"""Registers every agent with the application. `adapters.kafka.running` does what they share."""

from agents.act import alerting, control
from agents.judge import drift, posterior, reports, slo
from agents.observe import attribution, evidence, intake, measurement
from agents.serve import assignment, inference

AGENTS = (
    assignment, inference, intake, attribution, evidence, posterior, control, measurement, reports, drift, slo,
    alerting,
)  # fmt: skip
