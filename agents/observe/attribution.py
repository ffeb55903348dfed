"""Predictions joined with outcomes."""

from adapters.kafka.running import run
from agents.app import app
from evenhand.processors.attribution import Attribution

state = run(app, Attribution, name=Attribution.name, reads=Attribution.reads)
