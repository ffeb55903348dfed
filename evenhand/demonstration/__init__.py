"""A market's history replayed through the loop: what simulated users do, and when controls hold."""
