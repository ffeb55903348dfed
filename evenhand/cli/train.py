"""`evenhand train`: models walk forward through a history, and a verdict says which of them have skill."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.cli.output import Json, result
from evenhand.cli.series_files import series_files

if TYPE_CHECKING:
    from models.config import ModelsConfig
    from models.store import ModelStore
    from trainer.progress import Progress
    from trainer.report import TrainingReport
    from trainer.settings import TrainingSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(train)


def train(  # noqa: PLR0913, PLR0917  a flag each
    data: Annotated[Path | None, typer.Option(help="Candles as .csv or .parquet")] = None,
    topic: Annotated[str | None, typer.Option(help="Candles from a topic, one JSON record each")] = None,
    offsets: Annotated[str | None, typer.Option(help="Of the topic, such as 0:100-200,1:0-")] = None,
    key: Annotated[str | None, typer.Option(help="Of the topic's series")] = None,
    model: Annotated[str | None, typer.Option(help="What to register; by default the file's or topic's name")] = None,
    features: Annotated[str | None, typer.Option(help="Columns of a table instead of candles, with commas")] = None,
    target: Annotated[str | None, typer.Option(help="The table's column to forecast, a change and no level")] = None,
    beside: Annotated[
        list[str] | None, typer.Option(help="Candles of a series that features read, NAME=FILE; again for another")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair bad rows instead of refusing them")] = False,
    models: Annotated[str, typer.Option(help="Kinds, with commas between")] = "naive,ridge,lightgbm,ensemble",
    horizon: Annotated[int, typer.Option(help="Steps ahead", min=1, max=1000)] = 1,
    folds: Annotated[int, typer.Option(help="Test blocks over the last half of the history", min=1, max=100)] = 4,
    window_days: Annotated[float | None, typer.Option(help="How far back a fold looks; by default, all")] = None,
    embargo_hours: Annotated[
        float, typer.Option(help="What a fold leaves out before its test, besides the purge")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed and data give the same numbers", min=0, max=2**32 - 1)] = 0,
    tune: Annotated[int, typer.Option(help="Sets of parameters to try inside each fold", min=1, max=1000)] = 1,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Nets answer by ONNX Runtime, if it says what numpy says")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one a core", min=1, max=256)] = None,
    register_versions: Annotated[bool, typer.Option("--register/--no-register", help="Save a version of each")] = True,
    track: Annotated[bool, typer.Option("--tracking/--no-tracking", help="Show the run in MLflow")] = True,
    json: Json = False,
) -> None:
    """Train models on a history, test them on what came after, and register them; run again after a kill to go on."""
    import contextlib

    from evenhand.cli.bars import progress
    from evenhand.cli.loop import configuration, model_store
    from evenhand.errors import InvalidConfiguration
    from trainer.settings import TrainingSettings

    declared = None
    with contextlib.suppress(InvalidConfiguration):
        declared = configuration().models
    names = _words(models)
    settings = TrainingSettings(
        data=data, topic=topic, offsets=offsets, key=key, model=model, beside=series_files(beside),
        repair=repair, models=names, horizon=horizon,
        features=_words(features or ""), target=target, folds=folds, seed=seed, tune=tune, workers=workers, onnx=onnx,
        window_days=window_days, embargo_hours=embargo_hours,
    )  # fmt: skip
    store = model_store()
    with progress() as told:
        report = _run(settings, declared, store, register_versions, told, track)
    result(report, json, report.text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _run(
    settings: "TrainingSettings", declared: "ModelsConfig | None", store: "ModelStore", register_versions: bool,
    told: "Progress", track: bool,
) -> "TrainingReport":  # fmt: skip
    """Run it, within a run of MLflow's unless that is not wanted or not there."""
    import contextlib

    from evenhand.cli.tracking import tracking
    from trainer.pipeline import train as run

    kafka = None
    if settings.topic is not None:
        from evenhand.client.connection import kafka_settings

        kafka = kafka_settings()
    saved, kept = store if register_versions else None, store.root / ".folds"
    with tracking() if track else contextlib.nullcontext() as tracked:
        if tracked is None:
            return run(settings, declared, saved, kept, told, kafka)
        from trainer.tracking import Tracked

        with (
            tracked.start_run(f"train {settings.name}", tags={"model": settings.name}) as within,
            Tracked(told, within, settings, store) as listener,
        ):
            report = run(settings, declared, saved, kept, listener, kafka)
            listener.report(report)
            return report
