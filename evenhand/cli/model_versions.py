"""`evenhand models diff | changelog | compare | lineage | reproduce`: versions side by side, and where they come from.

A version is MODEL@VERSION, or MODEL@champion, MODEL@challenger.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli.output import Json, note, result, table, when
from evenhand.cli.series_files import series_files

if TYPE_CHECKING:
    from models.candles import Candles
    from models.card import Card
    from models.lineage import Reproduced
    from models.store import ModelStore

Version = Annotated[str, typer.Argument(help="MODEL@VERSION, such as btc-usd-1h@1.0.0 or btc-usd-1h@champion")]
Beside = Annotated[list[str] | None, typer.Option(help="Candles of a series that features read, NAME=FILE")]
Data = Annotated[Path | None, typer.Option(help="Candles as .csv or .parquet; by default data/MODEL.parquet")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group of models."""
    for command in (diff, changelog, compare, lineage, reproduce):
        group.command()(command)


def diff(before: Version, after: Version, json: Json = False) -> None:
    """What changed from one version to another, and which number follows from that."""
    from models.lineage import step_between

    store = _store()
    (name, old), (other, new) = _named(before), _named(after)
    if name != other:
        raise typer.BadParameter(f"{name} and {other} are two models: name two versions of one")
    derived = step_between(store, name, old, new)
    cards = [_plain(store.describe(name, version)) for version in (old, new)]
    fields = {field: [card[field] for card in cards] for field in cards[0] if cards[0][field] != cards[1][field]}
    shown = {"model": name, "before": old, "after": new, "change": derived.change, "reasons": derived.reasons}
    result(
        {**shown, "differs": fields}, json,
        lambda: f"{name} {old} to {new}: a {derived.change} change\n"
        + "\n".join(f"- {reason}" for reason in derived.reasons) + "\n\n"
        + table(["what", old, new], [[field, *values] for field, values in fields.items()]),
    )  # fmt: skip


def changelog(name: Annotated[str, typer.Argument(help="Such as btc-usd-1h")], json: Json = False) -> None:
    """What each version changed, and how its metrics differ from those of the one before; newest first."""
    from models.lineage import changelog_of

    store = _store()
    entries = {version: changelog_of(store, name, version) for version in reversed(store.versions(name))}
    if not entries:
        raise typer.BadParameter(f"{name} has no version: `evenhand models list` names those that have one")
    result(entries, json, lambda: "\n".join(entries.values()))


def compare(one: Version, other: Version, data: Data = None, beside: Beside = None, json: Json = False) -> None:
    """Two versions on the candles that neither of them has seen, step 1; with the interval of the difference."""
    from models.beside import with_series
    from models.candle_files import read_candles
    from models.comparing import compare_versions
    from models.lineage import endpoint_of

    store = _store()
    first, second = _named(one), _named(other)
    declared, path = _declared(first[0]), _data(data, first[0])
    cards = [store.describe(*each) for each in (first, second)]  # before a file that there is not
    features = [each for card in cards for each in endpoint_of(card, declared).features]
    candles = with_series(read_candles(path), path.parent, features, series_files(beside))
    compared = compare_versions(store, first, second, candles, declared)
    result(compared, json, compared.text)


def lineage(
    version: Annotated[str | None, typer.Argument(help="MODEL@VERSION; none with --from")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="TOPIC:PARTITION:FIRST-LAST: what was learned from these records?")
    ] = None,
    json: Json = False,
) -> None:
    """Where a version comes from; or, with --from, which versions and predictions came from records of a topic."""
    if (version is None) == (from_ is None):
        raise typer.BadParameter("name a version, or records with --from TOPIC:PARTITION:FIRST-LAST")
    if from_ is not None:
        found = _came_from(from_)
        result(found, json, lambda: _reverse_text(found))
        return
    name, number = _named(version or "")
    card = _store().describe(name, number)
    origin = card.description.origin
    told = {
        **_plain(card), "follows": origin.follows, "change": origin.change, "reasons": list(origin.reasons),
        "sources": [f"{one.topic}:{one.partition}:{one.first}-{one.last}" for one in origin.sources],
    }  # fmt: skip
    result(told, json, lambda: table(["what", ""], [[field, _words(value)] for field, value in told.items()]))


def reproduce(
    version: Version,
    data: Data = None,
    beside: Beside = None,
    key: Annotated[str | None, typer.Option(help="Series of the topic that it was learned from")] = None,
    json: Json = False,
) -> None:
    """Learn a version again from the same data, and compare: LightGBM to the byte, nets within a tolerance."""
    from evenhand.cli.exits import FAILED

    name, number = _named(version)
    found = _learned_again(name, number, data, key, series_files(beside))
    rows: list[list[object]] = [
        ["verdict", found.verdict], ["largest difference of a forecast", f"{found.largest_difference:.3g} sd"],
        ["tolerance", f"{found.tolerance:g} sd"], ["same code", found.same_code],
        ["other libraries", _words({each: " now ".join(two) for each, two in found.other_libraries.items()})],
    ]  # fmt: skip
    rows += [[part, "same bytes" if same else "other bytes"] for part, same in found.files.items()]
    result(found, json, lambda: table(["what", ""], rows))
    if found.verdict == "differs":
        raise typer.Exit(FAILED)


