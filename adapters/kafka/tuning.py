"""What makes a worker's Python faster: less collecting of garbage, no records of logging that nobody reads."""

import gc
import logging

NEW_OBJECTS = 200_000  # a batch makes tens of thousands of objects, next to none of them in cycles


def tune() -> None:
    """Done once, when everything that a worker keeps for ever has been imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)
    # Faust sets the root logger to DEBUG for its spinner, and the client then makes a record for each request.
    logging.getLogger("aiokafka").setLevel(logging.INFO)
