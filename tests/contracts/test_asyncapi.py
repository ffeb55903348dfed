"""asyncapi.json is AsyncAPI 3.1, names every topic and event, and its examples match its schemas."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import schemas
from evenhand.topics import TOPICS
from schemas.structure import event_types

OFFICIAL = json.loads((Path(__file__).parent / "vendor/asyncapi-3.1.0.json").read_bytes())
DOCUMENT: dict[str, Any] = json.loads((schemas.HOME / "asyncapi.json").read_bytes())


def faults(document: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(OFFICIAL).iter_errors(document)]


def resolved(document: dict[str, Any], reference: dict[str, str]) -> Any:
    found: Any = document
    for part in reference["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_it_is_valid_by_the_official_schema() -> None:
    assert faults(DOCUMENT) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.update(channel={}),
        lambda document: document.pop("info"),
        lambda document: document["channels"]["outcomes.v1"].update(adress="outcomes.v1"),
        lambda document: document["operations"]["send evidence.v1"].update(action="publish"),
        lambda document: document["channels"]["outcomes.v1"]["bindings"]["kafka"].update(partitions="8"),
    ],
    ids=["unknown key", "no info", "misspelt address", "unknown action", "partitions as text"],
)
def test_the_official_schema_would_notice(spoil: Any) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    spoil(document)
    assert faults(document)


def test_every_topic_is_a_channel_with_its_events() -> None:
    assert list(DOCUMENT["channels"]) == list(TOPICS)
    for name, channel in DOCUMENT["channels"].items():
        topic = TOPICS[name]
        assert channel["address"] == name
        assert list(channel["messages"]) == [event.__name__ for event in topic.events]
        assert channel["bindings"]["kafka"]["partitions"] == topic.partitions
        assert channel["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] == topic.retention_ms
        for event, reference in channel["messages"].items():
            assert resolved(DOCUMENT, reference)["name"] == event


def test_users_may_send_to_what_evenhand_receives() -> None:
    received = {name.split()[1] for name, body in DOCUMENT["operations"].items() if body["action"] == "receive"}
    assert received >= {"prediction-requests.v1", "outcomes.v1", "metrics.v1", "commands.v1"}
    for name, body in DOCUMENT["operations"].items():
        assert resolved(DOCUMENT, body["channel"])["address"] == name.split()[1]


@pytest.mark.parametrize("name", [event.__name__ for event in event_types()])
def test_the_examples_of_a_message_match_its_payload(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    payload = {**message["payload"], "components": DOCUMENT["components"]}
    jsonschema.Draft7Validator.check_schema(DOCUMENT["components"]["schemas"][name])
    assert len(message["examples"]) >= 2
    for example in message["examples"]:
        jsonschema.Draft7Validator(payload).validate(example["payload"])
    assert not jsonschema.Draft7Validator(payload).is_valid({"type": name})
