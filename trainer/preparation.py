"""What a run learns from: candles through audited features, or a table that somebody else has made."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from adapters.kafka.settings import KafkaSettings
from evenhand.errors import EvenhandError
from evenhand.training.examples import Examples
from evenhand.training.leakage import AuditSettings, audit_labels, require_clean
from models.audit import audit_candle_features
from models.beside import with_series
from models.card import Description, Lineage, Source
from models.config import Endpoint, FirstVersion, ModelsConfig
from models.features import make_feature
from models.learners import examples_of
from models.signature import Signature
from models.training import Table, make_table
from trainer.feature_table import known_at, read_feature_table
from trainer.history import read_history
from trainer.progress import Progress
from trainer.settings import TrainingSettings

_LEAST_ROWS = 100


class Prepared(NamedTuple):
    """Audited and ready to walk. `digest` is of the data, `span` from its first to its last moment, in ms."""

    endpoint: Endpoint
    signature: Signature
    examples: Examples
    table: Table
    digest: str
    span: tuple[int, int]
    sources: tuple[Source, ...] = ()

    def describe(self, summary: str, source: str, seed: int, lineage: Lineage) -> Description:
        """Say where a version comes from."""
        return Description(
            summary=summary, data=source, data_digest=self.digest, rows=len(self.table.rows), trained_from=self.span[0],
            trained_to=self.span[1], seed=seed, lineage=lineage,
        )  # fmt: skip


def prepare(
    settings: TrainingSettings, declared: ModelsConfig | None, progress: Progress, kafka: KafkaSettings | None = None
) -> Prepared:
    """Read and audit. Raises LeakFound with the name of a feature that knows what is to come."""
    found = _of_table(settings) if settings.features else _of_candles(settings, declared, progress, kafka)
    if len(found.examples) < _LEAST_ROWS:
        raise EvenhandError(
            f"{settings.source}: {len(found.examples)} rows are left to learn from, with all features and a target: "
            "features warm up again behind each gap, so give a longer history, one with fewer gaps, or shorter features"
        )
    progress.tell("auditing the table for columns that know their label")
    names = found.signature.features
    require_clean(audit_labels(names, found.examples.rows, found.examples.targets, AuditSettings()))
    return found


def _of_candles(
    settings: TrainingSettings, declared: ModelsConfig | None, progress: Progress, kafka: KafkaSettings | None
) -> Prepared:
    candles, sources = read_history(settings, progress, kafka)
    endpoint = settings.endpoint(candles, declared)
    folder = settings.data.parent if settings.data else Path()
    repairs: list[str] | None = [] if settings.repair else None
    candles = with_series(candles, folder, endpoint.features, settings.beside, repairs)
    for repair in repairs or ():
        progress.tell(f"repaired: {repair}")
    features = [make_feature(each) for each in endpoint.features]
    progress.tell("auditing the features for leaks")
    require_clean(audit_candle_features(features, candles, settings.seed))
    span = int(candles.open_time[0]), int(candles.open_time[-1]) + candles.interval_ms
    return Prepared(
        endpoint, endpoint.signature(), examples_of(candles, endpoint), make_table(candles, endpoint), candles.digest(),
        span, sources,
    )  # fmt: skip


def _of_table(settings: TrainingSettings) -> Prepared:
    data, target = settings.data, settings.target
    assert data is not None  # noqa: S101  settings have checked it
    assert target is not None  # noqa: S101
    table, interval, digest = read_feature_table(data, settings.features, target, settings.horizon)
    horizon_s = max(1, interval // 1000)
    signature = Signature(
        features=settings.features, target=target, unit="as given", horizon_s=horizon_s, max_horizon=settings.horizon
    )  # fmt: skip
    endpoint = Endpoint(
        target=target, unit="as given", horizon_s=horizon_s, wait_s=2 * settings.horizon * horizon_s, champion="1.0.0",
        features=(), versions=(FirstVersion("1.0.0", "naive"),), max_horizon=settings.horizon,
    )  # fmt: skip
    known = np.isfinite(table.targets).any(axis=1)
    made = table.open_time[known] + interval
    examples = Examples(made, known_at(table, interval)[known], table.rows[known], table.targets[known])
    return Prepared(endpoint, signature, examples, table, digest, (int(table.open_time[0]), int(made[-1])))
