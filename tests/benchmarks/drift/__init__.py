"""Drift detectors side by side: false alarms, delays, what is missed, and cost."""
