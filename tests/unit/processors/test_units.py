"""A unit counts once for the sample ratio, whatever it asks; the state says so after a crash, too."""

import numpy as np
import pytest

from evenhand.codec import stable_id
from evenhand.events import Phase
from evenhand.experiments.assignment import Ring
from evenhand.experiments.evidence import Exposure, Pair, count_phases, merge_phases
from evenhand.experiments.srm import LOG_ENOUGH, log_e, mismatch
from evenhand.processors.cohorts import Cohorts
from evenhand.processors.subjects import Subject
from evenhand.processors.units import Units
from tests.unit.processors.play import trial


def exposures(units: list[str], variant: str = "old") -> dict[str, Exposure]:
    return {f"r{i}": Exposure(i, variant, {}, "c", unit) for i, unit in enumerate(units)}


def test_a_unit_counts_once_and_a_request_without_a_unit_always() -> None:
    units = Units(0, 1)
    first, _, rows = units.count("t", 1, exposures(["u1", "u2", "u1", "", ""]))
    assert [(request, each.unit) for request, each in first] == [("r0", "u1"), ("r1", "u2"), ("r3", ""), ("r4", "")]
    again = Units(0, 1)
    again.load(units.rows())
    assert dict(again.rows()) == rows
    for each in (units, again):
        assert [x.unit for _, x in each.count("t", 2, exposures(["u2", "u3"])).firsts] == ["u3"]
    assert len(units.count("other", 2, exposures(["u1"])).firsts) == 1
    gone = units.forget("t")
    assert set(gone.values()) == {None}
    assert set(gone) >= set(rows)


def test_partitions_never_count_a_unit_twice() -> None:
    names = [f"u{i}" for i in range(200)]
    counted = [x.unit for p in range(8) for _, x in Units(p, 8).count("t", 1, exposures(names)).firsts]
    assert sorted(counted) == sorted(names)


@pytest.mark.parametrize("seed", range(20))
def test_forty_users_with_many_requests_are_no_mismatch(seed: int) -> None:
    """Counted by request, forty users are a mismatch in most of these worlds: each is a draw, not fifty."""
    ring, r = Ring(trial()), np.random.default_rng(seed)
    users, units, total = [f"user-{seed}-{i}" for i in range(40)], Units(0, 1), dict[str, Phase]()
    weights = {"c": {"old": 60, "new": 40}}
    for epoch in range(20):
        asked = {
            f"r{i}": Exposure(i, ring.assign(user).name, {}, "c", user) for i, user in enumerate(r.choice(users, 100))
        }
        first = [each for _, each in units.count("t", epoch, asked).firsts]
        total = merge_phases(total, count_phases(weights, first, []))
    assert sum(total["c"].served.values()) == 40
    assert mismatch(total.values()) is None


def test_counting_requests_would_call_most_of_those_worlds_broken() -> None:
    wrong = 0
    for seed in range(20):
        ring = Ring(trial())
        new = sum(ring.assign(f"user-{seed}-{i}").name == "new" for i in range(40)) * 50
        wrong += float(log_e([2000 - new, new], [60, 40])) >= LOG_ENOUGH
    assert wrong >= 10


def test_a_unit_that_several_variants_answer_is_counted_once_and_a_ramp_may_move_it() -> None:
    units = Units(0, 1)
    units.count("t", 1, exposures(["u1", "u2"]))
    moved = {"r9": Exposure(9, "new", {}, "ramp", "u1")}
    assert units.count("t", 2, moved).crossed == {}, "another control"
    again = Units(0, 1)
    again.load(units.rows())
    for each in (units, again):
        back = exposures(["u1"], "old") | {"r1": Exposure(1, "old", {}, "ramp", "u1")}
        assert each.count("t", 3, {"r1": back["r1"]}).crossed == {"ramp": 1}
        found = each.count("t", 4, {"r1": back["r1"]})
        assert found.crossed == {}
        assert found.firsts == []


def test_where_each_user_asks_about_one_key_a_right_split_stays_right_and_a_wrong_one_is_found() -> None:
    """One unit in eight is counted then: by its own name, which says nothing of its variant."""
    ring, sent = Ring(trial()), {"right": dict[str, Phase](), "wrong": dict[str, Phase]()}
    for partition in range(8):
        for case, total in sent.items():
            asked = {}
            for i in range(6_000):
                user = f"user-{partition}-{i}"  # all of them ask about a key of this partition
                variant = ring.assign(user).name
                if case == "wrong" and variant == "new" and i % 5 == 0:
                    variant = "old"
                asked[user] = Exposure(i, variant, {}, "c", user)
            first = [each for _, each in Units(partition, 8).count("t", 1, asked).firsts]
            total.update(merge_phases(total, count_phases({"c": {"old": 60, "new": 40}}, first, [])))
    assert sum(sent["right"]["c"].served.values()) == pytest.approx(6_000, rel=0.08)
    assert mismatch(sent["right"].values()) is None
    assert mismatch(sent["wrong"].values()) is not None


def test_fifty_thousand_new_units_of_an_epoch_fit_in_one_record_batch_and_are_waited_for_after_a_restart() -> None:
    """All rows of a closing epoch are written with one tick; what is too large ends every worker that tries."""
    asked = exposures([f"user-{i}" for i in range(25_000)]) | {
        f"n{i}": Exposure(i, "new", {}, "c" * 16, f"other-{i}") for i in range(25_000)
    }
    units, cohorts, subject = Units(0, 1), Cohorts(), Subject(trial(), (0, "c"), 1, wait_s=30)
    counted = units.count("trial", 1, asked)
    _, rows = cohorts.count(subject, 1, counted.firsts, [])
    assert len(counted.firsts) == 50_000
    assert sum(len(key) + len(value or b"") for key, value in (counted.rows | rows).items()) < 900_000
    again = Cohorts()
    again.load((key, value) for key, value in rows.items() if value is not None)
    assert dict(again.rows()) == rows
    served = {
        stable_id("scored", request, 1): Pair(
            2, "", 0.0, {}, (0, "", "", ""), "new", "", subject.experiment.epoch_s * 1000
        )
        for request in asked
        if request.startswith("n")
    }
    again.count(subject, 2, [], served.items())
    due, _ = again.count(subject, 10, [], [])
    assert due == {"c": {"old": [25_000, 0]}, "c" * 16: {"new": [25_000, 25_000]}}
