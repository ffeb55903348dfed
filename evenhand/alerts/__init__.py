"""Alerts as data and pure state machines: rules, incidents, and who hears of them."""
