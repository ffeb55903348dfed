"""A cluster counts once, in whatever epochs its requests hear of their outcome; the state says so after a crash."""

import msgspec
import pytest

from evenhand.events import Event, EvidenceReported, OutcomeObserved, PredictionRequested
from evenhand.experiments.evidence import Pair, fold
from evenhand.processors.clusters import Clusters
from evenhand.processors.subjects import Subject
from evenhand.topics import EVIDENCE, OUTCOMES, REQUESTS
from tests.unit.processors.play import START, Lines, decisions, judged, play, served, trial, write
from tests.unit.processors.test_fair_trial import again


def subject(wait_s: int = 100) -> Subject:
    return Subject(trial(), (0, ""), 0, wait_s)


def test_what_was_counted_before_is_named_until_two_waits_are_over() -> None:
    clusters, of = Clusters(), subject(wait_s=100)  # ten epochs
    assert clusters.count(of, 5, ["a", "b", "a"])[0] == set()
    assert clusters.count(of, 6, ["b", "c"])[0] == {"b"}
    restarted = Clusters()
    restarted.load(clusters.rows())
    for each in (clusters, restarted):
        assert each.count(of, 7, ["a", "b", "c", "d"])[0] == {"a", "b", "c"}
        repeated, rows = each.count(of, 26, ["a", "c"])
        assert repeated == {"c"}, "a was counted 21 epochs ago"
        assert None in rows.values()
    assert dict(clusters.rows()) == dict(restarted.rows())
    assert set(clusters.forget("trial").values()) == {None}
    assert clusters.count(of, 27, ["c"])[0] == set()


def test_a_repeated_cluster_matures_and_is_no_observation() -> None:
    pairs = [Pair(1, of, 1.0, {"old": 0.0, "new": 1.0}, (0, "", "", "")) for of in ("k@1", "k@2")]
    found = fold(trial(), [], pairs, {"k@1"})["new"]
    assert (found.matured, found.paired["squared_error"].n, found.losses["squared_error"].n) == (2, 1, 1)


@pytest.mark.parametrize("requests", [1, 20])
def test_twenty_users_who_report_one_outcome_at_different_times_are_one_observation(requests: int) -> None:
    told: list[tuple[float, str, Event]] = []
    for hour in range(12):
        for user in range(requests):
            time = START + hour * 5000 + 10 * user + 1
            request = PredictionRequested(
                id=f"r{hour}-{user}", time=time, key="k", model="line", features=[float(hour)]
            )
            heard = time + 1000 * user
            outcome = OutcomeObserved(id=f"o{hour}-{user}", time=heard, key="k", value=1.0, request_id=request.id)
            told += [(time, REQUESTS, request), (heard, OUTCOMES, outcome)]
    log = write(told, served(trial(minimum_sample_size=10**9)), 1, until_s=200)
    play(log)
    reports = {v: msgspec.json.decode(v, type=EvidenceReported) for v in log.values(EVIDENCE)}.values()
    counted = [report.variants["new"] for report in reports if report.variants]
    assert sum(each.paired["squared_error"].n for each in counted) == 12
    assert sum(each.matured for each in counted) == 12 * requests
    assert again(log, judged(Lines()), 1) == decisions(log)
