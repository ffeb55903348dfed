"""The two models on trial, trained once into a store of the bench's own; every contestant loads the same files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenhand.processors.inference import Answer
from models.base import Model, model_kind
from models.signature import Signature
from models.store import ModelStore
from tests.benchmarks.steps import ARMS, CHALLENGER, CHAMPION, FEATURES, MODEL, STEP_MS

KINDS = {CHAMPION: "ridge", CHALLENGER: "boosted_trees"}
TRAINING_ROWS = 4_000


class LoadedArms:
    """Both models, ready to predict."""

    def __init__(self, root: Path) -> None:
        store = ModelStore(root)
        self.models: dict[str, Model] = {name: store.load(MODEL, version) for name, version in ARMS.items()}

    def ask(self, variant: str, rows: NDArray[np.float64]) -> Answer:
        """A variant's answer to rows of features, one step ahead."""
        return self.models[variant].predict(rows, 1)


def train(root: Path) -> LoadedArms:
    """Train what is not there yet."""
    from models.card import Description  # noqa: PLC0415  workers only load

    store = ModelStore(root)
    features, targets = training_data()
    signature = Signature(
        features=tuple(f"f{i}" for i in range(FEATURES)),
        target="log_return",
        unit="fraction, natural log",
        horizon_s=STEP_MS // 1000,
        aligned=False,
    )
    for name, version in ARMS.items():
        if version not in store.versions(MODEL):
            model = model_kind(KINDS[name])(signature, {}).fit(features, targets[:, None], 7)
            store.save(MODEL, version, model, Description(summary=f"{name} of the benchmark", rows=len(features)))
    return LoadedArms(root)


def training_data(rows: int = TRAINING_ROWS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features and targets that a line and trees both learn something from."""
    generator = np.random.default_rng(11)
    features = generator.standard_normal((rows, FEATURES))
    return features, truth(features) + 0.1 * generator.standard_normal(rows)


def truth(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the targets follow."""
    line: NDArray[np.float64] = (features * np.linspace(0.5, -0.5, FEATURES)).sum(axis=1)
    return 0.1 * line + 0.05 * np.sin(2 * features[:, 0])
