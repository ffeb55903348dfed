"""Objectives, budgets and burn rates: no data is no good news, and a single bad event at night wakes nobody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.slo.burn_rate import DAY_MS, HOUR_MS, judge
from evenhand.slo.ledger import SLICE_MS, Ledger, Slice, budget, compliance
from evenhand.slo.level import level, over
from evenhand.slo.objective import Objective

ERRORS = Objective(name="errors", metric="error_fraction", comparison="<", threshold=0.01, unit="fraction", target=0.99)
NOW = 30 * DAY_MS


def ledger(*spans: tuple[int, int, int, int]) -> Ledger:
    """Spans of (from ms, until ms, good a slice, bad a slice)."""
    return Ledger(slices=tuple(Slice(at, good, bad) for a, b, good, bad in spans for at in range(a, b, SLICE_MS)))


@pytest.mark.parametrize(
    ("comparison", "below", "at", "above"),
    [("<", "met", "violated", "violated"), ("<=", "met", "met", "violated"),
     (">", "violated", "violated", "met"), (">=", "violated", "met", "met")],
)  # fmt: skip
def test_the_boundary_belongs_where_the_comparison_says(comparison: str, below: str, at: str, above: str) -> None:
    objective = Objective(name="x", metric="x", comparison=comparison, threshold=5.0, unit="ms")  # type: ignore[arg-type]
    assert [objective.judge(value) for value in (4.999, 5.0, 5.001)] == [below, at, above]
    assert objective.judge(None) == objective.judge(float("nan")) == "no_data"


@pytest.mark.parametrize(("bad", "severity"), [(0, None), (9, None), (20, "ticket"), (70, "page"), (200, "page")])
def test_how_fast_it_burns_says_who_is_called(bad: int, severity: str | None) -> None:
    burn = judge(ERRORS, ledger((NOW - 4 * DAY_MS, NOW, 1000 - bad, bad)), NOW)
    assert burn.severity == severity
    assert burn.state == ("burning" if severity else "ok")


def test_an_alert_ends_soon_after_the_trouble() -> None:
    trouble = (NOW - 2 * HOUR_MS, NOW - HOUR_MS, 500, 500)
    assert judge(ERRORS, ledger(trouble), NOW - HOUR_MS).severity == "page"
    assert (
        judge(
            ERRORS, ledger((NOW - DAY_MS, NOW - 2 * HOUR_MS, 1000, 0), trouble, (NOW - HOUR_MS, NOW, 1000, 0)), NOW
        ).severity
        != "page"
    )


def test_no_data_is_a_state_of_its_own() -> None:
    assert judge(ERRORS, Ledger(), NOW).state == "no_data"
    assert budget(ERRORS, Ledger(), NOW).spent is None
    assert compliance(Ledger(), "month") == {}


def test_a_single_bad_event_in_a_quiet_night_pages_nobody_and_many_do() -> None:
    assert judge(ERRORS, ledger((NOW - SLICE_MS, NOW, 0, 1)), NOW).state == "ok"
    burn = judge(ERRORS, ledger((NOW - SLICE_MS, NOW, 0, 8)), NOW)
    assert burn.severity == "page"
    assert burn.probability is not None
    assert burn.probability > 0.95


def test_at_the_promised_rate_hardly_anybody_is_paged() -> None:
    rng, pages = np.random.default_rng(0), 0
    for _ in range(200):  # 200 nights of 12 hours with 5 requests in five minutes
        bads = rng.binomial(5, 0.01, 144)
        night = Ledger(slices=tuple(Slice(NOW + i * SLICE_MS, 5 - int(b), int(b)) for i, b in enumerate(bads)))
        pages += any(judge(ERRORS, night, NOW + (i + 1) * SLICE_MS).severity == "page" for i in range(0, 144, 3))
    assert pages <= 8  # 4 %


@pytest.mark.parametrize(("target", "good", "bad"), [(0.9, 9, 1), (0.8, 8, 2), (0.71, 71, 29), (0.99, 99, 1)])
def test_a_target_that_is_met_exactly_is_met_in_levels_and_reports(target: float, good: int, bad: int) -> None:
    objective = Objective(
        name="e", metric="error_fraction", comparison="<", threshold=0.01, unit="fraction", target=target, of="events"
    )
    for more, state in ((0, "met"), (1, "violated")):
        held = Ledger().add(objective, SLICE_MS - 1, good - more, bad + more)
        assert level(objective, held, SLICE_MS, good - more, bad + more, None).state == state
        assert [one.met for one in over(objective, held, "m", DAY_MS, DAY_MS + SLICE_MS, "n")] == [state == "met"]


def test_a_budget_is_spent_in_proportion_and_a_report_says_each_day() -> None:
    half = ledger((NOW - DAY_MS, NOW, 995, 5))
    assert budget(ERRORS, half, NOW).spent == pytest.approx(0.5)
    assert compliance(half, "day") == {"1970-01-30": 0.995}
    with pytest.raises(ValueError, match="per day or per month"):
        compliance(half, "week")


@given(st.permutations(list(range(6))))
def test_the_order_of_arrival_changes_nothing(order: list[int]) -> None:
    events = [(NOW + i // 2 * SLICE_MS, i, 6 - i) for i in range(6)]
    kept = Ledger()
    for place in order:
        kept = kept.add(ERRORS, *events[place])
    assert kept.between(0, NOW + DAY_MS) == (15, 21)
    assert [one.start_ms for one in kept.slices] == [NOW, NOW + SLICE_MS, NOW + 2 * SLICE_MS]
