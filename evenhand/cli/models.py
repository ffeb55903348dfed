"""`evenhand models`: the versions that there are, and what they need."""

import contextlib
from typing import Annotated, Any

import typer

from evenhand.cli import model_history, model_sync, model_update, model_versions
from evenhand.cli.output import Json, note, result, table, when

group = typer.Typer(
    name="models", help="Model versions: which there are, what they predict, from which features.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    for part in (model_history, model_versions, model_sync, model_update):
        part.register(group)
    app.add_typer(group)


@group.command("list")
def list_models(json: Json = False) -> None:
    """Every model with its versions and its champion."""
    from evenhand.cli.loop import model_store

    store = model_store()
    holding = _holding()
    names = sorted({*store.models(), *_declared(), *holding})
    rows = [_summary(name, store.versions(name), holding) for name in names]
    result(
        rows, json,
        lambda: table(
            ["model", "versions", "champion", "challengers"],
            [
                [row["model"], ", ".join(row["versions"]) or "none yet", row["champion"], ", ".join(row["challengers"])]
                for row in rows
            ],
        ),
    )  # fmt: skip


@group.command()
def show(name: Annotated[str, typer.Argument(help="Such as btc-usd-1h")], json: Json = False) -> None:
    """One model: its versions, the names of its features in order, its target and unit, champion and aliases."""
    from evenhand.cli.loop import model_store
    from evenhand.errors import ModelUnavailable

    store = model_store()
    versions = store.versions(name)
    if not versions and name not in _declared():
        raise ModelUnavailable(f"there is no model {name!r}: `evenhand models list` names them")
    if not versions:
        raise ModelUnavailable(f"{name} is declared, but has no version yet: `evenhand models train` trains it")
    cards = [store.describe(name, version) for version in versions]
    summary = _summary(name, versions, _holding())
    champion = summary["champion"]
    served = next((card for card in cards if card.version == champion), cards[0])
    signature = served.signature
    shown: dict[str, Any] = {
        **summary,
        "features": list(signature.features),
        "target": signature.target,
        "unit": signature.unit,
        "horizon_s": signature.horizon_s,
        "max_horizon": signature.max_horizon,
        "reference_price": signature.reference_price,
        "details": [
            {
                "version": card.version, "kind": card.kind, "summary": card.description.summary, "digest": card.digest,
                "features": list(card.signature.features), "rows": card.description.rows,
                "trained_from": card.description.trained_from, "trained_to": card.description.trained_to,
            }
            for card in cards
        ],
    }  # fmt: skip
    result(shown, json, lambda: _text(shown))


@group.command()
def train(json: Json = False) -> None:
    """Train the declared versions that are missing, from the history in `data`; seconds."""
    from evenhand.cli.loop import configuration, model_store
    from evenhand.client.checkout import root

    store, declared = model_store(), configuration()
    missing = {
        name: [first.version for first in endpoint.versions if first.version not in store.versions(name)]
        for name, endpoint in declared.models.models.items()
    }
    for name, versions in missing.items():
        if versions:
            note(f"training {name} {', '.join(versions)}")
            from models.training import train_default

            train_default(root() / "data" / f"{name}.parquet", store, name, declared.models.endpoint(name))
    result(
        {"trained": missing}, json,
        lambda: "; ".join(f"{name}: {', '.join(new) or 'nothing was missing'}" for name, new in missing.items()),
    )  # fmt: skip


def _summary(name: str, versions: list[str], holding: dict[str, Any]) -> dict[str, Any]:
    control = holding.get(name)
    declared = _declared().get(name)
    champion = control.served.champion if control else declared
    experiment = control.served.experiment if control else None
    challengers = [] if experiment is None else [experiment.variant(each).version for each in experiment.challengers]
    aliases = {"champion": champion} if champion else {}
    if challengers:
        aliases["challenger"] = challengers[0]
    return {
        "model": name, "versions": versions, "champion": champion, "challengers": challengers, "aliases": aliases,
        "experiment": experiment.name if experiment else None, "served": control is not None,
    }  # fmt: skip


def all_aliases(*, sure: bool = False) -> dict[str, dict[str, str]]:
    """Which version each alias stands for, of every model that is declared or served.

    Where no log can be asked it is what is declared; `sure` takes that only if no broker is configured, else it raises.
    """
    return aliases_by(_holding(sure=sure))


def aliases_by(holding: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The same, where it is known what holds."""
    return {name: _summary(name, [], holding)["aliases"] for name in sorted({*_declared(), *holding})}


def _declared() -> dict[str, str]:
    """Champion of each declared model."""
    from evenhand.cli.loop import configuration
    from evenhand.errors import InvalidConfiguration

    with contextlib.suppress(InvalidConfiguration):
        return {name: endpoint.champion for name, endpoint in configuration().models.models.items()}
    return {}


def _holding(*, sure: bool = False) -> dict[str, Any]:
    """What the log says, if there is one to ask; `sure` raises if one is configured but does not answer."""
    from evenhand.cli.loop import what_holds
    from evenhand.errors import EvenhandError

    try:
        return dict(what_holds())
    except EvenhandError as error:
        if sure and _names_broker():
            raise
        note(f"the champion is the declared one, for no log says what holds: {error}")
        return {}


def _names_broker() -> bool:
    from evenhand.client.connection import kafka_settings
    from evenhand.errors import EvenhandError

    try:
        kafka_settings()
    except EvenhandError:
        return False
    return True


def _text(shown: dict[str, Any]) -> str:
    head = [
        ["model", shown["model"]], ["served", shown["served"]], ["champion", shown["champion"]],
        ["challengers", ", ".join(shown["challengers"])], ["target", f"{shown['target']} ({shown['unit']})"],
        ["horizon", f"{shown['horizon_s']} s a step, up to {shown['max_horizon']} steps"],
        ["features", ", ".join(shown["features"])],
    ]  # fmt: skip
    rows = [
        [each["version"], each["kind"], each["summary"], each["rows"], when(each["trained_to"]), each["digest"][:12]]
        for each in shown["details"]
    ]
    return (
        table(["what", ""], head) + "\n\n" + table(["version", "kind", "summary", "rows", "trained to", "digest"], rows)
    )
