"""`evenhand experiment`: what is on trial, how it stands, to start and to stop it."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli.output import Json, result, table, when

if TYPE_CHECKING:
    from evenhand.experiments.experiment import Experiment

group = typer.Typer(
    name="experiment", help="Experiments: what is on trial, and what is decided about it.", no_args_is_help=True
)
Reason = Annotated[str, typer.Option("--reason", help="Why, for those who read the log later.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the answer; status 5 after it.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group)


@group.command("list")
def list_experiments(json: Json = False) -> None:
    """The experiments that run, and those that are declared in `config/experiments.yaml`."""
    from evenhand.cli.loop import configuration, what_holds

    running = {
        held.served.experiment.name: held.served.experiment for held in what_holds().values() if held.served.experiment
    }
    declared = {each.name: each for each in configuration().experiments.experiments}
    rows = [_row(each, running, declared) for each in {**declared, **running}.values()]
    result(
        rows, json,
        lambda: table(
            ["experiment", "model", "champion", "challengers", "running", "declared"],
            [
                [
                    row["name"], row["model"], row["champion"], ", ".join(row["challengers"]), row["running"],
                    row["declared"],
                ]
                for row in rows
            ],
        ),
    )  # fmt: skip


@group.command()
def show(name: Annotated[str, typer.Argument()], json: Json = False) -> None:
    """One experiment: its variants and weights, the latest posterior of each challenger, and the decisions so far."""
    from evenhand.cli.loop import configuration, what_holds
    from evenhand.errors import InvalidConfiguration

    holding = what_holds()
    running = next((held.served.experiment for held in holding.values() if _is(held.served.experiment, name)), None)
    declared = next((each for each in configuration().experiments.experiments if each.name == name), None)
    posterior, decisions = asyncio.run(_judged(name))
    experiment = running or declared
    if experiment is None and not decisions:
        raise InvalidConfiguration(f"there is no experiment {name!r}: `evenhand experiment list` names them")
    shown = {
        "name": name, "running": running is not None, "experiment": experiment, "posterior": posterior,
        "decisions": decisions,
    }  # fmt: skip
    result(shown, json, lambda: _text(shown))


@group.command()
def start(
    name: Annotated[str, typer.Argument(help="One that is declared in config/experiments.yaml.")],
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Another file that declares it.")] = None,
    reason: Reason = "",
    timeout: Timeout = 30.0,
    json: Json = False,
) -> None:
    """Put versions on trial. Refused if another experiment of the model runs: status 4, with the reason."""
    from evenhand.cli.loop import configuration, model_store, obey
    from evenhand.errors import InvalidConfiguration
    from evenhand.events import Served
    from evenhand.experiments.configured import read_experiments

    declared = configuration()
    found = declared.experiments
    if file is not None:
        if not file.is_file():
            raise InvalidConfiguration(f"there is no file {str(file)!r}: name one like config/experiments.yaml")
        from adapters.configuration import text_of

        found = read_experiments(text_of(file), str(file))
    experiment = next((each for each in found.experiments if each.name == name), None)
    if experiment is None:
        names = ", ".join(each.name for each in found.experiments) or "none"
        raise InvalidConfiguration(f"{file or declared.folder / 'experiments.yaml'} declares no {name!r}, but: {names}")
    served = Served(champion=experiment.variant(experiment.champion).version, experiment=experiment)
    declared.check_versions(experiment.model, served, model_store().versions(experiment.model))
    control = obey(experiment.model, "start_experiment", reason, timeout, experiment=experiment)
    result(control, json, lambda: f"{name} runs since {when(control.time)}, by control {control.digest}")


@group.command()
def stop(
    name: Annotated[str, typer.Argument()],
    model: Annotated[str | None, typer.Option("--model", help="Its model, where nothing runs under that name.")] = None,
    reason: Reason = "",
    timeout: Timeout = 30.0,
    json: Json = False,
) -> None:
    """End an experiment; the champion serves everybody. Refused if it does not run: status 4, with the reason."""
    from evenhand.cli.loop import obey, what_holds
    from evenhand.client.commands import Refused

    holding = what_holds()
    of = model or next((each for each, held in holding.items() if _is(held.served.experiment, name)), None)
    if of is None:
        raise Refused(f"no experiment {name!r} runs: `evenhand experiment list` names those that do")
    control = obey(of, "stop_experiment", reason, timeout, subject=name)
    result(
        control, json, lambda: f"{name} has ended; {control.served.champion} serves {of}, by control {control.digest}"
    )


@group.command()
def reweight(
    name: Annotated[str, typer.Argument()],
    weights: Annotated[list[str], typer.Argument(metavar="VARIANT=WEIGHT...", help="The others keep theirs.")],
    reason: Reason = "",
    timeout: Timeout = 30.0,
    json: Json = False,
) -> None:
    """Give the variants of a running experiment other weights; nobody leaves a variant whose share grows."""
    given = parse_weights(weights)
    _begin_phase(name, "change_weights", reason, timeout, json, weights=given)


@group.command()
def drop(
    name: Annotated[str, typer.Argument()],
    variant: Annotated[str, typer.Argument(help="A challenger.")],
    reason: Reason = "",
    timeout: Timeout = 30.0,
    json: Json = False,
) -> None:
    """End one challenger of a running experiment; its units go to the champion, and nobody else moves."""
    _begin_phase(name, "drop_variant", reason, timeout, json, variant=variant)


def parse_weights(texts: list[str]) -> dict[str, int]:
    """Weights as they are typed.

    >>> parse_weights(["ridge=50", "trees=50"])
    {'ridge': 50, 'trees': 50}
    """
    given: dict[str, int] = {}
    for text in texts:
        variant, _, weight = text.partition("=")
        if not variant or not weight.isdecimal():
            raise typer.BadParameter(f"{text!r}: write a variant and an integer weight, such as trees=50")
        given[variant] = int(weight)
    return given


def _begin_phase(name: str, command: str, reason: str, timeout: float, json: bool, **more: Any) -> None:
    from evenhand.cli.loop import obey, what_holds
    from evenhand.client.commands import Refused

    of = next((each for each, held in what_holds().items() if _is(held.served.experiment, name)), None)
    if of is None:
        raise Refused(f"no experiment {name!r} runs: `evenhand experiment list` names those that do")
    control = obey(of, command, reason, timeout, subject=name, **more)
    left = control.served.experiment
    shown = "it has ended" if left is None else ", ".join(f"{each.name} {each.weight}" for each in left.variants)
    result(control, json, lambda: f"{name}: {shown}, by control {control.digest}")


def _is(experiment: "Experiment | None", name: str) -> bool:
    return experiment is not None and experiment.name == name


def _row(experiment: "Experiment", running: dict[str, Any], declared: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": experiment.name, "model": experiment.model, "champion": experiment.champion,
        "challengers": list(experiment.challengers), "running": experiment.name in running,
        "declared": experiment.name in declared,
    }  # fmt: skip


async def _judged(name: str) -> tuple[Any, list[Any]]:
    """The latest posterior, and the decisions but those to continue, in order of their epochs; the first of each id."""
    from evenhand.client.subscribe import subscribe_async
    from evenhand.events import DecisionMade, PosteriorUpdated
    from evenhand.topics import DECISIONS, POSTERIORS

    posterior: Any = None
    decisions: dict[str, Any] = {}
    async for event in subscribe_async(POSTERIORS, DECISIONS, from_="earliest", follow=False):
        if isinstance(event, PosteriorUpdated) and event.subject == name:
            posterior = event if posterior is None or event.epoch >= posterior.epoch else posterior
        elif isinstance(event, DecisionMade) and event.subject == name:
            decisions.setdefault(event.id, event)
    ordered = sorted(decisions.values(), key=lambda each: (each.epochs, each.id))
    return posterior, ordered


def _text(shown: dict[str, Any]) -> str:
    experiment, posterior, decisions = shown["experiment"], shown["posterior"], shown["decisions"]
    parts = [f"{shown['name']}: {'running' if shown['running'] else 'not running'}"]
    if experiment is not None:
        total = sum(variant.weight for variant in experiment.variants)
        rows = [
            [each.name, each.version, f"{each.weight / total:.0%}", each.name == experiment.champion]
            for each in experiment.variants
        ]
        parts.append(table(["variant", "version", "traffic", "champion"], rows))
    if posterior is not None:
        rows = [
            [name, each.clusters, each.exposures, each.probability_better, each.expected_loss, each.relative_difference]
            for name, each in posterior.variants.items()
        ]
        parts.append(
            table(["variant", "clusters", "exposures", "P(better)", "expected loss", "relative difference"], rows)
        )
    else:
        parts.append("no posterior yet: nothing has matured in a closed epoch")
    last = [each for each in decisions if each.action != "continue"] or decisions[-1:]
    rows = [[when(each.time), each.action, each.variant, "; ".join(each.reasons)] for each in last]
    parts.append(table(["when", "action", "variant", "reasons"], rows) if rows else "no decision yet")
    return "\n\n".join(parts)
