"""The training pipeline by the names of the document: `create_enhanced_pipeline`, `load_and_prepare_data`, ..."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand.client.checkout import root
from evenhand.errors import InvalidConfiguration

if TYPE_CHECKING:
    import polars as pl

    from models.candles import Candles
    from trainer.report import TrainingReport

__all__ = ["EnhancedTrainingPipeline", "create_enhanced_pipeline"]

TARGETS = ("target", "log_return", "y", "label")
NAMED = {"target", "y", "label"}  # who has one of these has features, too, whatever prices stand beside them
CANDLE = {"open", "high", "low", "close"}


def create_enhanced_pipeline(
    experiment_name: str,
    model_types: Sequence[str] = ("ridge", "lightgbm"),
    enable_ensemble: bool = True,  # noqa: FBT001, FBT002  the document's argument
    *,
    horizon: int = 1,
    folds: int = 4,
    seed: int = 0,
    target: str | None = None,
) -> "EnhancedTrainingPipeline":
    """Make a pipeline of kinds of models that `evenhand train --models` has; `target` names the column to forecast."""
    models = (*model_types, "ensemble") if enable_ensemble and "ensemble" not in model_types else tuple(model_types)
    return EnhancedTrainingPipeline(experiment_name, models, horizon, folds, seed, target)


class EnhancedTrainingPipeline:
    """Walk-forward training with a leak audit, baselines and an honest verdict, as `evenhand train` does it."""

    def __init__(
        self, experiment_name: str, models: tuple[str, ...], horizon: int, folds: int, seed: int, target: str | None
    ) -> None:
        self.experiment_name, self.models = experiment_name, models
        self.horizon, self.folds, self.seed, self.target = horizon, folds, seed, target

    def load_and_prepare_data(self, data_path: str | Path) -> "tuple[pl.DataFrame, list[str]]":
        """Read a table of features and the names of these; of candles, compute the usual features and the return.

        All columns of numbers but the time and the target are features. Raises with row and reason for bad rows.
        """
        root()
        import polars.selectors as cs

        from models.candle_files import TIME_NAMES, read_candles, read_frame

        path = Path(data_path)
        frame = read_frame(path)
        names = {name.lower() for name in frame.columns}
        if names >= CANDLE and not names & NAMED and self.target is None:
            self.target = "log_return"
            return _prepared(read_candles(path))
        self.target = self.target or next((name for name in TARGETS if name in frame.columns), None)
        if self.target not in frame.columns:
            raise InvalidConfiguration(
                f"{path} has no target among its columns {', '.join(frame.columns)}: name the one to forecast, "
                "create_enhanced_pipeline(..., target=NAME)"
            )
        numbers = frame.select(cs.numeric()).columns
        return frame, [name for name in numbers if name != self.target and name.lower() not in TIME_NAMES]

    def train_models(self, df: "pl.DataFrame", feature_cols: Sequence[str]) -> "TrainingReport":
        """Train, test on what came after, and register; the run shows in MLflow under the experiment's name."""
        root()
        import os

        import msgspec

        from adapters.configuration import config_folder
        from adapters.mlflow.settings import read_tracking
        from evenhand.cli.bars import progress
        from evenhand.cli.loop import home_folder, model_store
        from evenhand.cli.tracking import tracking
        from trainer.pipeline import train
        from trainer.settings import TrainingSettings
        from trainer.tracking import Tracked

        home, store = home_folder(), model_store()
        settings = TrainingSettings(
            data=_written(df, home), models=self.models, model=self.experiment_name, features=tuple(feature_cols),
            target=self.target, horizon=self.horizon, folds=self.folds, seed=self.seed,
        )  # fmt: skip
        settings.kinds()
        told = msgspec.structs.replace(
            read_tracking(config_folder(root())), experiment_name=self.experiment_name
        ).at(home, os.environ)  # fmt: skip
        with progress() as listener, tracking(told) as tracked:
            if tracked is None:
                return train(settings, None, store, store.root / ".folds", listener)
            with tracked.start_run(f"train {settings.name}") as run, Tracked(listener, run, settings, store) as heard:
                report = train(settings, None, store, store.root / ".folds", heard)
                heard.report(report)
                return report


def _prepared(candles: "Candles") -> "tuple[pl.DataFrame, list[str]]":
    """The usual features of candles, each row at its close, and the return of the step after it."""
    import polars as pl

    from models.training import make_table
    from trainer.settings import TrainingSettings

    endpoint = TrainingSettings(models=(), data=Path("candles")).endpoint(candles, None)
    table, names = make_table(candles, endpoint), endpoint.signature().features
    columns = {name: table.rows[:, place] for place, name in enumerate(names)}
    times = table.open_time + candles.interval_ms
    return pl.DataFrame({"time": times, **columns, "log_return": table.targets[:, 0]}), list(names)


def _written(frame: "pl.DataFrame", home: Path) -> Path:
    """The table as a file, under a name that follows from what is in it."""
    home.mkdir(parents=True, exist_ok=True)
    content = frame.write_csv().encode()
    path = home / "tables" / f"{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        frame.write_parquet(path)
    return path
