"""Requests to versions."""

from adapters.kafka.running import run
from agents.app import app
from evenhand.processors.assignment import Assignment

state = run(app, Assignment, name=Assignment.name, reads=Assignment.reads)
