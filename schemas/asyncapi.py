"""The AsyncAPI 3.1 document: every topic as a channel, every event as a message, with its examples."""

import json
from typing import Any

from evenhand import __version__
from evenhand.events import Event
from evenhand.topics import TOPICS, Topic
from schemas import EXAMPLES
from schemas.structure import Schema, components, event_types

BINDING = "0.5.0"
OUTSIDE = {"users", "gateway", "CLI", "your own model server"}  # they stand before the loop, the rest is evenhand
_HEADERS: Schema = {
    "type": "object",
    "description": "CloudEvents in binary mode. Records without headers are accepted.",
    "properties": {
        "ce_id": {"type": "string", "description": "the event's `id`"},
        "ce_type": {"type": "string", "description": "the event's `type`"},
        "ce_source": {"type": "string", "description": "who wrote the record"},
        "ce_time": {"type": "string", "format": "date-time", "description": "the event's `time`"},
        "seen_at": {"type": "string", "description": "last tick before the event where it entered, milliseconds UTC"},
    },
}


def document() -> dict[str, Any]:
    """The whole document, without anything that depends on when or where it is made."""
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "evenhand",
            "version": __version__,
            "description": "Live models get a fair trial: events in, decisions out, on Kafka.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "`evenhand status` prints the address.",
                "variables": {"bootstrap": {"default": "localhost:9092", "description": "KAFKA_BOOTSTRAP_SERVERS"}},
            }
        },
        "channels": {topic.name: _channel(topic) for topic in TOPICS.values()},
        "operations": {name: body for topic in TOPICS.values() for name, body in _operations(topic).items()},
        "components": {
            "messages": {event.__name__: _message(event) for event in event_types()},
            "schemas": {
                name: _draft_07(schema) for name, schema in sorted(components("#/components/schemas/{name}").items())
            },
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": f"{topic.description} Kafka key: {topic.key}.{' Carries ticks.' if topic.ticks else ''}",
        "messages": {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"} for event in topic.events},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["compact" if topic.compacted else "delete"],
                    "retention.ms": topic.retention_ms,
                    "message.timestamp.type": "LogAppendTime",
                },
                "bindingVersion": BINDING,
            }
        },
    }


def _operations(topic: Topic) -> dict[str, Any]:
    """What evenhand does with a topic: it receives what stands outside writes, and sends what its agents write."""
    outside = [writer for writer in topic.written_by if writer in OUTSIDE]
    agents = [writer for writer in topic.written_by if writer not in OUTSIDE]
    found = {}
    if outside and topic.read_by:
        readers = ", ".join(reader for reader in topic.read_by if reader not in OUTSIDE)
        found[f"receive {topic.name}"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{topic.name}"},
            "summary": f"From {', '.join(outside)}; read by {readers}.",
        }
    if agents:
        found[f"send {topic.name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{topic.name}"},
            "summary": f"By {', '.join(agents)}.",
        }
    return found


def _message(event: type[Event]) -> dict[str, Any]:
    name = event.__name__
    return {
        "name": name,
        "title": name,
        "summary": (event.__doc__ or "").strip().split("\n")[0],
        "contentType": "application/json",
        "headers": _HEADERS,
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": BINDING}},
        "examples": [
            {"name": path.stem, "payload": json.loads(path.read_bytes())}
            for path in sorted((EXAMPLES / name).glob("*.json"))
        ],
    }


def _draft_07(schema: Any) -> Any:
    """The same schema in the dialect of AsyncAPI, where a tuple is an `items` list."""
    if isinstance(schema, list):
        return [_draft_07(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: _draft_07(value) for key, value in schema.items()}
    if "prefixItems" in parts:
        rest = parts.pop("items", True)
        parts["items"] = parts.pop("prefixItems")
        parts["additionalItems"] = rest
    return parts
