"""Benchmarks: side by side with what they are measured against, in one run."""
