"""The JSON Schemas say what the decoder takes, and the examples are taken by both."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import schemas
from evenhand.codec import decode, encode
from evenhand.errors import InvalidEvent
from evenhand.topics import TOPICS
from schemas import examples, generate
from schemas.__main__ import main
from schemas.structure import DIALECT, event_schema, event_types
from tests.strategies import structs

NAMES = [event.__name__ for event in event_types()]
EXAMPLES = list(examples.examples())


def validator(name: str) -> jsonschema.Draft202012Validator:
    document = json.loads((schemas.HOME / f"{name}.schema.json").read_bytes())
    assert document["$schema"] == DIALECT
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def topics_of(name: str) -> list[str]:
    return [topic.name for topic in TOPICS.values() if name in {event.__name__ for event in topic.events}]


def test_what_is_committed_is_what_the_events_say() -> None:
    assert main(["--check"]) == 0


@pytest.mark.parametrize(("name", "path"), EXAMPLES, ids=[f"{name}-{path.stem}" for name, path in EXAMPLES])
def test_every_example_is_taken_for_ever(name: str, path: Path) -> None:
    value = path.read_bytes()
    validator(name).validate(json.loads(value))
    for topic in topics_of(name):
        event = decode(topic, value)
        assert type(event).__name__ == name
        assert decode(topic, encode(event)) == event


@pytest.mark.parametrize("name", NAMES)
def test_every_event_has_two_examples_and_they_show_all_its_fields(name: str) -> None:
    shown = [json.loads(path.read_bytes()) for of, path in EXAMPLES if of == name]
    assert len(shown) >= 2
    assert set(event_schema(name)["properties"]) <= {field for example in shown for field in example}


@pytest.mark.parametrize("kind", event_types(), ids=lambda kind: kind.__name__)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_we_write_is_valid(kind: type[Any], data: st.DataObject) -> None:
    validator(kind.__name__).validate(json.loads(encode(data.draw(structs(kind)))))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 5000)
    | st.floats(-2, 2).filter(lambda x: x != int(x))
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("name", ["PredictionRequested", "OutcomeObserved", "MetricObserved", "CommandGiven"])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_schema_and_decoder_agree(name: str, data: st.DataObject) -> None:
    """On what users write, with fields changed, added and taken away (numbers such as 1.0 apart: see README.md)."""
    base = data.draw(st.sampled_from([path for of, path in EXAMPLES if of == name]))
    event = json.loads(base.read_bytes())
    for field in data.draw(st.lists(st.sampled_from(sorted(event_schema(name)["properties"])), max_size=2)):
        if field == "type" or data.draw(st.booleans()):
            event.pop(field, None)
        else:
            event[field] = data.draw(JSON)
    refusal = None
    try:
        decode(topics_of(name)[0], json.dumps(event).encode())
    except InvalidEvent as error:
        refusal = error
    assert validator(name).is_valid(event) == (refusal is None), refusal


@pytest.fixture
def other_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of schemas/ that may be spoilt."""
    home = tmp_path / "schemas"
    shutil.copytree(schemas.HOME, home, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for module in (generate, examples):
        monkeypatch.setattr(module, "EXAMPLES", home / "examples")
    monkeypatch.setattr(generate, "HOME", home)
    return home


def test_a_stale_a_missing_and_a_foreign_file_are_named(other_home: Path) -> None:
    assert list(generate.stale()) == []
    (other_home / "Ticked.schema.json").write_text("{}")
    (other_home / "DeadLettered.schema.json").unlink()
    (other_home / "Gone.schema.json").write_text("{}")
    shutil.rmtree(other_home / "examples" / "Ticked")
    said = "\n".join(generate.stale())
    for part in (
        "Ticked.schema.json is stale",
        "DeadLettered.schema.json is missing",
        "Gone.schema.json belongs to no",
    ):
        assert part in said
    assert "examples/Ticked/ has 0 examples" in said
    assert {path.name for path in generate.write()} == {"Ticked.schema.json", "DeadLettered.schema.json"}


def test_an_example_that_is_no_longer_taken_is_named(other_home: Path) -> None:
    assert list(examples.rejected()) == []
    good = json.loads((other_home / "examples/Ticked/minimal.json").read_bytes())
    for name, change in {"late": {"time": 7}, "typo": {"sourec": "x"}, "other": {"type": "TickedTwice"}}.items():
        (other_home / f"examples/Ticked/{name}.json").write_text(json.dumps(copy.deepcopy(good) | change))
    said = "\n".join(examples.rejected())
    assert "Ticked/late.json: time 7 is not between" in said
    assert "Ticked/typo.json: sourec would be ignored" in said
    assert "Ticked/other.json: unknown `type`" in said


def test_an_unknown_version_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--against", "no-such-version"]) == 2
    assert "git knows no version 'no-such-version'" in capsys.readouterr().err
