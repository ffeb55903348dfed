"""The pure parts of the agents, one file each, in the order in which an event meets them."""
