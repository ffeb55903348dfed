"""The store: a version is whole, sealed, and never changes."""

import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from evenhand.errors import InvalidConfiguration, ModelUnavailable
from evenhand.processors.inference import Predictors
from models.base import Model
from models.card import Card, Description
from models.linear import Ridge
from models.naive import Naive
from models.signature import Signature
from models.store import ModelStore, VersionExists

SIGNATURE = Signature(features=("a", "b"), target="y", unit="fraction", horizon_s=60)
FROM = Description(summary="made up", seed=3)


def fitted(kind: type[Model], seed: int = 1) -> Model:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(400, 2))
    return kind(SIGNATURE).fit(rows, rows[:, :1] * 0.5 + random.normal(size=(400, 1)))


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    store.save("m", "1.0.0", fitted(Ridge), FROM)
    return store


def test_a_version_comes_back_and_stays_in_memory(store: ModelStore) -> None:
    other = ModelStore(store.root)
    predictors: Predictors = other
    rows = np.ones((3, 2))
    assert other.load("m", "1.0.0").predict(rows) == fitted(Ridge).predict(rows)
    assert predictors.get("m", "1.0.0") is other.load("m", "1.0.0")


def test_what_was_saved_last_is_loaded_beforehand(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, saved_s in (("1.1.0", 50), ("1.2.0", 90), ("1.3.0", 70)):
        store.save("m", version, fitted(Naive), FROM)
        os.utime(store.root / "m" / version / "model.json", (saved_s, saved_s))
    os.utime(store.root / "m" / "1.0.0" / "model.json", (60, 60))
    (store.root / "m" / "1.3.0" / "learned.json").write_bytes(b"damaged")
    other = ModelStore(store.root)
    assert other.warm(most=3) == 2
    with pytest.raises(ModelUnavailable):
        other.load("m", "1.3.0")
    monkeypatch.setattr(ModelStore, "_read", None)
    assert isinstance(other.load("m", "1.2.0"), Naive)
    assert isinstance(other.load("m", "1.0.0"), Ridge)


def test_its_card_says_where_it_comes_from(store: ModelStore) -> None:
    card = store.describe("m", "1.0.0")
    assert (card.kind, card.signature, card.description) == ("ridge", SIGNATURE, FROM)
    assert set(card.libraries) >= {"python", "numpy", "lightgbm"}
    assert msgspec.json.decode(msgspec.json.encode(card), type=Card) == card


def test_versions_are_in_semantic_order(store: ModelStore) -> None:
    for version in ("1.10.0", "1.9.0", "2.0.0-rc.1", "2.0.0"):
        store.save("m", version, fitted(Naive), FROM)
    assert store.versions("m") == ["1.0.0", "1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0"]
    assert store.versions("absent") == []
    assert store.models() == ["m"]


def test_the_same_version_again_is_no_error_and_another_is_refused(store: ModelStore) -> None:
    assert store.save("m", "1.0.0", fitted(Ridge), FROM) == store.describe("m", "1.0.0")
    with pytest.raises(VersionExists, match="next version"):
        store.save("m", "1.0.0", fitted(Ridge, seed=2), FROM)
    assert sorted(path.name for path in (store.root / "m").iterdir()) == ["1.0.0"]


@pytest.mark.parametrize("file", ["model.json", "ridge.json", "learned.json"])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_version_is_refused(store: ModelStore, file: str, damage: str) -> None:
    path = store.root / "m" / "1.0.0" / file
    raw = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        place = next(i for i, byte in enumerate(raw) if chr(byte) in "123456789")
        path.write_bytes(raw[: len(raw) // 2] if damage == "cut" else raw[:place] + b"0" + raw[place + 1 :])
    with pytest.raises(ModelUnavailable, match=r"m.*1\.0\.0|1\.0\.0.*m"):
        ModelStore(store.root).load("m", "1.0.0")


def test_a_folder_under_another_name_is_refused(store: ModelStore) -> None:
    (store.root / "m" / "1.0.0").rename(store.root / "m" / "1.0.1")
    with pytest.raises(ModelUnavailable, match="changed after it was sealed"):
        store.load("m", "1.0.1")


def test_a_kind_that_is_not_here_is_refused(store: ModelStore) -> None:
    path = store.root / "m" / "1.0.0" / "model.json"
    card = msgspec.json.decode(path.read_bytes(), type=Card)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(card, kind="rigde").sealed()))
    with pytest.raises(ModelUnavailable, match="did you mean 'ridge'"):
        store.load("m", "1.0.0")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("m", "1.0.1"),
        ("absent", "1.0.0"),
        ("../models/m", "1.0.0"),
        ("m", "../m/1.0.0"),
        ("", ""),
        ("m", "x\0y"),
    ],
)
def test_what_is_not_there_is_unavailable(store: ModelStore, name: str, version: str) -> None:
    with pytest.raises(ModelUnavailable):
        store.load(name, version)


@pytest.mark.parametrize(("name", "version"), [("../x", "1.0.0"), ("m", "1.0"), ("m", "latest"), ("m", "1.0.0/..")])
def test_names_that_are_none_are_not_saved(store: ModelStore, name: str, version: str) -> None:
    with pytest.raises(InvalidConfiguration):
        store.save(name, version, fitted(Naive), FROM)


def test_a_save_that_fails_leaves_nothing(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.store._write", full)
    with pytest.raises(OSError, match="No space"):
        store.save("m", "1.1.0", fitted(Naive), FROM)
    assert sorted(path.name for path in (store.root / "m").iterdir()) == ["1.0.0"]


def test_the_card_is_readable_json(store: ModelStore) -> None:
    card = json.loads((store.root / "m" / "1.0.0" / "model.json").read_text())
    assert card["signature"]["features"] == ["a", "b"]
