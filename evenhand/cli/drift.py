"""`evenhand drift`: what has drifted, how the watches stand, and what another setting would have raised."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli.output import Json, result, table, when

if TYPE_CHECKING:
    from evenhand.drift.calibrate import Raised
    from evenhand.drift.signals import Signal
    from evenhand.monitoring import DriftRule

group = typer.Typer(name="drift", help="Drift: what has drifted, and what a setting would raise.", no_args_is_help=True)
Model = Annotated[str | None, typer.Option("--model", help="A model of models.yaml; default: the only one.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group)


@group.command("list")
def list_(model: Model = None, json: Json = False) -> None:
    """Every alarm of drift in the log, what it names, and when it was over."""
    signals = [each for each in asyncio.run(_signals()) if model in {None, each.model}]
    result(signals, json, lambda: "\n".join(line(each) for each in signals) or "nothing has drifted so far")


@group.command()
def show(identity: Annotated[str, typer.Argument(metavar="ID", help="Of an alarm; its beginning is enough.")]) -> None:
    """One alarm whole, with all that it found and where its evidence lies, as JSON."""
    from evenhand.errors import InvalidConfiguration

    found = [each for each in asyncio.run(_signals()) if each.id.startswith(identity)]
    if not found:
        raise InvalidConfiguration(f"no alarm has an id that begins with {identity!r}: see evenhand drift list --json")
    result(found[0], True, str)


@group.command()
def status(json: Json = False) -> None:
    """How each watch stands: learning, armed or drifted, and what part of its budget of false alarms is used up."""
    rows = asyncio.run(_standing())
    result(
        rows, json,
        lambda: table(
            ["model", "version", "watch", "state", "reference", "budget used", "rows seen", "one looked at in"],
            [
                [r["model"], r["version"], r["watch"], r["state"], r["generation"], f"{r['score']:.1%}", r["seen"],
                 _spread(r["every"])] for r in rows
            ],
        ) if rows else "no model is watched for drift: name one in config/drift.yaml",
    )  # fmt: skip


@group.command()
def detectors(json: Json = False) -> None:
    """Every detector, what it takes, and its parameters with their defaults."""
    import msgspec

    from evenhand.drift import detector, kinds

    shown = []
    for kind in kinds():
        made = detector(kind)
        parameters = msgspec.to_builtins(made)
        shown.append({"detector": kind, "takes": made.takes, "parameters": parameters,
                      "what": (type(made).__doc__ or "").splitlines()[0]})  # fmt: skip
    result(
        shown, json,
        lambda: table(
            ["detector", "takes", "parameters", "what"],
            [[s["detector"], s["takes"], " ".join(f"{k}={v}" for k, v in s["parameters"].items()), s["what"]]
             for s in shown],
        ),
    )  # fmt: skip


@group.command()
def calibrate(
    model: Model = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FILE",
            help="Your history, .csv or .parquet: a time and a column for each feature, or candles. Default: the log.",
        ),
    ] = None,
    per_month: Annotated[
        list[float] | None, typer.Option("--per-month", help="Allowed false alarms a month; may be repeated.")
    ] = None,
    per_100k: Annotated[
        list[float] | None, typer.Option("--per-100k", help="Allowed false alarms in 100,000 rows; may be repeated.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="training (the version's sample) or learned (the first rows).")
    ] = None,
    reference_size: Annotated[int | None, typer.Option("--reference-size", help="Rows of a new reference.")] = None,
    max_thinning: Annotated[
        int | None, typer.Option("--max-thinning", help="Look at a slow feature once in so many rows at least.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what a setting would have raised on your own history, beside what it allows by chance.

    The judge is that of the loop. Without options the settings are those of config/drift.yaml and a tenth and ten times
    as many allowed alarms. Alarms far beyond the allowed number are drift, or the history's own swings: see --reference
    and --max-thinning.
    """
    from evenhand.cli.drift_history import of_file, of_log
    from evenhand.cli.loop import configuration, model_store
    from evenhand.errors import InvalidConfiguration
    from evenhand.monitoring import DriftRule

    declared = configuration()
    names = list(declared.models.models)
    if model is None and len(names) != 1:
        raise InvalidConfiguration(f"--model: write one of {', '.join(names)}")
    name = model or names[0]
    monitoring, endpoint = declared.monitoring(name), declared.models.endpoint(name)
    rule = monitoring.drift or DriftRule(features=endpoint.signature().features)
    if reference not in {None, "training", "learned"}:
        raise InvalidConfiguration(f"--reference {reference}: write training or learned")
    changes = {"reference": reference, "reference_size": reference_size, "max_thinning": max_thinning}
    rule = _changed(rule, {key: value for key, value in changes.items() if value is not None})
    sample = model_store().reference(name, endpoint.champion)
    epochs = of_file(data, rule, monitoring) if data is not None else asyncio.run(of_log(name, monitoring))
    from evenhand.drift.calibrate import raised

    found = [
        raised(each, epochs, monitoring.epoch_s * 1000, sample)
        for each in _settings(rule, per_month or [], per_100k or [])
    ]
    result(found, json, lambda: _text(found))


