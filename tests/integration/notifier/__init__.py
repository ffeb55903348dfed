"""A notifier among servers that fail."""
