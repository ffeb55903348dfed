"""The headers of a record: CloudEvents in binary mode, and what evenhand carries beside the event.

`seen_at` is the last tick before an event in its own partition of its own topic, `received_at` the time at which the
broker took the request, `response_time_ms` how long its answer took, `evidence` where the evidence lies.
Consumers accept records without any of them.
"""

from datetime import UTC, datetime
from functools import lru_cache

from evenhand.finite import LARGEST
from evenhand.processors.base import Headers, Record

NEVER = -1  # no tick so far


_FRACTIONS = tuple([b".%03dZ" % ms for ms in range(1000)])


@lru_cache(maxsize=4096)
def _second(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def rfc3339(time_ms: int) -> bytes:
    """Milliseconds as CloudEvents wants them.

    >>> rfc3339(1542153600123)
    b'2018-11-14T00:00:00.123Z'
    """
    return _second(time_ms // 1000) + _FRACTIONS[time_ms % 1000]


@lru_cache(maxsize=1024)
def _attributes(event_type: str, source: str) -> tuple[tuple[str, bytes], tuple[str, bytes], tuple[str, bytes]]:
    return ("ce_specversion", b"1.0"), ("ce_type", event_type.encode()), ("ce_source", source.encode())


def cloud_headers(event_type: str, event_id: str, source: str, time_ms: int) -> Headers:
    """The CloudEvents attributes of an event."""
    version, kind, origin = _attributes(event_type, source)
    return [version, ("ce_id", event_id.encode()), kind, origin, ("ce_time", rfc3339(time_ms))]


def header(record: Record, name: str) -> bytes | None:
    """A header's value, or None."""
    for key, value in record.headers:
        if key == name:
            return value
    return None


def integer_header(record: Record, name: str, default: int = NEVER) -> int:
    """A header as an integer; the default where it is missing or is none."""
    value = header(record, name)
    try:
        return default if value is None else int(value)
    except ValueError:
        return default


def float_header(record: Record, name: str) -> float | None:
    """A header as a float; None where it is missing, is none, or is too large for sums of its squares."""
    value = header(record, name)
    try:
        number = None if value is None else float(value)
    except ValueError:
        return None
    return number if number is not None and abs(number) <= LARGEST else None
