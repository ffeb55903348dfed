"""Join predictions with outcomes."""
