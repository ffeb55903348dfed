"""JSON Schema (2020-12) of every event, from the Structs and from the rules that only Python can check."""

import inspect
import textwrap
from typing import Any

import msgspec

from evenhand.events import Event
from evenhand.topics import TOPICS

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_BY_REQUEST: Schema = {"required": ["request_id"], "properties": {"request_id": {"type": "string"}}}
_BY_TIME: Schema = {"required": ["target_time"], "properties": {"target_time": {"type": "integer"}}}
_WITH_STEP: Schema = {"required": ["step"], "properties": {"step": {"type": "integer"}}}
_RULES: dict[str, Schema] = {  # what __post_init__ checks, as far as JSON Schema can say it
    "OutcomeObserved": {"oneOf": [_BY_REQUEST, _BY_TIME], "if": _WITH_STEP, "then": _BY_REQUEST},
    "Experiment": {"properties": {"variants": {"minItems": 2}}},
}


def event_types() -> tuple[type[Event], ...]:
    """Every event that some topic carries, in the order in which topics name them."""
    return tuple(dict.fromkeys(event for topic in TOPICS.values() for event in topic.events))


def components(reference: str = "#/$defs/{name}") -> dict[str, Schema]:
    """Schemas of all events and of what they are made of, by name; `reference` is how one names another."""
    _, found = msgspec.json.schema_components(event_types(), ref_template=reference)
    return {name: _with_rules(name, _described(schema)) for name, schema in found.items()}


def event_schema(name: str) -> Schema:
    """The self-contained schema of one event: it stands at the top, what it is made of in `$defs`."""
    known = components()
    used: dict[str, Schema] = {}
    _collect(known[name], known, used)
    schema = {"$schema": DIALECT, "$id": f"{name}.schema.json", **known[name]}
    return {**schema, "$defs": {part: used[part] for part in sorted(used)}} if used else schema


def references(schema: object) -> list[str]:
    """Names of what a schema refers to."""
    if isinstance(schema, dict):
        here = [schema["$ref"].rsplit("/", 1)[1]] if isinstance(schema.get("$ref"), str) else []
        return here + [name for value in schema.values() for name in references(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in references(value)]
    return []


def _collect(schema: Schema, known: dict[str, Schema], used: dict[str, Schema]) -> None:
    for name in references(schema):
        if name not in used:
            used[name] = known[name]
            _collect(known[name], known, used)


def _described(schema: Schema) -> Schema:
    """A docstring as one line of text for each paragraph, without what only Python's readers want."""
    text = inspect.cleandoc(schema.get("description", "")).split("\n>>>")[0].strip()
    paragraphs = [" ".join(textwrap.dedent(part).split()) for part in text.split("\n\n")]
    return {**schema, "description": "\n\n".join(filter(None, paragraphs))}


def _with_rules(name: str, schema: Schema) -> Schema:
    rules = dict(_RULES.get(name, {}))
    for field, more in rules.pop("properties", {}).items():
        schema["properties"][field].update(more)
    return {**schema, **rules}
