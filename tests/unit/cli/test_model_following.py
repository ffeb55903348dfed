"""What goes on beside the loop: a registry that is told of versions and aliases, a learner whose versions serve."""

import os
import time
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest

import evenhand.cli.loop
from evenhand.cli.model_sync import Registry
from evenhand.cli.model_update import _serve
from evenhand.events import Served
from evenhand.experiments.experiment import Experiment, Variant
from evenhand.processors.control import control
from models.base import model_kind
from models.card import Description
from models.signature import Signature
from models.store import ModelStore
from trainer.updating import Updated

SIGNATURE = Signature(features=("a",), target="y", unit="fraction", horizon_s=60)


class Mlflow:
    """It takes versions and aliases, as `Tracking` does for it, once it is there."""

    wait_s: ClassVar[float] = 0.0

    def __init__(self) -> None:
        self.registry = self
        self.away = False
        self.sent: dict[tuple[str, str], str] = {}
        self.waiting: list[tuple[str, str]] = []
        self.held: dict[str, str] = {"old": "9.0.0"}

    def number(self, name: str, version: str) -> str | None:
        if self.away:
            raise ConnectionError("MLflow is away")
        return self.sent.get((name, version))

    def aliases(self, name: str) -> list[str]:
        return sorted(self.held)

    def flush(self, timeout_s: float) -> bool:
        self.sent |= {one: str(place) for place, one in enumerate(self.waiting)}
        return True

    def alias(self, model: str, alias: str, version: str | None) -> None:
        self.held.pop(alias, None)
        if version is not None:
            assert (model, version) in self.sent, "an alias of a version that is not there would be lost"
            self.held[alias] = version

    def start_run(self, name: str, **_: Any) -> "Run":
        return Run(self)


class Run:
    """A run whose only interest is its version."""

    def __init__(self, mlflow: Mlflow) -> None:
        self._mlflow = mlflow

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def version(self, name: str, version: str, *_: object, **__: object) -> None:
        self._mlflow.waiting.append((name, version))

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    made = ModelStore(tmp_path)
    monkeypatch.setattr(evenhand.cli.loop, "model_store", lambda: made)
    return made


def saved(store: ModelStore, version: str) -> None:
    rows = np.random.default_rng(1).normal(size=(400, 1))
    store.save("m", version, model_kind("naive")(SIGNATURE).fit(rows, rows), Description(summary=version))


def test_versions_are_registered_as_they_come_and_aliases_once_they_are_there(store: ModelStore) -> None:
    mlflow = Mlflow()
    registry = Registry(mlflow)  # type: ignore[arg-type]
    saved(store, "1.0.0")
    assert registry.tell({"m": {"champion": "1.0.0", "challenger": "1.1.0"}}) == ["m@1.0.0"]
    assert mlflow.held == {"champion": "1.0.0"}  # the old one is taken away; 1.1.0 is not there yet
    saved(store, "1.1.0")
    assert registry.tell({"m": {"champion": "1.0.0", "challenger": "1.1.0"}}) == ["m@1.1.0"]
    assert mlflow.held == {"champion": "1.0.0", "challenger": "1.1.0"}
    mlflow.away = True
    with pytest.raises(ConnectionError):
        registry.tell({"m": {"champion": "1.1.0"}})
    mlflow.away = False
    assert registry.tell({"m": {"champion": "1.1.0"}}) == []
    assert mlflow.held == {"champion": "1.1.0"}
    assert mlflow.waiting == [("m", "1.0.0"), ("m", "1.1.0")]  # each once


def test_a_version_is_left_for_a_while_to_whoever_trains_it(store: ModelStore) -> None:
    mlflow = Mlflow()
    registry = Registry(mlflow, settled_s=60.0)  # type: ignore[arg-type]
    saved(store, "1.0.0")
    assert registry.tell({}) == []
    long_ago = time.time() - 61
    os.utime(store.root / "m" / "1.0.0" / "model.json", (long_ago, long_ago))
    assert registry.tell({}) == ["m@1.0.0"]


@pytest.mark.parametrize("on_trial", [True, False])
def test_what_has_learned_serves_unless_the_champion_is_on_trial(
    on_trial: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = tuple(
        Variant(name=name, version=version, weight=1) for name, version in (("a", "1.0.0"), ("b", "1.1.0"))
    )
    trial = Experiment(name="t", model="m", champion="a", variants=variants) if on_trial else None
    served = Served(champion="1.0.0", experiment=trial, wait_s=77)
    given: list[Any] = []
    monkeypatch.setattr(evenhand.cli.loop, "what_holds", lambda: {"m": control(served, "m", 1_542_153_600_000, "c")})
    monkeypatch.setattr(evenhand.cli.loop, "obey", lambda *asked, **more: given.append((*asked[:2], more["served"])))
    _serve(Updated("m", "1.0.0", "1.0.1", 10, 20, ()))
    assert given == ([] if on_trial else [("m", "apply_configuration", Served(champion="1.0.1", wait_s=77))])
