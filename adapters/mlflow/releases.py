"""Versions of models that users log: each must follow from the last one, whether MLflow is there or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from adapters.mlflow.formats import describe_signature
from adapters.mlflow.tracking import Run, Tracking
from evenhand.training.versioning import Release, accept, changelog, derive


class Logged(msgspec.Struct):
    """The last release of a model."""

    version: str
    release: Release


def register(
    tracking: Tracking, run: Run, name: str, path: str, model: Any, signature: Any, given: str | None,
    parameters: Mapping[str, str],
) -> str:  # fmt: skip
    """Register the files under `path` as the version that follows. Raises InvalidConfiguration if `given` does not."""
    file = tracking.spool.path.parent / "releases" / f"{name}.json"
    last = _last(file)
    release = _release(model, signature, parameters)
    derived = derive(last.version if last else None, last.release if last else None, release)
    version = accept(given, derived)
    text = changelog(name, msgspec.structs.replace(derived, version=version), last.release if last else None, release)
    run.artifact("CHANGELOG.md", text.encode())
    run.version(
        name, version, path, description=text,
        tags={"kind": release.kind, "change": derived.change, "follows": last.version if last else ""},
    )  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(Logged(version, release)))
    return version


def _last(file: Path) -> Logged | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Logged)
    except FileNotFoundError:
        return None


def _release(model: Any, signature: Any, parameters: Mapping[str, str]) -> Release:
    from models.signature import Signature  # noqa: PLC0415

    kind = str(getattr(model, "kind", type(model).__name__))
    ours = getattr(model, "signature", signature)
    if isinstance(ours, Signature):
        fields = {name: getattr(ours, name) for name in ours.__struct_fields__}
        return Release(**fields, kind=kind, parameters=dict(parameters))
    described = describe_signature(signature) or {}
    inputs = described.get("inputs", described) if isinstance(described, dict) else described
    plain = msgspec.json.decode(inputs) if isinstance(inputs, str) else inputs
    names = [str(one.get("name", place)) if isinstance(one, dict) else str(one) for place, one in enumerate(plain)]
    target = str(described.get("outputs", "")) if isinstance(described, dict) else ""
    return Release(
        features=tuple(names), target=target, unit="", horizon_s=0, kind=kind, parameters=dict(parameters)
    )  # fmt: skip
