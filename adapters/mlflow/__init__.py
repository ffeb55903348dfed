"""Runs, metrics, artifacts and versions in MLflow: written to a file at once, sent by a thread, never waited for."""
