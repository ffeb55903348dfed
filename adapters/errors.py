"""What adapters raise. Each message names the setting or the thing at fault, and what to do."""

from evenhand.errors import EvenhandError, InvalidConfiguration


class DependencyUnavailable(EvenhandError):
    """A broker, Redis or another service cannot be started or reached."""


class InvalidSetting(InvalidConfiguration):
    """A setting that is missing, contradictory or refused. The message names it."""


class TopicMismatch(EvenhandError):
    """A topic exists but is not as evenhand needs it."""
