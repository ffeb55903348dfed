"""A report as sections of tables and sentences, and those as Markdown."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from evenhand.experiments.report import Challenger, Report


class Section(NamedTuple):
    """A heading, a table (none: no columns), and sentences after it."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


def sections(report: Report) -> Iterator[Section]:
    """What users of experiments look for, in the order in which they look for it."""
    experiment, what = report.experiment, "blocks" if report.experiment.block_s else "clusters"
    is_better_higher = experiment.measure is not None and experiment.measure.better == "higher"
    of = "" if report.variant is None else f" ({report.variant})"
    notes = [f"State: {report.state}{of}.", *report.reasons]
    if any(each.posterior.clusters < experiment.rule.minimum_sample_size for each in report.challengers):
        notes.append(f"Not enough data: {experiment.rule.minimum_sample_size} {what} are wanted before a decision.")
    if not report.agrees:
        notes.append("The evidence that is left does not lead to these decisions: part of it is gone from the log.")
    yield Section(f"Experiment {report.name}", notes=tuple(notes))
    yield Section(
        f"Variants, {moment(report.began_ms)} to {moment(report.reached_ms)}",
        ("variant", "version", "traffic", "served", "answered", "failed", "matured", "open", experiment.success_metric),
        tuple(
            (
                f"{arm.name}{' (baseline)' if arm.name == experiment.champion else ''}", arm.version,
                f"{arm.share:.0%}", str(arm.served), str(arm.predictions - arm.errors), str(arm.errors),
                str(arm.matured), str(arm.open), f"{arm.loss:.4g}",
            )
            for arm in report.arms
        ),
        (
            f"{'Higher' if is_better_higher else 'Smaller'} is better; a change below zero is one for the better.",
            "Open: no outcome yet, or never.",
        ),
    )  # fmt: skip
    yield Section(
        "What is believed (posterior; informs)",
        ("variation", "chance to win", "change, shrunken", "interval", "risk if chosen", "risk if not", "equivalent"),
        tuple(_believed(each) for each in report.challengers),
    )
    yield Section(
        f"What is certified (at every look, {report.certified_level:.4g}; stops)",
        ("variation", "difference, observed", "interval", "certified", what, "planned"),
        tuple(_certified(each) for each in report.challengers),
    )
    yield Section(
        "Progress",
        (
            "variation", "requests", "a day", "clusters", what if what == "blocks" else "observations", "effective",
            "planned", "a day", "expected end", "planned end",
        ),
        tuple(_progress(each) for each in report.challengers),
        ("At the traffic so far. Expected: for an effect as large as the one that matters.",),
    )  # fmt: skip
    guardrails = tuple(
        (each.name, metric, watched.state, watched.reason)
        for each in report.challengers
        for metric, watched in each.guardrails.items()
    )
    yield Section("Guardrails", ("variation", "metric", "state", "why"), guardrails)
    yield _trust(report)
    yield Section(
        "Evidence of the last look",
        ("topic", "partition", "first offset", "last offset"),
        tuple(tuple(map(str, place)) for place in report.evidence),
        (f"{report.looks} looks; configuration {report.configuration_digest}, evidence {report.evidence_digest}.",),
    )


def _trust(report: Report) -> Section:
    rows = []
    for number, phase in enumerate(report.phases, 1):
        weight, total = sum(phase.weights.values()), sum(phase.served.values())
        for name, share in phase.weights.items():
            served = phase.served.get(name, 0)
            rows.append((
                str(number), name, str(served), "-" if not total else f"{served / total:.2%}", f"{share / weight:.2%}",
                str(phase.matured.get(name, 0)),
            ))  # fmt: skip
    said = report.mismatch or "No mismatch is certified (1 in 1000 at every look together)."
    return Section("Sample ratio", ("phase", "variant", "units", "of all", "weight", "matured"), tuple(rows), (said,))


def _believed(each: Challenger) -> tuple[str, ...]:
    of = each.posterior
    interval = of.relative_interval
    return (
        each.name, fraction(of.probability_better), signed(of.relative_difference),
        "-" if interval is None else f"[{signed(interval[0])}, {signed(interval[1])}]", number(of.expected_loss),
        number(of.expected_loss_of_champion), fraction(of.probability_equivalent),
    )  # fmt: skip


def _certified(each: Challenger) -> tuple[str, ...]:
    of = each.posterior
    interval = of.confidence_sequence
    return (
        each.name, number(of.observed_difference),
        "-" if interval is None else f"[{interval[0]:.4g}, {interval[1]:.4g}]", each.certified, str(of.clusters),
        "-" if of.planned_clusters is None else str(of.planned_clusters),
    )  # fmt: skip


def _progress(each: Challenger) -> tuple[str, ...]:
    of = each.progress
    return (
        each.name, str(of.requests), number(of.requests_per_day), str(of.clusters), str(of.observations),
        number(of.effective), "-" if of.planned is None else str(of.planned), number(of.observations_per_day),
        "-" if of.expected_ms is None else moment(of.expected_ms),
        "-" if of.planned_ms is None else moment(of.planned_ms),
    )  # fmt: skip


def markdown(report: Report) -> str:
    """The report as a page of Markdown."""
    parts = []
    for level, section in enumerate(sections(report)):
        parts.append(f"{'#' if level == 0 else '##'} {section.title}")
        if section.columns:
            parts.append("\n".join(_rows(section.columns, section.rows)))
        parts += section.notes
    return "\n\n".join(parts) + "\n"


def _rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        cells = [cell.replace("|", "\\|") for cell in row]
        yield f"| {' | '.join(cells)} |"


def moment(time_ms: int) -> str:
    """A time for people, UTC.

    >>> moment(1542153600123)
    '2018-11-14 00:00:00Z'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def number(value: float | None) -> str:
    """Four digits, or a dash."""
    return "-" if value is None else f"{value:.4g}"


def signed(value: float | None) -> str:
    """A relative change."""
    return "-" if value is None else f"{value:+.2%}"


def fraction(value: float | None) -> str:
    """A probability."""
    return "-" if value is None else f"{value:.2%}"
