"""Sums and samples of what is served, per epoch."""

from adapters.kafka.running import run
from agents.app import app
from evenhand.processors.measurement import Measurement

state = run(app, Measurement, name=Measurement.name, reads=Measurement.reads)
