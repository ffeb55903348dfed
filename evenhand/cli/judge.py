"""`evenhand judge`: a trial of files, without Kafka, and beside it what the naive rule would have said."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli.output import Json, result, table, when

if TYPE_CHECKING:
    from evenhand.cli.columns import Joined
    from evenhand.experiments.experiment import Experiment
    from evenhand.experiments.files import Judged

_SPEC = "[NAME=]FILE[:COLUMN]"
_OVERLAPS = 0.1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(judge)


def judge(  # noqa: PLR0913, PLR0917 - an option each
    predictions: Annotated[
        list[str], typer.Option("--predictions", "-p", metavar=_SPEC, help="A model's; the first is the champion.")
    ],
    outcomes: Annotated[str, typer.Option("--outcomes", "-o", metavar=_SPEC, help="The truth.")],
    metric: Annotated[str, typer.Option("--metric", "-m", help="The loss that decides.")] = "squared_error",
    on: Annotated[list[str] | None, typer.Option("--on", help="Column to join by; repeat it for several.")] = None,
    time: Annotated[str | None, typer.Option("--time", help="Column that says what came when.")] = None,
    cluster: Annotated[
        list[str] | None, typer.Option("--cluster", help="Column of what shares an outcome; repeat it for several.")
    ] = None,
    horizon: Annotated[
        int, typer.Option("--horizon", min=1, help="Steps that forecasts look ahead: they overlap.")
    ] = 1,
    minimum_sample_size: Annotated[
        int | None, typer.Option(min=2, help="Clusters (blocks, with --horizon) before a decision. [default: 200; 30]")
    ] = None,
    maximum_sample_size: Annotated[int | None, typer.Option(min=2, help="Clusters at the planned end.")] = None,
    minimum_detectable_effect: Annotated[float, typer.Option(min=1e-6, help="Relative; sets the planned end.")] = 0.05,
    confidence_level: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Of a promotion.")] = 0.95,
    runs: Annotated[int, typer.Option(min=0, help="Streams like this one, for the naive rule's errors.")] = 1000,
    seed: Annotated[int, typer.Option()] = 1,
    json: Json = False,
) -> None:
    """Judge predictions in files as the loop would have judged them, looking after every moment.

    Files are .parquet or .csv. Columns are found by their names (id or time and key; prediction; outcome), or named.
    Beside the verdict stands what the naive rule would have said, and how often that promotes a model that is no
    better, on streams with the spread, the clusters and the dependence of your own.
    """
    from evenhand.cli.columns import OUTCOME, join, source
    from evenhand.errors import InvalidConfiguration
    from evenhand.experiments.experiment import Rule
    from evenhand.experiments.files import experiment_of
    from evenhand.experiments.files import judge as judged
    from evenhand.metrics import loss

    loss(metric)
    models = [source(each) for each in predictions]
    if len(models) < 2 or len({each.name for each in models}) < len(models):
        raise InvalidConfiguration(
            f"give --predictions at least twice, champion first, under names that differ (NAME=FILE): {predictions}"
        )
    joined = join(models, source(outcomes)._replace(name=OUTCOME), on or [], time, cluster or [])
    least = minimum_sample_size or (200 if horizon == 1 else 30)
    rule = Rule(
        minimum_sample_size=least, maximum_sample_size=maximum_sample_size,
        minimum_detectable_effect=minimum_detectable_effect, confidence_level=confidence_level,
    )  # fmt: skip
    moments = int(joined.columns.moment[-1]) + 1
    experiment = experiment_of([each.name for each in models], metric, rule, moments, horizon)
    shown = _shown(experiment, joined, judged(experiment, joined.columns), horizon, runs, seed)
    result(shown, json, lambda: _text(shown))


def _shown(
    experiment: "Experiment", joined: "Joined", judged: "Judged", horizon: int, runs: int, seed: int
) -> dict[str, Any]:
    from evenhand.experiments import naive
    from evenhand.experiments.comparison import designs
    from evenhand.experiments.files import compared, counts

    columns, rule, notes = joined.columns, experiment.rule, joined.notes

    def at(rows: int | None) -> Any:
        if not rows or joined.time is None:
            return None
        time = int(columns.time[rows - 1])
        return when(time) if joined.is_dated else time

    challengers = {}
    for name in experiment.challengers:
        rows, simulated = compared(experiment, columns, name), []
        correlation = naive.dependence(rows) if len(rows.rows) > 1 else 0.0
        if horizon == 1 and correlation > max(_OVERLAPS, 4 / len(set(rows.moment.tolist())) ** 0.5):
            notes.append(
                f"{name}: neighbouring differences correlate ({correlation:.2f}), so there is less evidence than there "
                "are rows: if forecasts look several steps ahead, say how many with --horizon"
            )
        design, _ = designs(rule, rule.minimum_detectable_effect * judged.base, len(experiment.challengers))
        if runs and judged.base > 0.0 and len(rows.rows) > naive.FIRST:
            simulated = [
                naive.promoted(rows, design, worse_by=worse, block=experiment.block_s, runs=runs, seed=seed)
                for worse in (0.0, rule.minimum_detectable_effect / 2)
            ]
        said = naive.said(rows)
        challengers[name] = {"naive": said, "naive_at": at(said.rows), "simulated": simulated}
    return {
        "champion": experiment.champion, "metric": experiment.success_metric, "rule": rule, "joined_by": joined.on,
        "time": joined.time, "cluster": joined.cluster, "verdict": judged.stops[-1],
        "stops": [{"at": at(stop.rows), "decision": stop} for stop in judged.stops],
        "books": {name: counts(columns, name) for name in columns.values}, "losses": judged.losses,
        "whole": judged.whole, "challengers": challengers, "notes": notes,
    }  # fmt: skip


def _text(shown: dict[str, Any]) -> str:
    parts = []
    for each in shown["stops"]:
        stop = each["decision"]
        at = "" if each["at"] is None else f" ({each['at']})"
        parts.append(
            f"{stop.action}{' ' + stop.variant if stop.variant else ''} after {stop.rows} rows{at}: "
            + "; ".join(stop.reasons)
        )
    parts.append(
        table(
            ["model", "asked", "failed", "matured", "never", shown["metric"]],
            [[name, *books.values(), shown["losses"][name]] for name, books in shown["books"].items()],
        )
    )
    parts.append(
        table(
            ["against " + shown["champion"], "difference", "interval at every look", "P(better)", "estimate, shrunken"],
            [
                [
                    name, of.observed_difference, _interval(of.confidence_sequence), of.probability_better,
                    "-" if of.relative_difference is None else f"{of.relative_difference:+.2%}",
                ]
                for name, of in shown["whole"].items()
            ],
        )
    )  # fmt: skip
    for name, of in shown["challengers"].items():
        parts.append(_naive(name, of))
    return "\n\n".join([*parts, *[f"attention: {note}" for note in shown["notes"]]])


def _interval(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"[{interval[0]:.4g}, {interval[1]:.4g}]"


def _naive(name: str, of: dict[str, Any]) -> str:
    said = of["naive"]
    if said.said is None:
        lines = [f"The naive rule (a 5 % test repeated after every row) would have said nothing about {name}."]
    else:
        at = "" if of["naive_at"] is None else f" ({of['naive_at']})"
        end = "is undecided" if said.at_end is None else f"says {said.at_end}"
        lines = [
            f"The naive rule (a 5 % test repeated after every row) would have stopped after {said.rows} rows{at}:",
            f"{name} is {said.said}. Read on, it changes its mind {said.changes} times, and {end} at the end.",
        ]
    for each in of["simulated"]:
        model = f"a model that is {each.worse_by:.2%} worse" if each.worse_by else "a model that is no better"
        lines.append(
            f"On {each.runs} streams like yours it promotes {model} in {each.naive:.1%} of them, this judge in "
            f"{each.evenhand:.1%}."
        )
    return "\n".join(lines)
