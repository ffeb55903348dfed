"""Where to begin to read a topic."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from evenhand.errors import InvalidConfiguration

_OFFSETS = re.compile(r"\d+:\d+(,\d+:\d+)*")
_AGO = re.compile(r"-(\d+)(s|m|h|d)")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LEAST_MS = 100_000_000_000  # smaller numbers are seconds


class AtTime(NamedTuple):
    """The first record of each partition that arrived at this time or later (milliseconds UTC)."""

    time_ms: int


class AtOffsets(NamedTuple):
    """An offset for each partition; partitions that are not named are not read."""

    offsets: Mapping[int, int]


Start = Literal["earliest", "latest"] | AtTime | AtOffsets


def parse_start(text: str, now_ms: int) -> Start:
    """Read `earliest`, `latest`, a time (ISO 8601, milliseconds, or `-15m` ago), or offsets (`0:120,1:98`).

    >>> parse_start("2018-11-14T00:00:00Z", 0)
    AtTime(time_ms=1542153600000)
    >>> parse_start("-15m", 1_000_000), parse_start("0:120,1:98", 0)
    (AtTime(time_ms=100000), AtOffsets(offsets={0: 120, 1: 98}))
    """
    word = text.strip()
    if word == "earliest":
        return "earliest"
    if word == "latest":
        return "latest"
    if _OFFSETS.fullmatch(word):
        pairs = [part.split(":") for part in word.split(",")]
        return AtOffsets({int(partition): int(offset) for partition, offset in pairs})
    if ago := _AGO.fullmatch(word):
        return AtTime(now_ms - int(ago[1]) * _UNITS_MS[ago[2]])
    return AtTime(parse_time(word))


def parse_time(text: str) -> int:
    """A time in milliseconds: ISO 8601 (UTC unless it names a zone) or integer milliseconds.

    >>> parse_time("2018-11-14"), parse_time("1542153600000")
    (1542153600000, 1542153600000)
    """
    if text.isdecimal():
        if int(text) < _LEAST_MS:
            raise InvalidConfiguration(f"{text!r} would be in {_year(int(text))}: write milliseconds, or ISO 8601")
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidConfiguration(
            f"{text!r} is no place to start: write earliest, latest, a time (2018-11-14T00:00:00Z, milliseconds, or "
            "-15m for a quarter of an hour ago), or offsets (PARTITION:OFFSET,...)"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _year(time_ms: int) -> int:
    return datetime.fromtimestamp(time_ms / 1000, UTC).year
