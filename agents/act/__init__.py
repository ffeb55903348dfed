"""Let decisions hold."""
