"""What a demo has shown, as one object, and in words for somebody who has never heard of us."""

import msgspec

from evenhand.alerts.payload import alert_line
from evenhand.cli.output import when
from evenhand.events import (
    AlertFired,
    AlertResolved,
    ControlChanged,
    DecisionMade,
    DriftCleared,
    DriftDetected,
    VariantPosterior,
)
from evenhand.experiments.experiment import Experiment

_WHAT = {
    "lightgbm": "boosted trees, trained on the same history",
    "faulty-release": "fails on one request in ten, on purpose: it must be stopped",
    "broken": "fails on one request in ten, on purpose: it must be stopped",
    "oracle": "is given a noisy hint of the answer: it must win",
    "twin": "is the champion under another name: it must not win",
}
_SHOWN = 8


class Summary(msgspec.Struct, kw_only=True):
    """Times are milliseconds UTC. `last_decision` is the last one that had data; all of them are in `decision_log`."""

    hours: int
    first_hour: int
    last_hour: int
    data: str
    trained_rows: int
    seed: int
    workers: int
    kills: int
    broker: str
    challenger: str
    experiment: Experiment
    requests: int
    predictions: int
    errors: int
    matured: int
    pending: int
    never: int
    late: int
    duplicates: int
    outcomes: int
    orphans: int
    expired: int
    conflicting: int
    books_balance: bool
    decisions: int
    actions: dict[str, int]
    last_decision: DecisionMade | None
    turning_points: list[DecisionMade]
    controls: list[ControlChanged]
    drift: list[DriftDetected | DriftCleared]
    alerts: list[AlertFired | AlertResolved]
    decisions_digest: str
    records: int
    wall_s: float
    decision_log: str
    logs: str
    models: str


def text(found: Summary) -> str:
    """The summary in words."""
    parts = (
        _tried(found),
        _decided(found),
        _believed(found),
        _drifted(found),
        _alerted(found),
        _books(found),
        _where(found),
    )
    return "\n\n".join("\n".join(part) for part in parts if part)


def _tried(found: Summary) -> list[str]:
    experiment, epoch_hours = found.experiment, found.experiment.epoch_s // 3600
    champion = experiment.variant(experiment.champion)
    lines = [
        "What was tried",
        f"  Simulated users asked {found.requests:,} times in {found.hours:,} hours,",
        f"  {when(found.first_hour)} to {when(found.last_hour)}:",
        "  what will the return of the next hour be? No model had seen these hours.",
        f"  {champion.name} {champion.version} served as champion. On trial beside it, a share of the users each:",
    ]
    for name in experiment.challengers:
        variant = experiment.variant(name)
        lines.append(
            f"    {name} {variant.version} ({variant.weight} %): {_WHAT.get(name, 'a version of the same model')}"
        )
    lines.append(
        f"  All predicted on every request, and every {epoch_hours} hours what had become known was judged.\n"
        "  One hour of the market counts once, however many asked."
    )
    return lines


def _decided(found: Summary) -> list[str]:
    counted = ", ".join(f"{count} x {action}" for action, count in sorted(found.actions.items()))
    lines = ["What was decided, and why", f"  {found.decisions} decisions: {counted}"]
    effects = {control.cause: control for control in found.controls}
    for decision in found.turning_points[:_SHOWN]:
        lines.append(f"  {when(decision.time)}  {decision.action}: {'; '.join(decision.reasons)}")
        control = effects.get(decision.id)
        if control is not None:
            lines.append(f"  {when(control.time)}    {_effect(control)}")
    if len(found.turning_points) > _SHOWN:
        lines.append(f"  and {len(found.turning_points) - _SHOWN} more in the decision log")
    last = found.last_decision
    if last is not None and last.action == "continue":
        lines.append(f"  {when(last.time)}  continue, to the end: {'; '.join(last.reasons)}")
    return lines


def _effect(control: ControlChanged) -> str:
    experiment = control.served.experiment
    if experiment is None:
        return f"from here on version {control.served.champion} serves everybody"
    return f"from here on it serves nobody; {', '.join(experiment.challengers)} stays on trial"


