"""I/O behind small functions and Protocols: Kafka, Redis, child processes."""
