"""The simulation is of the judge's rule, on streams that are what their names say, and on a user's own."""

import json
from pathlib import Path

import numpy as np
import pytest

from evenhand.cli import exits
from evenhand.cli.run import run
from evenhand.events import Moments
from evenhand.experiments import comparison, decision, missing, posterior, sequential, simulate
from evenhand.experiments.experiment import Experiment, Variant
from evenhand.experiments.simulate import STREAMS, at_worst, play, row, table
from evenhand.experiments.streams import attrition, block_covariance, overlapping

FIELDS = {"name", "kind", "error", "error_upper", "naive_error", "power", "sample_ratio", "coverage"}


def test_it_is_the_judges_test_and_the_judges_futility() -> None:
    held = vars(simulate)
    assert held["half_width"] is vars(comparison)["half_width"] is sequential.half_width
    assert held["belief"] is vars(comparison)["belief"] is posterior.belief
    assert (held["UNLIKELY"], held["HALFWAY"]) == (decision.UNLIKELY, decision.HALFWAY)
    variants = tuple(Variant(name=name, version="1.0.0", weight=1) for name in "ab")
    trial = Experiment(name="t", model="m", champion="a", variants=variants)
    r = np.random.default_rng(1)
    for mean, upper, sd, fraction in r.normal(size=(20, 4)):
        given = abs(mean) + abs(upper), abs(sd), abs(fraction) % 1.0
        mine = at_worst(np.array([mean]), np.array([given[0]]), np.array([given[1]]), np.array([given[2]]))
        judges = missing.at_worst(trial, Moments(11, mean, 10 * given[1] ** 2), given[0], given[2])
        assert float(mine[0]) == pytest.approx(judges, rel=1e-9)


@pytest.mark.parametrize("horizon", [7, 24])
def test_blocks_of_overlapping_forecasts_are_drawn_as_what_they_are(horizon: int) -> None:
    """Beside the forecasts themselves: moving sums of h noises, averaged over 4 h."""
    r, n = np.random.default_rng(3), 40
    noise = r.normal(size=(2000, n * 4 * horizon + horizon))
    sums = np.cumsum(noise, axis=1)
    moving = sums[:, horizon:] - sums[:, :-horizon]
    blocks = moving.reshape(2000, n, 4 * horizon).mean(axis=2)
    variance, covariance = block_covariance(horizon)
    assert blocks.var() == pytest.approx(variance, rel=0.02)
    assert (blocks[:, 1:] * blocks[:, :-1]).mean() == pytest.approx(covariance, rel=0.15)
    assert abs((blocks[:, 2:] * blocks[:, :-2]).mean()) < 0.02 * variance, "and no further"
    drawn = overlapping(horizon)(r, 2000, n).x
    assert drawn.var() == pytest.approx(variance, rel=0.02)
    assert (drawn[:, 1:] * drawn[:, :-1]).mean() == pytest.approx(covariance, rel=0.15)


def test_every_stream_has_its_rows_and_no_error_is_large() -> None:
    """100 runs: a true error of 2.8 % gives more than 9 with probability 1 in 1,000."""
    rows = table(100, 5)
    assert {each["name"] for each in rows if each["kind"] == "null"} == set(STREAMS)
    for each in rows:
        assert set(each) >= FIELDS
        if each["kind"] == "null":
            assert each["error"] <= 0.1
            assert each["error"] <= each["error_upper"]
            assert each["naive_error"] > 0.6
        else:
            assert each["power"] > 0.55
            assert each["sample_ratio"] < 0.82
            assert each["sample_ratio_twice"] < 0.47
        assert each["coverage"] >= max(0.9, each["coverage_ever"])


def test_arms_that_lose_their_outcomes_are_frozen_or_blocked() -> None:
    drawn = attrition(np.random.default_rng(2), 50, 4000)
    assert drawn.x.mean() < -0.05, "what is left says that it is better"
    assert drawn.frozen is not None
    assert drawn.frozen[:, -1].all()
    found = play("attrition", effect=0.0, size=4000, runs=50, seed=2)
    assert found.naive == 50
    assert found.rejected == 0


def test_the_naive_rule_stands_in_the_same_table() -> None:
    naive = row(play("normal", effect=0.0, size=5000, runs=100, seed=1), "naive")
    assert naive["error"] == naive["naive_error"] > 0.7
    assert naive["coverage"] < 0.3


def saved(path: Path, better_by: float) -> Path:
    """Twenty requests a cluster of each variant, known late and in another order."""
    r = np.random.default_rng(6)
    n, each = 1000, 20
    hour = np.repeat(np.arange(n), each)
    common = r.normal(size=n)[hour]
    a, b = (common + r.normal(size=n)[hour] + r.normal(size=n * each) - shift for shift in (0.0, better_by))
    order = r.permutation(2 * n * each)
    np.savez(
        path, variant=np.repeat(["a", "b"], n * each)[order], value=np.concatenate([a, b])[order],
        cluster=np.tile(hour, 2)[order], time=np.tile(hour, 2)[order],
        known_at=(np.tile(hour, 2) + r.exponential(30, 2 * n * each))[order],
    )  # fmt: skip
    return path


def test_a_users_own_stream_is_judged_as_it_is_and_without_its_effect(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "mine.npz", better_by=0.3)
    assert run(["experiment", "simulate", "--stream", str(path), "--runs", "200", "--json"]) == exits.OK
    null, alternative = json.loads(capfd.readouterr().out)
    assert (null["name"], null["kind"], null["says"]) == ("mine", "null", "better")
    assert null["after"] < 1000
    assert null["error"] < 0.08
    assert alternative["power"] > 0.6
    np.savez(tmp_path / "few.npz", variant=[0, 1], value=[1.0, 2.0])
    (tmp_path / "broken.npz").write_bytes(b"PK no")
    both = np.repeat([0, 1], 300)
    np.savez(tmp_path / "objects.npz", variant=both, value=np.array([1.0, None] * 300, dtype=object))
    np.savez(tmp_path / "words.npz", variant=both, value=both.astype(str))
    np.savez(tmp_path / "equal.npz", variant=both, value=both * 1.0)
    for given, said in (
        (["--stream", "nothing"], "there are no streams"),
        (["--stream", str(tmp_path / "nothing.npz")], "numpy.savez"),
        (["--stream", str(tmp_path / "few.npz")], "200 are wanted"),
        (["--stream", str(tmp_path / "broken.npz")], "cannot be read"),
        (["--stream", str(tmp_path / "objects.npz")], "cannot be read"),
        (["--stream", str(tmp_path / "words.npz")], "['value'] are no numbers"),
        (["--stream", str(tmp_path / "equal.npz")], "nothing to test"),
        (["--rule", "bold"], "evenhand and naive"),
    ):
        assert run(["experiment", "simulate", *given]) == exits.USAGE
        assert said in capfd.readouterr().err
