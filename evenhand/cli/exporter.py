"""`evenhand exporter`: machine, processes and lag into the log, and all reports to Prometheus."""

import logging
import os
import sys

import typer

VARIABLE, PORT = "EVENHAND_METRICS_PORT", 9464


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(exporter)


def exporter() -> None:
    """Read CPU, memory, disk and consumer lag into `metrics.v1`, and show them and all reports to Prometheus.

    On http://127.0.0.1:9464/metrics, or the port that EVENHAND_METRICS_PORT names, or any that is free where that is
    taken: run/metrics-address in the folder of EVENHAND_HOME says which. One runs for a loop; `evenhand up` starts it.
    """
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING, stream=sys.stderr
    )
    from evenhand.client.connection import kafka_settings

    settings = kafka_settings()
    from adapters.exporter import export
    from adapters.run_state import home
    from evenhand.cli.worker import run_until_signal

    run_until_signal(export(settings, home(), _port(os.environ.get(VARIABLE) or str(PORT))))


def _port(text: str) -> int:
    from evenhand.errors import InvalidConfiguration

    if not text.isdecimal() or int(text) > 65_535:
        raise InvalidConfiguration(f"{VARIABLE} is {text!r}: write a port, 0 to 65535; 0 takes one that is free")
    return int(text)
