"""Experiments: assignment, evidence, posterior, decision."""