def _believed(found: Summary) -> list[str]:
    last = found.last_decision
    if last is None or not last.summary:
        return []
    lines = ["What is believed in the end (95 % credible intervals)"]
    for name, believed in last.summary.items():
        lines += _belief(name, found.experiment.champion, believed)
    return lines


def _belief(name: str, champion: str, believed: VariantPosterior) -> list[str]:
    failed = f"  {name} failed on {(believed.error_fraction or 0.0):.1%} of {believed.exposures:,} requests."
    mean, relative, interval = believed.mean_difference, believed.relative_difference, believed.credible_interval
    if mean is None or not relative or interval is None or believed.probability_better is None:
        return [f"  {name} has shown no difference to {champion} on {believed.clusters:,} hours.", failed]
    low, high = (bound * relative / mean for bound in interval)
    return [
        f"  The squared error of {name} differs from {champion}'s by {relative:+.1%} ({low:+.1%} to {high:+.1%}),",
        f"  on {believed.clusters:,} hours: better with probability {believed.probability_better:.4f}.",
        failed,
    ]


def _drifted(found: Summary) -> list[str]:
    lines = ["What has drifted"]
    lines += [f"  {when(signal.time)}  {drift_line(signal)}" for signal in found.drift]
    return lines if found.drift else [*lines, "  nothing"]


def _alerted(found: Summary) -> list[str]:
    fired = sum(isinstance(alert, AlertFired) for alert in found.alerts)
    lines = [f"What was worth an alert ({fired} fired, {len(found.alerts) - fired} resolved)"]
    lines += [f"  {when(alert.time)}  {alert_line(alert)}" for alert in found.alerts[:_SHOWN]]
    if len(found.alerts) > _SHOWN:
        lines.append(f"  and {len(found.alerts) - _SHOWN} more in alerts.ndjson beside the decision log")
    return lines


def drift_line(signal: DriftDetected | DriftCleared) -> str:
    """A signal of drift in one line."""
    of = f"{signal.version} " if signal.version else ""
    if isinstance(signal, DriftCleared):
        return f"drift over: {signal.kind} of {of}({signal.reason})"
    if signal.kind == "estimate":
        return f"the early warning of {of}was wrong, and is not believed until it has learned anew"
    if signal.kind == "expected_loss":
        return f"early warning: the loss of {of}is expected to be {signal.effect_size:+.0%}"
    found = signal.findings
    others = ", ".join(each.feature for each in found[1:3] if each.statistic >= 0.1 * found[0].statistic)
    beside = f"; also {others}" if others else ""
    return (
        f"drift: {signal.kind} of {of}differ from their reference: {signal.cause} of {signal.feature} by "
        f"{signal.effect_size:+.1f} sd over the last {signal.window_size} rows{beside}"
    )


def _books(found: Summary) -> list[str]:
    never = f"{found.never:,}"
    return [
        "The books " + ("balance" if found.books_balance else "DO NOT BALANCE"),
        f"  {found.requests:,} requests = {found.predictions:,} predictions + {found.errors:,} errors",
        f"  {found.predictions:,} predictions = {found.matured:,} matured + {found.pending:,} pending + {never} never",
        f"  {found.late:,} of the matured ones came later than the grace, and are no evidence",
        f"  {found.duplicates:,} records were repeats, and counted once",
    ]


def _where(found: Summary) -> list[str]:
    crew = f"{found.workers} worker{'s' if found.workers > 1 else ''}"
    killed = f", {found.kills} killed with -9 meanwhile" if found.kills else ""
    return [
        "Where it is",
        f"  decision log  {found.decision_log}",
        f"                digest {found.decisions_digest}, the same whatever the number of workers, kills and ways",
        f"  models        {found.models}",
        f"  logs          {found.logs}",
        f"  {found.records:,} records were appended; {found.wall_s:.0f} s, {found.broker} broker, {crew}{killed}",
    ]
