"""A version can be learned again from what it says of itself, and compared with others on what none has seen."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from evenhand.errors import EvenhandError
from models.base import model_kind
from models.candle_files import read_candles
from models.candles import Candles
from models.card import Source
from models.comparing import compare_versions
from models.config import Endpoint, FirstVersion, read_models_config
from models.lineage import learned_from, reproduce, step_between
from models.store import ModelStore
from models.training import describe, make_table, origin, seen_candles, train_on

ROOT = Path(__file__).parents[3]
NAME = "btc-usd-1h"
NET = {"length": 3, "width": 4, "epochs": 2}


@pytest.fixture(scope="module")
def endpoint() -> Endpoint:
    declared = read_models_config(ROOT / "config" / "models.yaml").endpoint(NAME)
    return msgspec.structs.replace(
        declared, max_horizon=3, versions=(*declared.versions, FirstVersion("1.2.0", "lstm", "", NET))
    )


@pytest.fixture(scope="module")
def candles() -> Candles:
    return read_candles(ROOT / "data" / f"{NAME}.parquet")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, endpoint: Endpoint, candles: Candles) -> ModelStore:
    store = ModelStore(tmp_path_factory.mktemp("models"))
    train_on(candles, f"{NAME}.parquet", store, NAME, endpoint)
    return store


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_ridge_and_lightgbm_come_out_the_same_to_the_byte(store: ModelStore, candles: Candles, version: str) -> None:
    found = reproduce(store, NAME, version, candles, None)
    assert (found.verdict, found.largest_difference, found.same_code, found.other_libraries) == (
        "identical", 0.0, True, {},
    )  # fmt: skip
    assert "trees.txt" in found.files or version == "1.0.0"


def test_a_net_comes_out_within_its_tolerance(store: ModelStore, candles: Candles) -> None:
    found = reproduce(store, NAME, "1.2.0", candles, None)
    assert found.verdict in {"identical", "within tolerance"}
    assert found.largest_difference <= found.tolerance


def test_a_version_that_says_something_wrong_about_itself_differs(
    store: ModelStore, candles: Candles, endpoint: Endpoint
) -> None:
    """Its card names another seed and other rows than it was learned from."""
    seen = seen_candles(candles, endpoint)
    table = make_table(seen, endpoint)
    model = model_kind("ridge")(endpoint.signature(), {"alpha": 1.0})
    model.fit(table.rows[: len(table.rows) // 2], table.targets[: len(table.rows) // 2], 0)
    text = describe("", "", seen, table, 0, origin(endpoint, table, model))
    store.save(NAME, "9.0.0", model, text)
    assert reproduce(store, NAME, "9.0.0", candles, None).verdict == "differs"


def test_other_candles_are_refused(store: ModelStore, candles: Candles) -> None:
    other = candles.rows(np.arange(len(candles)) != 1000)
    with pytest.raises(EvenhandError, match=f"{NAME}.parquet"):
        reproduce(store, NAME, "1.0.0", other, None)


def test_a_version_that_goes_on_from_another_names_it(store: ModelStore, candles: Candles, endpoint: Endpoint) -> None:
    seen = seen_candles(candles, endpoint)
    table, model = make_table(seen, endpoint), store.load(NAME, "1.0.0")
    made = origin(endpoint, table, model, follows="1.0.0", sources=[Source("scored-predictions.v1", 0, 1, 2)])
    store.save(NAME, "8.0.0", model, describe("", "", seen, table, 0, made))
    with pytest.raises(EvenhandError, match=r"goes on from 1\.0\.0"):
        reproduce(store, NAME, "8.0.0", candles, None)


def test_a_version_keeps_an_example_and_what_it_says_to_that(store: ModelStore) -> None:
    held, about = store.load(NAME, "1.1.0"), store.describe(NAME, "1.1.0").description.origin
    assert held.forecast(np.array([about.example]), 3)[0].tolist() == list(about.answer)


def test_versions_are_compared_on_what_neither_has_seen(store: ModelStore, candles: Candles) -> None:
    found = compare_versions(store, (NAME, "1.0.0"), (NAME, "1.1.0"), candles, None)
    assert found.from_ms >= (store.describe(NAME, "1.0.0").description.trained_to or 0) - candles.interval_ms
    assert found.rows > 1000
    assert set(found.scores) == {f"{NAME}@1.0.0", f"{NAME}@1.1.0"}
    gain = found.improvement.improvement
    assert gain.low < gain.mean < gain.high
    assert "step 1" in found.text()
    itself = compare_versions(store, (NAME, "1.0.0"), (NAME, "1.0.0"), candles, None)
    assert not itself.improvement.better
    with pytest.raises(EvenhandError, match="newer"):
        compare_versions(store, (NAME, "1.0.0"), (NAME, "1.1.0"), candles.closed_by(found.from_ms), None)


def test_what_a_version_went_on_from_is_nothing_that_it_has_not_seen(
    store: ModelStore, candles: Candles, tmp_path: Path
) -> None:
    other, later = ModelStore(tmp_path), int(candles.open_time[-500])
    about = store.describe(NAME, "1.0.0").description
    went_on = msgspec.structs.replace(about, lineage=msgspec.structs.replace(about.origin, matured_to=later))
    other.save(NAME, "1.0.0", store.load(NAME, "1.0.0"), about)
    other.save(NAME, "1.0.1", store.load(NAME, "1.0.0"), went_on)
    found = compare_versions(other, (NAME, "1.0.0"), (NAME, "1.0.1"), candles, None)
    assert found.from_ms >= later - candles.interval_ms


def test_the_step_between_two_versions_has_its_reasons(store: ModelStore) -> None:
    derived = step_between(store, NAME, "1.0.0", "1.1.0")
    assert (derived.version, derived.change) == ("1.1.0", "minor")
    assert derived.reasons == ("boosted_trees instead of ridge",)


def test_versions_are_found_by_the_records_that_they_learned_from(
    tmp_path: Path, candles: Candles, endpoint: Endpoint
) -> None:
    store = ModelStore(tmp_path)
    seen = seen_candles(candles, endpoint)
    table = make_table(seen, endpoint)
    for number, (first, last) in enumerate([(0, 99), (100, 199)]):
        model = model_kind("naive")(endpoint.signature()).fit(table.rows, table.targets, 0)
        made = origin(endpoint, table, model, sources=[Source("candles.v1", 3, first, last)])
        store.save(NAME, f"1.{number}.0", model, describe("", "", seen, table, 0, made))
    assert learned_from(store, Source("candles.v1", 3, 50, 60)) == [(NAME, "1.0.0")]
    assert learned_from(store, Source("candles.v1", 3, 99, 100)) == [(NAME, "1.0.0"), (NAME, "1.1.0")]
    assert learned_from(store, Source("candles.v1", 4, 50, 60)) == []
    assert learned_from(store, Source("outcomes.v1", 3, 50, 60)) == []
