"""Measurements of all partitions to reports."""

from adapters.kafka.running import run
from agents.app import app
from evenhand.processors.reports import Reports

state = run(app, Reports, name=Reports.name, reads=Reports.reads)
