"""What evenhand raises. Each message says what the caller should do."""


class EvenhandError(Exception):
    """Base of all errors that evenhand raises on purpose."""


class InvalidEvent(EvenhandError):
    """Bytes that are not the event that their topic carries. The reason is fit for a dead letter."""


class InvalidConfiguration(EvenhandError, ValueError):
    """A setting that is unknown, contradictory or out of range. The message names it and what to write instead."""


class ModelUnavailable(EvenhandError):
    """A model version cannot be loaded, or there is none of that name."""
