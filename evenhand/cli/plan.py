"""`evenhand experiment plan`: what an experiment needs, in clusters and requests, and until when."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli.experiment import group
from evenhand.cli.output import Json, note, result, table, when

if TYPE_CHECKING:
    from evenhand.experiments.experiment import Experiment
    from evenhand.experiments.plan import Plan
    from evenhand.experiments.report import Report


def register(app: typer.Typer) -> None:  # noqa: ARG001 - as every group of commands
    """Add the command to its group."""
    group.command()(plan)


def plan(
    name: Annotated[str, typer.Argument(help="One that is declared in config/experiments.yaml, or that runs.")],
    relative_sd: Annotated[
        float | None,
        typer.Option(min=0.001, help="Spread of paired differences over the champion's loss. [default: as seen; 1]"),
    ] = None,
    clusters_per_day: Annotated[
        float | None, typer.Option(min=0.001, help="Outcomes a day. [default: as seen]")
    ] = None,
    requests_per_day: Annotated[
        float | None, typer.Option(min=0.001, help="Requests a day. [default: as seen]")
    ] = None,
    json: Json = False,
) -> None:
    """How many matured clusters and requests an experiment needs, how long that takes, and what it would find.

    Of one that runs, spread and traffic are those that were seen, and each challenger has an expected date.
    """
    from evenhand.cli.loop import configuration
    from evenhand.errors import InvalidConfiguration
    from evenhand.experiments.plan import plan as planned

    seen = _seen(name)
    declared = configuration()
    experiment = next((each for each in declared.experiments.experiments if each.name == name), None)
    if seen is not None:
        experiment = seen.experiment
    if experiment is None:
        names = ", ".join(each.name for each in declared.experiments.experiments) or "none"
        raise InvalidConfiguration(
            f"{declared.folder / 'experiments.yaml'} declares no {name!r}, and none of that name has run: it declares "
            f"{names}"
        )
    so_far = {each.name: each.progress for each in seen.challengers} if seen is not None else {}
    spreads = [each.relative_sd for each in so_far.values() if each.relative_sd]
    rates = [each.observations_per_day for each in so_far.values() if each.observations_per_day]
    asked = [each.requests_per_day for each in so_far.values() if each.requests_per_day]
    sd = relative_sd or max(spreads, default=1.0)
    daily, requests = clusters_per_day or min(rates, default=None), requests_per_day or min(asked, default=None)
    found = planned(experiment.rule, sd, len(experiment.challengers), daily)
    per_cluster = requests / daily if requests and daily else None
    shown = {
        "name": name, "relative_sd": sd, "is_seen": relative_sd is None and bool(spreads), "plan": found,
        "planned_requests": None if per_cluster is None else round(per_cluster * found.planned_clusters),
        "expected_requests": None if per_cluster is None else round(per_cluster * found.expected_clusters),
        "progress": so_far,
    }  # fmt: skip
    result(shown, json, lambda: _text(shown, experiment, found))


def _seen(name: str) -> "Report | None":
    """What has been seen of it so far, where a loop can be asked."""
    from evenhand.cli.report import from_topics
    from evenhand.errors import EvenhandError

    try:
        return asyncio.run(from_topics(name))
    except EvenhandError as error:
        note(f"planned without evidence: {error}")
        return None


def _text(shown: dict[str, Any], experiment: "Experiment", found: "Plan") -> str:
    what = "blocks" if experiment.block_s else "clusters"
    because = "as seen so far" if shown["is_seen"] else "as given or assumed"
    parts = [
        f"spread of the paired differences, over the champion's loss: {shown['relative_sd']:.4g}, {because}",
        table(
            ["", what, "requests", "days"],
            [
                ["planned end", found.planned_clusters, shown["planned_requests"], found.planned_days],
                [
                    "expected, at the effect that matters", found.expected_clusters, shown["expected_requests"],
                    found.expected_days,
                ],
            ],
        ),
        table(["relative effect", "power"], [[effect, power] for effect, power in found.power.items()]),
    ]  # fmt: skip
    if shown["progress"]:
        parts.append(
            table(
                ["so far", "requests", "clusters", "effective", "of planned", "expected end", "planned end"],
                [
                    [
                        name, of.requests, of.clusters, of.effective, of.planned, when(of.expected_ms),
                        when(of.planned_ms),
                    ]
                    for name, of in shown["progress"].items()
                ],
            )
        )  # fmt: skip
    return "\n\n".join(parts)
