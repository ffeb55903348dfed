"""Numbers that JSON can carry and sums can hold."""

import math
from collections.abc import Iterator

LARGEST = 1e50  # its fourth power, summed up over a million million events, is a number still


def not_finite(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Where plain data has a NaN or an infinity, for which JSON has no word, and which.

    >>> list(not_finite({"a": [1.0, float("inf")], "b": "x"}))
    [('a[1]', inf)]
    """
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from not_finite(part, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from not_finite(part, f"{path}[{place}]")
