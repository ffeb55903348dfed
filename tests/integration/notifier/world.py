"""Servers, a broker and a notifier as a process, for tests that kill it or let it wait."""

import sys
from pathlib import Path
from typing import Self

from adapters import processes
from adapters.kafka.broker import Broker
from adapters.kafka.log_reader import committed, log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.notifiers.notifier import group
from evenhand.topics import NOTIFICATIONS
from tests.architecture.compose import ROOT, clean_environment
from tests.integration.notifier.servers import Mail, Web

CHANNELS = ("slack", "email", "webhook")
CANARY = "canary-9b41c7"
CONFIG = """
channels:
  slack: {kind: slack, url: SLACK_WEBHOOK_URL, allow_private: true}
  webhook: {kind: webhook, url: MONITORING_WEBHOOK_URL, secret: MONITORING_WEBHOOK_SECRET, allow_private: true}
dead_mans_switch_s: 36000
"""


class World:
    """Servers, a broker with alerts, and a notifier that can be killed."""

    def __init__(self, var: Path, broker: Broker, ports: tuple[int, int], prefix: str = "") -> None:
        self.web, self.mail = Web(ports[0]), Mail(ports[1])
        reached = {**broker.environment(), "EVENHAND_TOPIC_PREFIX": prefix}
        self.settings = KafkaSettings.from_environment(reached)
        self._log = var / "notifier.log"
        config = var / "config"
        config.mkdir(parents=True)
        (config / "alerts.yaml").write_text(CONFIG)
        url = f"http://127.0.0.1:{ports[0]}"
        self.environment = {
            **clean_environment(), **reached, "PYTHONPATH": str(ROOT), "EVENHAND_CONFIG": str(config),
            "EVENHAND_HOME": str(var),
            "SLACK_WEBHOOK_URL": f"{url}/slack?{CANARY}", "MONITORING_WEBHOOK_URL": f"{url}/hook?{CANARY}",
            "MONITORING_WEBHOOK_SECRET": CANARY, "SMTP_SERVER": "127.0.0.1", "SMTP_PORT": str(ports[1]),
            "SMTP_SECURITY": "plain", "ALERT_FROM_EMAIL": "ml@example.org", "ALERT_TO_EMAILS": "a@example.org",
        }  # fmt: skip
        self.process: processes.Child | None = None

    def __enter__(self) -> Self:
        self.web.start()
        self.mail.controller.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self.mail.controller.stop()
        self.web.stop()

    def start(self) -> None:
        command = [sys.executable, "-m", "evenhand.cli", "notifier"]
        self.process = processes.start("the notifier", command, log=self._log, env=self.environment)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def told(self) -> dict[str, dict[str, set[str]]]:
        return {"slack": self.web.taken["slack"], "webhook": self.web.taken["webhook"], "email": self.mail.taken}

    def missing(self, count: int) -> int:
        return sum(count - len(taken) for taken in self.told.values())


async def uncommitted(settings: KafkaSettings, channel: str) -> int:
    async with log_reader(settings) as reader:
        places = await reader.places(NOTIFICATIONS)
        ends = await reader.ends(places)
    done = await committed(settings, group(settings, channel), places)
    return sum(end - done.get(place, 0) for place, end in ends.items())
