"""Measurements of all partitions to service levels."""

from adapters.kafka.running import run
from agents.app import app
from evenhand.processors.slo import Slo

state = run(app, Slo, name=Slo.name, reads=Slo.reads)
