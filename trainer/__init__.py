"""Training: from a file of candles to a report, a verdict on each model, and registered versions."""
