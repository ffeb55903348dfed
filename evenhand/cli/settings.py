"""The settings that come from the environment: what each means, its default, and where its value comes from."""

import os
from pathlib import Path
from typing import NamedTuple

DOTENV = Path(".env")
MASK = "********"


class Setting(NamedTuple):
    """One variable."""

    name: str
    meaning: str
    default: str = ""
    secret: bool = False


SETTINGS = (
    Setting("KAFKA_BOOTSTRAP_SERVERS", "the broker to use, HOST:PORT, several with commas"),
    Setting("KAFKA_HOME", "an Apache Kafka 4 to start where no broker is named; else the embedded one is"),
    Setting("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", "PLAINTEXT"),
    Setting("KAFKA_SASL_MECHANISM", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
    Setting("KAFKA_SASL_USERNAME", "who we are"),
    Setting("KAFKA_SASL_PASSWORD", "and its password", secret=True),
    Setting("KAFKA_SSL_CAFILE", "the authorities to trust, PEM", "the system's"),
    Setting("KAFKA_SSL_CERTFILE", "our certificate, PEM, where the broker asks for one"),
    Setting("KAFKA_SSL_KEYFILE", "its key, PEM"),
    Setting("KAFKA_SSL_KEY_PASSWORD", "the password of the key", secret=True),
    Setting("KAFKA_SSL_CHECK_HOSTNAME", "no accepts a certificate of another host", "yes"),
    Setting("KAFKA_ALLOW_PLAINTEXT_CREDENTIALS", "yes sends a password over SASL_PLAINTEXT", "no"),
    Setting("EVENHAND_TOPIC_PREFIX", "before every topic's name"),
    Setting("EVENHAND_PARTITIONS", "of every topic", "8"),
    Setting("EVENHAND_REPLICATION_FACTOR", "of topics that are created; -1: 3, or as many as there are brokers", "-1"),
    Setting("EVENHAND_BROKER_LACKS", "what the broker cannot do", "asked"),
    Setting("REDIS_URL", "the Redis to use; else one is started", secret=True),
    Setting("MLFLOW_TRACKING_URI", "the MLflow to use", secret=True),
    Setting("SLACK_WEBHOOK_URL", "where alerts for Slack go", secret=True),
    Setting("SMTP_SERVER", "the server that takes alerts by e-mail"),
    Setting("SMTP_PORT", "587 for STARTTLS, 465 for TLS", "587"),
    Setting("SMTP_SECURITY", "starttls, tls or plain", "as the port says"),
    Setting("SMTP_USERNAME", "who we are there"),
    Setting("SMTP_PASSWORD", "and its password", secret=True),
    Setting("SMTP_CA_FILE", "the authorities to trust there, PEM", "the system's"),
    Setting("ALERT_FROM_EMAIL", "the sender of alerts"),
    Setting("ALERT_TO_EMAILS", "who gets them, with commas"),
    Setting("MONITORING_WEBHOOK_URL", "where alerts for a webhook go", secret=True),
    Setting("MONITORING_WEBHOOK_SECRET", "what they are signed with", secret=True),
    Setting("EVENHAND_HOME", "the folder of models, logs and what runs", "var"),
    Setting("EVENHAND_CONFIG", "the folder of models.yaml and experiments.yaml", "config"),
    Setting("EVENHAND_ROOT", "evenhand's checkout, where it is not found by itself"),
    Setting("EVENHAND_METRICS_PORT", "where Prometheus finds metrics, on this machine alone; 0: any free one", "9464"),
    Setting("EVENHAND_USER", "who gives commands", "user@machine"),
    Setting("EVENHAND_CONTROLS", "given: whoever writes the requests places the controls", "append"),
)


class Value(NamedTuple):
    """A setting's value as it may be shown, and where it comes from: environment, .env, up, or default."""

    name: str
    value: str
    source: str
    meaning: str


def read_dotenv(path: Path = DOTENV) -> dict[str, str]:
    """NAME=VALUE lines of a file; comments, `export` and quotes as shells have them. An absent file is empty."""
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}


def values(running: dict[str, str]) -> list[Value]:
    """Every setting; `running` are those that `up` has chosen."""
    dotenv = read_dotenv()
    found = []
    for setting in SETTINGS:
        given = os.environ.get(setting.name, "")
        if given:
            source = ".env" if dotenv.get(setting.name) == given else "environment"
        elif setting.name in running:
            given, source = running[setting.name], "up"
        else:
            given, source = setting.default, "default"
        found.append(Value(setting.name, masked(setting, given), source, setting.meaning))
    return found


def masked(setting: Setting, value: str) -> str:
    """The value without what nobody may see: all of a password, and the credentials in a URL.

    >>> masked(Setting("REDIS_URL", "", secret=True), "redis://me:word@host:6379/0")
    'redis://********@host:6379/0'
    """
    if not setting.secret or not value:
        return value
    if "://" not in value:
        return MASK
    scheme, _, rest = value.partition("://")
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}://{MASK}@{place}" if credentials or at else value
