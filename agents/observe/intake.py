"""Outcomes and metrics: checked, and put where their key belongs."""

from adapters.kafka.running import run
from agents.app import app
from evenhand.processors.intake import Intake

state = run(app, Intake, name=Intake.name, reads=Intake.reads)
