"""Thin Faust agents, in the order in which an event meets them: serve, observe, judge, act."""
