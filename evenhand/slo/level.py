"""One objective after an epoch, and the compliance reports of days and months that are over."""

from collections.abc import Iterator

from evenhand.events import ComplianceReported, Level
from evenhand.slo.burn_rate import judge
from evenhand.slo.ledger import Ledger, budget, counts, period
from evenhand.slo.objective import Objective


def level(objective: Objective, ledger: Ledger, end_ms: int, good: int, bad: int, value: float | None) -> Level:
    """Where an objective stands at the end of an epoch that counted `good` and `bad`, and measured `value`."""
    if objective.of == "epochs":
        state = objective.judge(value)
    else:
        state = "no_data" if not good + bad else "violated" if good / (good + bad) < objective.target else "met"
    burn = judge(objective, ledger, end_ms)
    return Level(
        state=state, burn=burn.state, good=good, bad=bad, severity=burn.severity, rate=burn.rate, factor=burn.factor,
        probability=burn.probability, spent=budget(objective, ledger, end_ms).spent,
    )  # fmt: skip


def over(
    objective: Objective, ledger: Ledger, model: str, before_ms: int, end_ms: int, name: str
) -> Iterator[ComplianceReported]:
    """Reports of the day and the month that ended between two ends of epochs. `name` is what makes ids differ."""
    for per in ("day", "month"):
        was = period(before_ms - 1, per)
        good, bad = counts(ledger, per).get(was, (0, 0))
        if was == period(end_ms - 1, per) or not good + bad:
            continue
        fraction = good / (good + bad)
        yield ComplianceReported(
            id=f"{name}/{per}/{was}", time=end_ms, key=model, model=model, objective=objective.name,
            per="day" if per == "day" else "month", period=was, good=good, bad=bad, fraction=fraction,
            target=objective.target, met=fraction >= objective.target,
        )  # fmt: skip
