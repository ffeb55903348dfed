"""Reports of all partitions to a decision."""

from adapters.kafka.running import run
from agents.app import app
from evenhand.processors.posterior import Posterior

state = run(app, Posterior, name=Posterior.name, reads=Posterior.reads)
