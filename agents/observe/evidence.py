"""What matured, as sums per epoch."""

from adapters.kafka.running import run
from agents.app import app
from evenhand.processors.evidence import Evidence

state = run(app, Evidence, name=Evidence.name, reads=Evidence.reads)
