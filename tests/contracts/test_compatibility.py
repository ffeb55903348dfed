"""The check that a change is backward compatible judges made-up changes right."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import schemas
from schemas import published
from schemas.compatibility import compatible
from schemas.structure import event_schema, event_types

Change = Callable[[dict[str, Any]], Any]


def judged(name: str, change: Change) -> list[str]:
    old = event_schema(name)
    new = copy.deepcopy(old)
    change(new)
    return compatible(old, new)


def fields(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["properties"]
    return found


# The five


def test_an_optional_field_may_be_added() -> None:
    assert judged("PredictionRequested", lambda new: fields(new).update(note={"type": "string", "default": ""})) == []


def test_a_field_may_not_go_away() -> None:
    assert judged("PredictionRequested", lambda new: fields(new).pop("unit")) == ["$.unit: the field is gone"]
    assert judged("CommandGiven", lambda new: fields(new["$defs"]["Served"]).pop("wait_s")) == [
        "$.served.wait_s: the field is gone"
    ]


def test_an_optional_field_may_not_become_required() -> None:
    assert judged("PredictionRequested", lambda new: new["required"].append("unit")) == [
        "$.unit: the field became required"
    ]
    assert judged("PredictionRequested", lambda new: new["required"].remove("model")) == []


@pytest.mark.parametrize(
    ("field", "change", "reason"),
    [
        ("horizon", {"maximum": 32}, "$.horizon: maximum 64 became 32, and what was accepted no longer is"),
        ("horizon", {"type": "string"}, "$.horizon: type integer became string, and what was accepted no longer is"),
        ("horizon", {"maximum": 128}, None),
        ("horizon", {"type": "number"}, None),
        ("model", {"maxLength": 64}, "$.model: maxLength 256 became 64, and what was accepted no longer is"),
        ("model", {"maxLength": 512}, None),
        ("model", {"pattern": "^[a-z]+$"}, "$.model: pattern nothing became ^[a-z]+$, and which"),
        ("horizon", {"default": 2}, "$.horizon: default 1 became 2, which changes what events without it mean"),
        ("model", {"contentEncoding": "base64"}, "$.model: cannot judge a change beside contentEncoding"),
    ],
    ids=str,
)
def test_a_type_may_become_wider_but_not_narrower(field: str, change: dict[str, Any], reason: str | None) -> None:
    reasons = judged("PredictionRequested", lambda new: fields(new)[field].update(change))
    assert len(reasons) == (reason is not None)
    assert all(one.startswith(str(reason)) for one in reasons)


def test_an_enum_may_grow_but_not_lose_or_rename_a_value() -> None:
    def rename(new: dict[str, Any]) -> None:
        values = fields(new)["command"]["enum"]
        values[values.index("approve")] = "accept"

    lost = ["$.command: enum lost 'approve', and what was accepted no longer is"]
    assert judged("CommandGiven", rename) == lost
    assert judged("CommandGiven", lambda new: fields(new)["command"]["enum"].remove("approve")) == lost
    assert judged("CommandGiven", lambda new: fields(new)["command"]["enum"].append("extend")) == []
    assert judged("Ticked", lambda new: fields(new)["type"].update(enum=["Ticks"])) == [
        "$.type: enum lost 'Ticked', and what was accepted no longer is"
    ]


# And what else can happen


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (
            "PredictionRequested",
            lambda new: (fields(new).update(note={"type": "string"}), new["required"].append("note")),
            "$.note: the field is new and required",
        ),
        (
            "PredictionRequested",
            lambda new: fields(new)["features"]["anyOf"][0].update(maxItems=10),
            "$.features: maxItems 4096 became 10, and what was accepted no longer is",
        ),
        (
            "PredictionRequested",
            lambda new: fields(new)["features"]["anyOf"][0].update(items={"type": "integer"}),
            "$.features[]: type number became integer, and what was accepted no longer is",
        ),
        (
            "PredictionRequested",
            lambda new: fields(new)["features"]["anyOf"][1]["propertyNames"].update(maxLength=64),
            "$.features.*: maxLength 128 became 64, and what was accepted no longer is",
        ),
        ("PredictionRequested", lambda new: fields(new)["features"]["anyOf"].pop(), "$.features: "),
        ("PredictionRequested", lambda new: fields(new)["unit"]["anyOf"].pop(), "$.unit: "),
        (
            "PredictionRequested",
            lambda new: new.update(additionalProperties=False),
            "$: other fields were True and are",
        ),
        (
            "CommandGiven",
            lambda new: fields(new["$defs"]["Rule"])["max_expected_loss"].update(exclusiveMinimum=0.1),
            "$.served.experiment.rule.max_expected_loss: exclusiveMinimum 0.0 became 0.1",
        ),
        (
            "EvidenceReported",
            lambda new: new["$defs"]["Moments"]["prefixItems"].pop(),
            "$.variants.*.losses.*[3]: the place is gone",
        ),
        ("DecisionMade", lambda new: fields(new)["epochs"].update(minItems=3), "$.epochs: minItems 2 became 3"),
        ("OutcomeObserved", lambda new: new.update(oneOf=[]), "$: the rule 'oneOf' is new or has changed"),
    ],
)
def test_a_break_is_found_where_it_is(name: str, change: Change, reason: str) -> None:
    reasons = judged(name, change)
    assert reasons
    assert reasons[0].startswith(reason)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("PredictionRequested", lambda new: fields(new)["model"].update(description="in other words")),
        ("OutcomeObserved", lambda new: new.pop("oneOf")),
        ("EvidenceReported", lambda new: new["$defs"]["Moments"]["prefixItems"].append({"type": "number"})),
        ("CommandGiven", lambda new: fields(new["$defs"]["Variant"])["name"].pop("pattern")),
        ("CommandGiven", lambda new: fields(new)["served"]["anyOf"].append({"type": "string"})),
        ("MetricReported", lambda new: fields(new)["values"].update(additionalProperties={"type": ["number"]})),
    ],
)
def test_what_is_no_break_is_none(name: str, change: Change) -> None:
    assert judged(name, change) == []


@pytest.mark.parametrize("name", [event.__name__ for event in event_types()])
def test_nothing_is_a_change(name: str) -> None:
    assert judged(name, lambda _: None) == []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own, whose only commit holds today's contract."""
    found = tmp_path / "schemas"
    shutil.copytree(schemas.HOME, found, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "first"), ("tag", "v0.1.0")):
        subprocess.run(("git", *arguments), cwd=tmp_path, check=True)
    monkeypatch.setattr(published, "HOME", found)
    return found


