"""What the judges say, to alerts and to whom they are told."""

from adapters.kafka.running import run
from agents.app import app
from evenhand.processors.alerting import Alerting

state = run(app, Alerting, name=Alerting.name, reads=Alerting.reads)
