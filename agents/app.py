"""The Faust application: `faust -A agents.app worker -l warn --without-web` runs every agent.

What it needs to know stands in the environment: KAFKA_* (how to reach the broker), EVENHAND_TOPIC_PREFIX (a replay's
own topics), EVENHAND_HOME (where the models lie), EVENHAND_CONTROLS (`append`: the control agent writes what holds
into the request log; `given`: whoever writes the requests does).
"""

import os
from pathlib import Path

from adapters.kafka.app import BatchApp, make_app
from adapters.kafka.settings import KafkaSettings

GROUP = "evenhand"


def home(environment: dict[str, str] | os._Environ[str] = os.environ) -> Path:
    """The folder of everything that is not in Kafka."""
    return Path(environment.get("EVENHAND_HOME") or "var")


def build() -> BatchApp:
    """The application on the broker that the environment names."""
    settings = KafkaSettings.from_environment()
    # Faust makes folders for tables, which we do not use, wherever it is started.
    return make_app(settings, app_id=settings.topic_prefix + GROUP, datadir=str(home() / "faust"))


app = build()

from agents import registry  # noqa: E402, F401  agents register with the application above