def test_the_last_release_is_what_counts(home: Path) -> None:
    assert published.baseline() == "v0.1.0"
    assert list(published.breaks("v0.1.0")) == []
    assert set(published.published("v0.1.0")) == {
        str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()
    }


def test_every_kind_of_break_is_named(home: Path) -> None:
    (home / "Ticked.schema.json").unlink()
    (home / "examples/Ticked/minimal.json").unlink()
    (home / "examples/DriftCleared/full.json").write_text("{}")
    changed = json.loads((home / "OutcomeObserved.schema.json").read_bytes())
    changed["required"].append("request_id")
    (home / "OutcomeObserved.schema.json").write_text(json.dumps(changed))
    document = json.loads((home / "asyncapi.json").read_bytes())
    document["channels"].pop("reports.v1")
    document["channels"]["models.v1"]["messages"].pop("TrainingFailed")
    document["channels"]["alerts.v1"]["bindings"]["kafka"]["partitions"] = 4
    (home / "asyncapi.json").write_text(json.dumps(document))
    assert sorted(published.breaks("v0.1.0")) == [
        "OutcomeObserved.schema.json: $.request_id: the field became required",
        "Ticked.schema.json is gone",
        "asyncapi.json: topic alerts.v1 had 8 partitions and has 4, which moves its keys",
        "asyncapi.json: topic models.v1 no longer carries TrainingFailed",
        "asyncapi.json: topic reports.v1 is gone",
        "examples/DriftCleared/full.json was changed: examples stay, add another one",
        "examples/Ticked/minimal.json was deleted: examples stay, add another one",
    ]


def test_without_git_nothing_is_promised(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert published.baseline() == ""
