"""evenhand gives live models a fair trial: events in, decisions out, on Kafka."""

__version__ = "0.1.0"
