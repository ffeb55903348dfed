"""Kafka: brokers and their topics, and the transport that hands agents whole batches."""
