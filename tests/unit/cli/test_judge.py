"""A trial of files: the verdict that the loop would give, beside the naive rule, from parquet and from csv."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from evenhand.cli import exits
from evenhand.cli.run import run
from evenhand.experiments import decision, evidence, files, naive, sequential, simulate, standing
from evenhand.experiments.sequential import Design

CANDLES = Path(__file__).parents[3] / "data" / "btc-usd-1h.parquet"
ROWS = 3000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judged(capfd: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["judge", *arguments, "--runs", "200", "--json"]) == exits.OK, capfd.readouterr().err
    return json.loads(capfd.readouterr().out)


def write(frame: pl.DataFrame, name: str) -> None:
    if name.endswith(".csv"):
        frame.write_csv(name)
    else:
        frame.write_parquet(name)


def made(better_by: float, rows: int = ROWS, seed: int = 5) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Two models' predictions and the outcomes; the second's errors have a smaller spread."""
    r = np.random.default_rng(seed)
    truth, ids = r.normal(size=rows), [f"r-{i}" for i in range(rows)]
    time = pl.datetime_range(pl.lit(0).cast(pl.Datetime("ms")), interval="1h", closed="left", eager=False,
                             end=pl.lit(rows * 3_600_000).cast(pl.Datetime("ms")))  # fmt: skip
    base = pl.select(time=time).with_columns(request_id=pl.Series(ids))
    a = base.with_columns(prediction=pl.Series(truth + r.normal(0, 1, rows)))
    b = base.with_columns(prediction=pl.Series(truth + r.normal(0, 1 - better_by, rows)))
    return a, b.sample(fraction=1, shuffle=True, seed=1), base.select("request_id").with_columns(outcome=truth)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_real_prices_are_judged_from_either_kind_of_file(
    kind: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The next hour's return of BTC-USD: no change, against half of the last hour's return."""
    found = pl.read_parquet(CANDLES).tail(8000)
    time = next(name for name, type_ in found.schema.items() if type_.is_temporal() or name == "time")
    returns = found["close"].log().diff()
    frame = pl.DataFrame({"time": found[time], "r": returns, "last": returns.shift(1)}).drop_nulls()
    write(frame.select("time", prediction=pl.lit(0.0)), f"zero.{kind}")
    write(frame.select("time", prediction=0.5 * pl.col("last")), f"momentum.{kind}")
    write(frame.select("time", actual="r"), f"truth.{kind}")
    shown = judged(capfd, "-p", f"zero.{kind}", "-p", f"momentum.{kind}", "-o", f"truth.{kind}", "-m", "absolute_error")
    assert (shown["champion"], shown["joined_by"], shown["time"]) == ("zero", ["time"], "time")
    assert shown["verdict"]["action"] == "stop_harm", "what has come by momentum goes by momentum"
    assert shown["losses"]["momentum"] > 1.05 * shown["losses"]["zero"]
    equal, worse = shown["challengers"]["momentum"]["simulated"]
    assert equal["naive"] > max(0.05, 2 * equal["evenhand"])
    assert equal["evenhand"] < 0.05
    assert worse["evenhand"] <= equal["evenhand"]


def test_a_better_model_is_promoted_and_the_naive_rule_says_when_it_would_have_stopped(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for frame, name in zip(made(0.15), ("a.parquet", "b.csv", "o.parquet"), strict=True):
        write(frame, name)
    shown = judged(capfd, "-p", "a.parquet", "-p", "better=b.csv", "-o", "o.parquet")
    assert (shown["verdict"]["action"], shown["verdict"]["variant"]) == ("promote", "better")
    assert shown["joined_by"] == ["request_id"], "the order of the rows is of no account"
    assert shown["verdict"]["rows"] < ROWS
    said = shown["challengers"]["better"]["naive"]
    assert (said["said"], said["at_end"]) == ("better", "better")
    assert shown["challengers"]["better"]["naive_at"].startswith("1970-0")
    assert shown["whole"]["better"]["clusters"] == ROWS
    assert run(["judge", "-p", "a.parquet", "-p", "better=b.csv", "-o", "o.parquet", "--runs", "0"]) == exits.OK
    text = capfd.readouterr().out
    assert text.startswith("promote better after")
    assert "naive rule" in text


def test_two_columns_and_one_of_truth_are_enough(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a, _, truth = made(0.0)
    r = np.random.default_rng(8)
    write(
        pl.DataFrame({"m1": a["prediction"], "m2": truth["outcome"] + r.normal(size=ROWS), "y": truth["outcome"]}),
        "all.csv",
    )
    shown = judged(capfd, "-p", "all.csv:m1", "-p", "all.csv:m2", "-o", "all.csv:y", "--maximum-sample-size", "2500")
    assert shown["verdict"]["action"] == "stop_futility"
    assert shown["notes"] == ["no column to join by: row i of one file belongs to row i of the others"]


def test_requests_that_share_an_outcome_count_once(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a, b, truth = made(0.1, rows=500)
    twenty = pl.DataFrame({"copy": range(20)})
    hour = a.select("request_id", target_time="time")
    for frame, name in ((a.drop("time"), "a.csv"), (b.drop("time"), "b.csv")):
        whole = frame.join(hour, on="request_id").join(twenty, how="cross")
        write(whole.with_columns(request_id=pl.col("request_id") + "-" + pl.col("copy").cast(pl.String)), name)
    outcomes = truth.join(twenty, how="cross")
    write(outcomes.with_columns(request_id=pl.col("request_id") + "-" + pl.col("copy").cast(pl.String)), "o.csv")
    shown = judged(capfd, "-p", "a.csv", "-p", "b.csv", "-o", "o.csv")
    assert shown["cluster"] == ["target_time"]
    assert shown["whole"]["b"]["clusters"] == 500
    assert shown["whole"]["b"]["exposures"] == 10_000
    equal = shown["challengers"]["b"]["simulated"][0]
    assert equal["naive"] > 0.35, "who counts requests is wrong most of the time, half of it in this direction"
    assert equal["evenhand"] < 0.06


def test_the_books_add_up_and_failures_stand_in_the_way(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    a, b, truth = made(0.3, rows=2000)
    failing = b.with_columns(prediction=pl.when(pl.int_range(pl.len()) % 10 > 0).then("prediction"))
    write(a, "a.parquet")
    write(failing.head(1900), "b.parquet")
    write(pl.concat([truth.head(1800), truth.head(3)]), "o.parquet")
    shown = judged(capfd, "-p", "a.parquet", "-p", "b.parquet", "-o", "o.parquet")
    for book in shown["books"].values():
        assert book["asked"] == book["failed"] + book["matured"] + book["never"]
    assert (shown["books"]["b"]["asked"], shown["books"]["b"]["failed"]) == (1900, 190)
    assert shown["books"]["a"]["never"] == 200
    assert shown["verdict"]["action"] == "stop_harm"
    assert "error_rate" in shown["verdict"]["reasons"][0]
    assert "3 rows are there twice" in shown["notes"][0]


def test_overlapping_forecasts_are_judged_in_blocks_and_noticed_without(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    r = np.random.default_rng(4)
    loss = np.convolve(r.normal(size=6023), np.ones(24) / 24**0.5, "valid")
    write(pl.DataFrame({"a": 3.0 + 0 * loss, "b": 3.0 + 0.1 * loss, "y": 0 * loss}), "all.parquet")
    names = ["-p", "all.parquet:a", "-p", "all.parquet:b", "-o", "all.parquet:y", "-m", "absolute_error"]
    shown = judged(capfd, *names)
    assert any("--horizon" in note for note in shown["notes"])
    assert shown["challengers"]["b"]["simulated"][0]["naive"] > 0.3
    blocks = judged(capfd, *names, "--horizon", "24")
    assert blocks["whole"]["b"]["clusters"] == 62, "of 96 hours, but for the last, which is open"
    assert blocks["challengers"]["b"]["simulated"][0]["evenhand"] < 0.06
    assert not any("--horizon" in note for note in blocks["notes"])


WRONG = [
    (["-p", "a.csv"], "at least twice"),
    (["-p", "a.csv", "-p", "nowhere.csv"], "no file 'nowhere.csv'"),
    (["-p", "a.csv", "-p", "a.csv"], "NAME=FILE"),
    (["-p", "a.csv", "-p", "b.csv:nothing"], "no column 'nothing'"),
    (["-p", "a.csv", "-p", "b.csv:name"], "no numbers"),
    (["-p", "a.csv", "-p", "wide.csv"], "Write wide.csv:COLUMN"),
    (["-p", "a.csv", "-p", "other.csv"], "no row in common"),
    (["-p", "a.csv", "-p", "twice.csv"], "contradict each other, such as those of id 1"),
    (["-p", "a.csv", "-p", "short.csv", "-o", "bare.csv"], "differ in length"),
    (["-p", "a.csv", "-p", "b.csv", "--on", "day"], "no column 'day' to join by"),
    (["-p", "a.csv", "-p", "b.csv", "--time", "day"], "--time day: no file has that column"),
    (["-p", "a.csv", "-p", "b.csv", "--cluster", "day"], "--cluster day: no file has that column"),
    (["-p", "a.csv", "-p", "b.csv", "-m", "profit"], "no metric is named 'profit'"),
    (["-p", "a.csv", "-p", "words.csv"], "other types in other files"),
    (["-p", "a.csv", "-p", "b.csv", "-o", "strangers.csv"], "no prediction has an outcome"),
    (["-p", "a.csv", "-p", "b.csv", "-o", "notes.md"], "neither .parquet nor .csv"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=lambda value: value if isinstance(value, str) else None)
def test_what_does_not_fit_is_refused_with_what_to_change(
    arguments: list[str], said: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = {
        "a.csv": "id,prediction\n1,1\n2,2\n3,3\n", "b.csv": "id,prediction,name\n1,1,x\n2,2,x\n3,1,x\n",
        "o.csv": "id,outcome\n1,1\n2,2\n3,3\n", "wide.csv": "id,x,z\n1,1,1\n", "other.csv": "id,prediction\n7,1\n",
        "twice.csv": "id,prediction\n1,1\n1,2\n", "short.csv": "prediction\n1\n", "bare.csv": "y\n1\n2\n",
        "words.csv": "id,prediction\na,1\n", "strangers.csv": "id,outcome\n9,1\n", "notes.md": "id,outcome\n1,1\n",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text)
    given = arguments if "-o" in arguments else [*arguments, "-o", "o.csv"]
    assert run(["judge", *given]) == exits.USAGE
    assert said in capfd.readouterr().err


def test_a_horizon_longer_than_the_files_decides_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for frame, name in zip(made(0.3, rows=100), "abo", strict=True):
        write(frame, f"{name}.csv")
    found = judged(capfd, "-p", "a.csv", "-p", "b.csv", "-o", "o.csv", "--horizon", "200")
    assert found["verdict"]["action"] == "continue"
    assert [each["evenhand"] for each in found["challengers"]["b"]["simulated"]] == [0.0, 0.0]


def test_it_is_the_loop_that_judges() -> None:
    held = vars(files)
    assert held["decide"] is decision.decide
    assert held["fold"] is evidence.fold
    assert held["absorb"] is standing.absorb
    assert vars(naive)["boundary"] is simulate.boundary
    assert vars(simulate)["half_width"] is sequential.half_width


def test_streams_like_the_users_have_the_users_errors() -> None:
    """Independent differences of unit spread: the naive rule is wrong at one side as often as theory says."""
    r = np.random.default_rng(2)
    n = 1000
    rows = naive.Rows(np.arange(n), np.arange(n), np.full(n, 5.0), 5.0 + r.normal(size=n), np.arange(1, n + 1))
    design = Design(0.05, 0.1, minimum=100, planned=n)
    found = naive.promoted(rows, design, worse_by=0.0, runs=2000)
    walks = np.cumsum(r.normal(size=(2000, n)), axis=1) / np.sqrt(np.arange(1, n + 1))
    stops = (np.abs(walks) > naive.Z) & (np.arange(n) >= naive.FIRST - 1)
    first = stops.argmax(axis=1)
    expected = (stops.any(axis=1) & (walks[np.arange(2000), first] < 0)).mean()
    assert found.naive == pytest.approx(expected, abs=0.05)
    assert found.evenhand == pytest.approx(0.02, abs=0.015)
    assert naive.promoted(rows, design, worse_by=-0.018, runs=500).evenhand > 0.6
