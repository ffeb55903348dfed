"""A version as MLflow's clients load it: `mlflow.pyfunc.load_model("models:/btc-usd-1h@champion").predict(frame)`.

It is our own files beside an `MLmodel` that names this module, so that nothing is unpickled; who loads it needs
evenhand's checkout on the path.
"""

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from evenhand.errors import ModelUnavailable
from models.base import FloatArray, Model, model_kind
from models.card import Card, sha256
from models.store import CARD

MODULE = "adapters.mlflow.flavor"
EXAMPLE = "input_example.json"


def files_of(card: Card, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what MLflow keeps of a version, by name: its files, its card, its signature and an input example."""
    inputs = [{"type": "double", "name": name, "required": True} for name in card.signature.features]
    steps = card.signature.max_horizon
    outputs = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, -1]}}]
    parameters = [{"name": "horizon", "type": "long", "default": steps, "shape": None}]
    described: dict[str, Any] = {
        "artifact_path": "model",
        "flavors": {"python_function": {"loader_module": MODULE, "python_version": platform.python_version()}},
        "mlflow_version": metadata.version("mlflow"),
        "signature": {
            "inputs": _json(inputs).decode(), "outputs": _json(outputs).decode(), "params": _json(parameters).decode()
        },
    }  # fmt: skip
    written = {**files, CARD: msgspec.json.format(_json(card), indent=1)}
    example = card.description.origin.example
    if example:
        written[EXAMPLE] = _json({"columns": list(card.signature.features), "data": [list(example)]})
        described["saved_input_example_info"] = {
            "artifact_path": EXAMPLE, "type": "dataframe", "pandas_orient": "split"
        }  # fmt: skip
    return {**written, "MLmodel": msgspec.json.format(_json(described), indent=1)}  # JSON is YAML


class Loaded:
    """What MLflow calls."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def predict(self, frame: Any, params: Mapping[str, Any] | None = None) -> FloatArray:
        """Return values of shape (rows, horizon) for a pandas frame with the features as columns, or an array."""
        columns = list(self._model.features)
        rows = frame[columns].to_numpy() if hasattr(frame, "columns") else np.asarray(frame)
        horizon = int((params or {}).get("horizon", self._model.signature.max_horizon))
        return np.array(self._model.predict(rows, horizon).values)


def _load_pyfunc(path: str) -> Loaded:
    """Load what `files_of` has written; MLflow calls this by its name."""
    folder = Path(path)
    card = msgspec.json.decode((folder / CARD).read_bytes(), type=Card)
    files = {name: (folder / name).read_bytes() for name in card.files if (folder / name).exists()}
    wrong = [name for name, content in files.items() if sha256(content) != card.files[name]]
    if wrong or card.sealed().digest != card.digest:
        raise ModelUnavailable(f"{card.model} {card.version} was changed after it was sealed: {wrong or CARD}")
    return Loaded(model_kind(card.kind).load(card.signature, files))


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
