"""What `evenhand status` says of an experiment that runs."""

import pytest

from evenhand.cli.progress import rows_of, text
from evenhand.events import PosteriorUpdated, VariantPosterior
from evenhand.experiments.experiment import Rule

DAY_MS = 86_400_000


def posterior(began: int = 7, effective: float | None = None) -> PosteriorUpdated:
    of = VariantPosterior(clusters=300, exposures=6000, planned_clusters=800, effective_clusters=effective)
    return PosteriorUpdated(
        id="p", time=10 * DAY_MS, key="m", model="m", subject="t", epoch=1, variants={"new": of},
        began_ms=began * DAY_MS,
    )  # fmt: skip


def test_status_has_requests_clusters_their_worth_and_the_date() -> None:
    (row,) = rows_of(posterior(), Rule())
    assert (row["experiment"], row["challenger"], row["requests"], row["clusters"]) == ("t", "new", 6000, 300)
    assert row["requests_per_day"] == pytest.approx(2000)
    assert row["effective"] == 300, "clusters are independent"
    assert row["expected"] == 13 * DAY_MS, "three quarters of 800, of which half took three days"
    (late,) = rows_of(posterior(), Rule(early_stopping_enabled=False))
    assert late["expected"] == 15 * DAY_MS, "one look, at the planned end"
    (blocks,) = rows_of(posterior(effective=120.5), Rule())
    assert blocks["effective"] == 120.5
    (first,) = rows_of(posterior(began=10), Rule())
    assert (first["expected"], first["requests_per_day"]) == (None, None), "no time has passed"
    assert "effective" in text([row])
    assert "1970-01-14" in text([row])