def _learned_again(name: str, number: str, data: Path | None, key: str | None, beside: dict[str, Path]) -> "Reproduced":
    from models.beside import with_series
    from models.lineage import endpoint_of, goes_on, of_table
    from models.lineage import reproduce as from_candles

    store = _store()
    card = store.describe(name, number)
    if goes_on(card):
        return _gone_on_again(store, name, number)
    if of_table(card):
        return _from_table(store, card, _data(data, name))
    declared = _declared(name)
    features, folder = endpoint_of(card, declared).features, _data(data, name).parent
    candles = with_series(_learned_from(card, data, key), folder, features, beside, repairs=[])
    note(f"learning {name} {number} again from {len(candles)} candles")
    return from_candles(store, name, number, candles, declared)


def _gone_on_again(store: "ModelStore", name: str, number: str) -> "Reproduced":
    import asyncio

    from evenhand.cli.loop import open_log
    from trainer.updating import reproduce as again

    async def read() -> "Reproduced":
        async with open_log() as (_, reader):
            return await again(reader, store, name, number)

    return asyncio.run(read())


def _from_table(store: "ModelStore", card: "Card", path: Path) -> "Reproduced":
    from evenhand.errors import EvenhandError
    from models.lineage import reproduce_on
    from trainer.feature_table import read_feature_table

    signature, digest = card.signature, card.description.data_digest
    table, _, found = read_feature_table(path, signature.features, signature.target, signature.max_horizon)
    if found != digest:
        raise EvenhandError(
            f"{card.model} {card.version} was trained on another table (digest {digest[:12]}, this has {found[:12]}): "
            f"give the file that was called {card.description.data}"
        )
    return reproduce_on(store, card.model, card.version, table)


def _learned_from(card: "Card", data: Path | None, key: str | None) -> "Candles":
    """The candles of a file, or those of the records that a version was learned from.

    Repaired where they need it, as the training may have been asked to: the version's digest tells if it was not.
    """
    from models.candle_files import read_candles

    sources = card.description.origin.sources
    if data is not None or not sources:
        return read_candles(_data(data, card.model), repairs=[])
    from evenhand.client.connection import kafka_settings
    from trainer.history import read_history
    from trainer.progress import Told
    from trainer.settings import TrainingSettings

    ranges = ",".join(f"{one.partition}:{one.first}-{one.last + 1}" for one in sources)
    asked = TrainingSettings(models=(), topic=sources[0].topic, offsets=ranges, key=key, repair=True)
    return read_history(asked, Told(note), kafka_settings()).candles


def _store() -> "ModelStore":
    from evenhand.cli.loop import model_store

    return model_store()


def _named(text: str) -> tuple[str, str]:
    """Model and version; an alias is looked up in what holds."""
    from evenhand.cli.models import all_aliases
    from evenhand.errors import ModelUnavailable

    name, at, version = text.rpartition("@")
    if not at:
        raise typer.BadParameter(f"{text!r} names no version: write MODEL@VERSION, such as btc-usd-1h@1.0.0")
    if version in {"champion", "challenger"}:
        held = all_aliases().get(name, {})
        if version not in held:
            raise ModelUnavailable(f"{name} has no {version}: `evenhand models show {name}` tells what it has")
        version = held[version]
    return name, version


def _data(data: Path | None, name: str) -> Path:
    from evenhand.client.checkout import root

    return data or root() / "data" / f"{name}.parquet"


def _declared(name: str) -> Any:
    import contextlib

    from evenhand.cli.loop import configuration
    from evenhand.errors import InvalidConfiguration

    with contextlib.suppress(InvalidConfiguration):
        return configuration().models.endpoint(name)
    return None


def _plain(card: "Card") -> dict[str, Any]:
    about = card.description
    return {
        "model": card.model, "version": card.version, "kind": card.kind, "summary": about.summary, "data": about.data,
        "data_digest": about.data_digest, "rows": about.rows, "trained_from": when(about.trained_from),
        "trained_to": when(about.trained_to), "seed": about.seed, "features": list(card.signature.features),
        "code_digest": card.code_digest, "libraries": card.libraries, "digest": card.digest,
    }  # fmt: skip


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items()) or "none"
    return ", ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value) or "-"


def _came_from(text: str) -> dict[str, Any]:
    import re

    from models.card import Source
    from models.lineage import learned_from

    match = re.fullmatch(r"([^:]+):(\d+):(\d+)-(\d+)", text)
    if not match:
        raise typer.BadParameter(f"{text!r} names no records: write TOPIC:PARTITION:FIRST-LAST, candles.v1:3:100-200")
    topic, partition, first, last = match[1], int(match[2]), int(match[3]), int(match[4])
    versions = learned_from(_store(), Source(topic, partition, first, last))
    return {
        "from": text,
        "versions": [f"{name}@{version}" for name, version in versions],
        "predictions": _predictions(set(versions)) if versions else [],
    }


def _predictions(versions: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """What these versions have answered, shadows included: how much, and from where to where it lies."""
    import asyncio

    from evenhand.cli.predictions import answered_by

    return asyncio.run(answered_by(versions))


def _reverse_text(found: dict[str, Any]) -> str:
    columns = ["model", "version", "partition", "answers", "shadows", "first", "last"]
    rows = [[each[column] for column in columns] for each in found["predictions"]]
    return f"learned from {found['from']}: {_words(found['versions'])}\n\n" + table(columns, rows)