def line(signal: "Signal") -> str:
    """A signal in one line."""
    from evenhand.cli.demo.summary import drift_line

    return f"{when(signal.time)}  {signal.model}  {drift_line(signal)}"


def _changed(rule: "DriftRule", changes: dict[str, Any]) -> "DriftRule":
    import msgspec

    from evenhand.errors import InvalidConfiguration

    try:
        return msgspec.convert({**msgspec.to_builtins(rule), **changes}, type(rule))
    except msgspec.ValidationError as error:
        raise InvalidConfiguration(f"{error}: change the option of that name") from None


def _settings(rule: "DriftRule", per_month: Sequence[float], per_100k: Sequence[float]) -> "list[DriftRule]":
    """The rules to play: those that were asked for, else the declared one between a tenth and ten times of it."""
    if not per_month and not per_100k:
        if rule.false_alarms_per_100k is not None:
            per_100k = [rule.false_alarms_per_100k * times for times in (0.1, 1, 10)]
        else:
            per_month = [(rule.false_alarms_per_month or 1.0) * times for times in (0.1, 1, 10)]
    rules = [_changed(rule, {"false_alarms_per_month": each, "false_alarms_per_100k": None}) for each in per_month]
    return rules + [
        _changed(rule, {"false_alarms_per_month": None, "false_alarms_per_100k": each}) for each in per_100k
    ]


def _text(found: "list[Raised]") -> str:
    head = ["allowed", "rows", "months armed", "allowed by chance", "raised"]
    rows = [
        [f"{each.per_month:g} a month" if each.per_month is not None else f"{each.per_100k:g} in 100,000 rows",
         each.rows, round(each.armed_months, 2), round(each.expected, 2), len(each.alarms)]
        for each in found
    ]  # fmt: skip
    parts = [table(head, rows)]
    for each, row in zip(found, rows, strict=True):
        if each.alarms:
            lines = [
                f"  {when(alarm.time)}  {alarm.cause} of {alarm.feature} by {alarm.effect_size:+.1f} sd over the last "
                f"{alarm.rows_ago} rows; " + (f"a new reference on {when(alarm.over)}" if alarm.over else "not over")
                for alarm in each.alarms
            ]
            parts.append("\n".join([f"with {row[0]}:", *lines]))
    parts.append(f"one row is looked at in {_spread(found[-1].every)}")
    return "\n\n".join(parts)


def _spread(every: dict[str, int]) -> str:
    values = sorted(every.values())
    if not values:
        return "-"
    return str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


async def _signals() -> "list[Signal]":
    from evenhand.cli.loop import open_log
    from evenhand.drift.signals import signal_of
    from evenhand.topics import DRIFT_SIGNALS

    found: dict[str, Signal] = {}
    async with open_log() as (_, reader):
        places = await reader.places(DRIFT_SIGNALS)
        ends = await reader.ends(places)
        async for record in reader.read(await reader.beginnings(places), ends):
            if (signal := signal_of(record.value)) is not None:
                found.setdefault(signal.id, signal)
    return sorted(found.values(), key=lambda each: (each.time, each.id))


async def _standing() -> list[dict[str, Any]]:
    import math

    import msgspec
    from aiokafka.structs import TopicPartition

    from adapters.kafka.changelog import Loaded
    from evenhand.cli.loop import open_log
    from evenhand.processors.drift import WATCHING_ROW
    from evenhand.processors.drift_state import WatchingState
    from evenhand.topics import state_topic

    rows = []
    async with open_log() as (_, reader):
        places = await reader.places(state_topic("drift").name)
        ends = await reader.ends(places)
        loaded = {place: Loaded() for place in places}
        async for record in reader.read(await reader.beginnings(places), ends):
            loaded[TopicPartition(record.topic, record.partition)].take(record)
    for each in loaded.values():
        for key, (value, _) in sorted(each.rows.items()):
            if not key.startswith(WATCHING_ROW):
                continue
            state = msgspec.json.decode(value, type=WatchingState)
            common = {"model": state.model, "version": state.champion}
            for watch, its in state.lines.items():
                wealth = its.wealth if its.phase == "armed" else None
                used = float(its.phase == "drifted") if wealth is None else min(1.0, math.exp(wealth.log_statistic))
                rows.append({
                    **common, "watch": watch, "state": its.phase, "generation": its.generation, "score": used,
                    "seen": 0 if its.wealth is None else its.wealth.seen, "every": its.every,
                })  # fmt: skip
            estimator = state.estimator
            phase = "learning" if estimator.reference is None else "warning" if estimator.is_warning else "armed"
            rows.append({
                **common, "watch": "early warning", "state": "distrusted" if estimator.is_distrusted else phase,
                "generation": estimator.generation, "score": 0.0,
                "seen": len(estimator.pairs) if estimator.warned is None else estimator.warned.matured, "every": {},
            })  # fmt: skip
    return rows
