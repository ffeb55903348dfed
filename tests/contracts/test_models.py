"""What every model of `models/` promises. A new file there is tested by existing."""

import ast
import itertools
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import models
from evenhand.processors.inference import Answer, Predictor
from models.base import FloatArray, Model, Unpredictable, model_kinds
from models.signature import Signature

STEPS = 3
NAMES = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")  # more than 8: numpy sums longer rows in another order
SIGNATURE = Signature(
    features=NAMES, target="y", unit="fraction", horizon_s=60, reference_price="close", max_horizon=STEPS
)
KINDS = sorted(model_kinds())
HEAVY = ("lightgbm", "polars", "torch", "safetensors", "river", "scipy", "pandas", "sklearn", "yaml")


def table(seed: int = 1, count: int = 600) -> tuple[FloatArray, FloatArray]:
    """Rows and targets with a linear signal in the first step and noise in all; the last targets are not known yet."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, len(NAMES))) * 10.0 ** np.arange(-5, 6)
    targets = random.normal(size=(count, STEPS)) * 0.01
    targets[:, 0] += rows[:, 0] * 500
    for step in range(STEPS):
        targets[count - step - 1 :, step] = np.nan
    return rows, targets


_fitted: dict[str, Model] = {}


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> Model:
    """Each kind of model, fitted once."""
    kind = request.param
    if kind not in _fitted:
        _fitted[kind] = model_kinds()[kind](SIGNATURE).fit(*table())
    return _fitted[kind]


def answers(model: Model, rows: FloatArray, horizon: int) -> list[str]:
    """Ask a model for each row of a batch, to the bit; where the batch fails, for each row alone."""
    try:
        answer = model.predict(rows, horizon)
    except Unpredictable:
        raise
    except Exception as error:  # noqa: BLE001  a model may raise anything
        if len(rows) == 1:
            return [type(error).__name__]
        return [one for i in range(len(rows)) for one in answers(model, rows[i : i + 1], horizon)]
    return [repr(row) for row in zip(answer.values, answer.confidence, answer.intervals or [], strict=True)]


def test_the_registry_finds_the_models() -> None:
    assert {
        "naive",
        "ridge",
        "boosted_trees",
        "broken",
        "seasonal_naive",
        "drift",
        "ewma",
        "lstm",
        "transformer",
        "online",
    } <= set(KINDS)


def test_it_is_what_the_inference_agent_takes(model: Model) -> None:
    predictor: Predictor = model
    assert predictor.features == NAMES
    assert (predictor.horizon_s, predictor.aligned, predictor.reference_price) == (60, True, "close")


def test_a_saved_model_answers_as_before_and_saves_the_same_bytes(model: Model) -> None:
    files = model.save()
    loaded = type(model).load(SIGNATURE, files)
    rows, _ = table(2, 100)
    assert loaded.save() == files
    assert answers(loaded, rows, STEPS) == answers(model, rows, STEPS)


def test_the_same_table_and_seed_give_the_same_bytes(model: Model) -> None:
    again = type(model)(SIGNATURE).fit(*table())
    assert again.save() == model.save()


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_row_is_answered_the_same_in_any_company(model: Model, data: st.DataObject) -> None:
    rows, _ = table(3, 257)
    alone = [answers(model, rows[i : i + 1], STEPS)[0] for i in range(len(rows))]
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=200))
    assert answers(model, rows[chosen], STEPS) == [alone[i] for i in chosen]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 64, 127, 128, 129, 1000])
def test_a_batch_may_have_any_size_and_layout(model: Model, size: int) -> None:
    rows, _ = table(4, size)
    alone = [answers(model, rows[i : i + 1], 1)[0] for i in range(size)]
    wide = np.repeat(rows, 2, axis=1)
    for layout in (rows, np.asfortranarray(rows), wide[:, ::2], rows[::-1][::-1]):
        assert answers(model, layout, 1) == alone


def test_a_step_does_not_depend_on_how_many_are_asked(model: Model) -> None:
    rows, _ = table(5, 20)
    kept = [row for row in rows if not answers(model, row[None], 1)[0].isidentifier()]
    whole = model.predict(np.array(kept), STEPS)
    for horizon in range(1, STEPS + 1):
        part = model.predict(np.array(kept), horizon)
        assert part.values == [row[:horizon] for row in whole.values]
        assert part.confidence == [row[:horizon] for row in whole.confidence]
        assert part.intervals == [row[:horizon] for row in whole.intervals or []]


def test_answers_make_sense(model: Model) -> None:
    rows, _ = table(6, 20)
    kept = np.array([row for row in rows if not answers(model, row[None], 1)[0].isidentifier()])
    answer = model.predict(kept, STEPS)
    assert isinstance(answer, Answer)
    for values, confidence, intervals in zip(answer.values, answer.confidence, answer.intervals or [], strict=True):
        assert len(values) == len(confidence) == len(intervals) == STEPS
        assert all(0 <= each <= 1 for each in confidence)
        assert all(low < value < high for value, (low, high) in zip(values, intervals, strict=True))
        assert all(type(each) is float for each in itertools.chain(values, confidence, *intervals))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused_by_name(model: Model, bad: float) -> None:
    rows, targets = table(7, 600)
    rows[3, 2] = bad
    with pytest.raises(Unpredictable, match="feature 'c' of row 3"):
        model.predict(rows)
    with pytest.raises(Unpredictable, match="NaN or infinite"):
        type(model)(SIGNATURE).fit(rows, targets)


def test_what_cannot_be_answered_is_refused(model: Model) -> None:
    rows, targets = table(8, 5)
    for horizon in (0, STEPS + 1):
        with pytest.raises(Unpredictable, match="1 to 3 steps"):
            model.predict(rows, horizon)
    with pytest.raises(Unpredictable, match=r"expected \(n, 11\)"):
        model.predict(rows[:, :4])
    with pytest.raises(Unpredictable, match="fit or load"):
        type(model)(SIGNATURE).predict(rows)
    with pytest.raises(Unpredictable, match="too few"):
        type(model)(SIGNATURE).fit(rows, targets)


def test_its_files_are_text_or_safetensors(model: Model) -> None:
    for name, content in model.save().items():
        if name.endswith(".safetensors"):  # a length, that much JSON, and numbers: nothing that can be run
            assert msgspec.json.decode(content[8 : 8 + int.from_bytes(content[:8], "little")])
            continue
        assert content.decode("utf-8").isprintable() or "\n" in content.decode("utf-8")


def test_no_file_imports_pickle_or_what_hides_it() -> None:
    for path in Path(models.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"pickle", "cloudpickle", "dill", "joblib", "shelve"}, (
                path
            )


def test_importing_models_loads_nothing_heavy() -> None:
    program = (
        "import sys, models, models.base; from models.store import ModelStore; models.base.model_kinds();"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
