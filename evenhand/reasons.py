"""Why bytes are not the event that their topic carries, in words that help their sender.

Only what has been refused comes here, so time does not matter: the bytes are read a second time to name the value.
"""

import difflib
import json
import math
import re
from collections.abc import Sequence
from typing import Any, get_args

import msgspec

from evenhand.events import FIRST_MS, LAST_MS, ControlChanged, Event, Ticked
from evenhand.finite import not_finite
from evenhand.topics import TOPICS

MAX_REASON = 500
TOO_DEEP = "nested too deep: send one flat JSON object"
TIMES = ("time", "target_time")
_UNITS = (("seconds", 1000, 1), ("microseconds", 1, 1000), ("nanoseconds", 1, 1_000_000))
_PLACE = re.compile(r"(?P<what>.*?)(?: - at (?P<name>`key` in )?`\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`$")


def reason(topic: str, value: bytes, error: Exception) -> str:
    """What is wrong with a record of a topic, given what the decoder said; text that can be encoded, and never long."""
    try:
        text = _reason(topic, value, error)
    except RecursionError:
        text = TOO_DEEP
    return _shortened(text.encode(errors="backslashreplace").decode(), MAX_REASON)


def _reason(topic: str, value: bytes, error: Exception) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as place:
        return f"not UTF-8 at byte {place.start}: send JSON in UTF-8"
    if isinstance(error, RecursionError):
        return TOO_DEEP
    if text.startswith("\ufeff"):
        return "begins with a byte order mark: send UTF-8 without one"
    if not isinstance(error, msgspec.ValidationError):
        return _malformed(text, error)
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):  # what comes after the first fault may be no JSON at all
        return f"{error}: see schemas/ for what {topic} takes"
    if not isinstance(event, dict):
        return f"a JSON {_json_type(event)}, not an object: send one JSON object with `type`, `id`, `time` and `key`"
    if not isinstance(event.get("type"), str):
        return f"no `type`: {topic} takes {_names(topic)}"
    if event["type"] not in {taken.__name__ for taken in TOPICS[topic].events}:
        return _misplaced(topic, event["type"])
    return f"{_invalid(event, str(error), _type(event['type']))} (schemas/{event['type']}.schema.json)"


def _malformed(text: str, error: Exception) -> str:
    """JSON that a lenient parser takes has a NaN in it; for all else, what the decoder said is best."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"
    for path, number in not_finite(event):
        where = path or "the record"
        return f"{where} is {_constant(number)}: JSON has finite numbers only, send one or leave the record out"
    return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"


def _misplaced(topic: str, name: str) -> str:
    elsewhere = [other.name for other in TOPICS.values() if name in {event.__name__ for event in other.events}]
    if elsewhere:
        return f"{topic} does not take {name}: send it to {_listed(elsewhere)}"
    near = difflib.get_close_matches(name, [event.__name__ for event in TOPICS[topic].events], 1)
    hint = f", did you mean {near[0]}?" if near else ""
    return f"unknown `type` {_shortened(repr(name), 60)}: {topic} takes {_names(topic)}{hint}"


def _invalid(event: dict[str, Any], said: str, kind: type[Event]) -> str:
    found = _PLACE.match(said)
    what, path = (found["what"], found["path"] or "") if found else (said, "")
    if missing := _MISSING.match(what):
        field = ".".join(filter(None, (path, missing["field"])))
        if path:
            return f"{field} is missing"
        wanted = [one.encode_name for one in msgspec.structs.fields(kind) if one.required]
        strange = [name for name in event if name not in kind.__struct_fields__][:50]
        near = difflib.get_close_matches(field, strange, 1)
        hint = f", did you mean it by {near[0]!r}?" if near else ""
        return f"{field} is missing{hint}: every {kind.__name__} has type, {', '.join(wanted)}"
    given = _at(event, path)
    shown = _shortened(json.dumps(given, ensure_ascii=False), 60)
    if path.rsplit(".", 1)[-1] in TIMES:
        return _bad_time(path, given, shown)
    if what == "Number out of range":
        return f"{path} is out of the range of a 64-bit number"
    if what.startswith("Invalid enum value"):
        return f"{path} is {shown}: {_choices(kind, path)} is wanted"
    what = f"{what[:1].lower()}{what[1:]}".replace("`", "")
    if found and found["name"]:
        return f"a name in {path}: {what}"
    return f"{path} is {shown}: {what}" if path else what


def _bad_time(path: str, given: object, shown: str) -> str:
    if unit := _wrong_unit(given):
        return f"{path} {given} looks like {unit}: milliseconds are wanted"
    if isinstance(given, int) and not isinstance(given, bool):
        return f"{path} {shown} is not between the years 2000 and 2100: milliseconds UTC since 1970 are wanted"
    return f"{path} is {shown}: an integer is wanted, milliseconds UTC since 1970"


def _choices(kind: type[Event], path: str) -> str:
    field = next((field for field in msgspec.structs.fields(kind) if field.encode_name == path), None)
    return _listed([str(choice) for choice in get_args(field.type)]) if field else "another value"


def _wrong_unit(time: object) -> str | None:
    """The unit in which a number would be a time between 2000 and 2100.

    >>> _wrong_unit(1_500_000_000), _wrong_unit(1_500_000_000_000_000), _wrong_unit(7)
    ('seconds', 'microseconds', None)
    """
    if isinstance(time, bool) or not isinstance(time, int | float):
        return None
    for unit, times, over in _UNITS:
        if FIRST_MS <= time * times / over <= LAST_MS and times != over:
            return unit
    return None


def _at(event: Any, path: str) -> Any:
    """The value at a path such as `features[3]`; the nearest that can be told where the path has `[...]`."""
    for part in re.findall(r"[^.\[\]]+|\[\d+\]", path):
        if part.startswith("[") and isinstance(event, list):
            event = event[int(part[1:-1])]
        elif isinstance(event, dict) and part in event:
            event = event[part]
    return event


def _type(name: str) -> type[Event]:
    return next(event for topic in TOPICS.values() for event in topic.events if event.__name__ == name)


def _names(topic: str) -> str:
    """What users may send; ticks and controls are evenhand's own."""
    return _listed([event.__name__ for event in TOPICS[topic].events if event not in (Ticked, ControlChanged)])


def _listed(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _json_type(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _constant(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
