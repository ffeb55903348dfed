"""Reading candles: what cannot be true is refused with row and reason."""

from pathlib import Path

import numpy as np
import pytest

from evenhand.errors import EvenhandError
from models.candle_files import InvalidCandles, read_candles
from models.candles import Candle

HEADER = "open_time,open,high,low,close,volume"
GOOD = [
    "2024-01-01T00:00:00Z,10,12,9,11,5",
    "2024-01-01T01:00:00Z,11,13,10,12,0",
    "2024-01-01T02:00:00Z,12,12,8,9,7.5",
    "2024-01-01T03:00:00Z,9,9,9,9,1",
]


def write(folder: Path, lines: list[str], header: str = HEADER, name: str = "candles.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_good_candles_are_read(tmp_path: Path) -> None:
    candles = read_candles(write(tmp_path, GOOD))
    assert len(candles) == 4
    assert candles.interval_ms == 3_600_000
    assert candles.open_time[0] == 1_704_067_200_000
    assert next(iter(candles)) == Candle(1_704_067_200_000, 10.0, 12.0, 9.0, 11.0, 5.0)


@pytest.mark.parametrize(
    "times",
    [
        ["1704067200000", "1704070800000", "1704074400000", "1704078000000"],
        ["2024-01-01 00:00:00", "2024-01-01 01:00:00", "2024-01-01 02:00:00", "2024-01-01 03:00:00"],
        [
            "2024-01-01T02:00:00+02:00",
            "2024-01-01T03:00:00+02:00",
            "2024-01-01T04:00:00+02:00",
            "2024-01-01T05:00:00+02:00",
        ],
    ],
)
def test_times_may_be_written_in_several_ways(tmp_path: Path, times: list[str]) -> None:
    lines = [",".join([time, *line.split(",")[1:]]) for time, line in zip(times, GOOD, strict=True)]
    other = read_candles(write(tmp_path, lines, "Timestamp,Open,High,Low,Close,Volume", "other.csv"))
    assert other.digest() == read_candles(write(tmp_path, GOOD)).digest()


@pytest.mark.parametrize(
    ("row", "line", "reason"),
    [
        (2, "2024-01-01T00:00:00Z,11,13,10,12,0", "repeats"),
        (3, "2024-01-01T00:30:00Z,12,12,8,9,7", "lies before"),
        (2, "never,11,13,10,12,0", "open_time is missing"),
        (1, "1704067200,10,12,9,11,5", "milliseconds"),
        (2, "2024-01-01T01:00:00Z,11,13,10,,0", "close is missing"),
        (2, "2024-01-01T01:00:00Z,11,13,NaN,12,0", "low is missing, NaN"),
        (2, "2024-01-01T01:00:00Z,11,inf,10,12,0", "high is missing, NaN or infinite"),
        (4, "2024-01-01T03:00:00Z,9,8,10,9,1", "high is below low"),
        (4, "2024-01-01T03:00:00Z,9,10,8,11,1", "close lies outside"),
        (4, "2024-01-01T03:00:00Z,7,10,8,9,1", "open lies outside"),
        (4, "2024-01-01T03:00:00Z,9,9,0,9,1", "not positive"),
        (4, "2024-01-01T03:00:00Z,9,9,9,9,-1", "volume is negative"),
    ],
)
def test_a_bad_row_is_refused_with_its_number_and_the_reason(tmp_path: Path, row: int, line: str, reason: str) -> None:
    lines = [*GOOD]
    lines[row - 1] = line
    if reason == "milliseconds":
        times = (1_704_067_200 + 3600 * i for i in range(4))
        lines = [",".join([str(time), *each.split(",")[1:]]) for time, each in zip(times, GOOD, strict=True)]
    with pytest.raises(InvalidCandles, match=reason) as caught:
        read_candles(write(tmp_path, lines))
    assert caught.value.rows[0][0] == row


def test_at_most_ten_bad_rows_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    lines = [f"{1_704_067_200_000 + i * 3_600_000},1,1,2,1,1" for i in range(25)]
    with pytest.raises(InvalidCandles, match="25 bad rows") as caught:
        read_candles(write(tmp_path, lines))
    assert len(caught.value.rows) == 10
    assert "and 15 more" in str(caught.value)


def test_what_is_no_file_of_candles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvenhandError, match="no such file"):
        read_candles(tmp_path / "absent.csv")
    with pytest.raises(EvenhandError, match=r"\.csv or \.parquet"):
        read_candles(write(tmp_path, GOOD, name="candles.txt"))
    with pytest.raises(EvenhandError, match=r"no column high.*its columns are open_time, open, hi"):
        read_candles(write(tmp_path, GOOD, HEADER.replace("high", "hi")))
    with pytest.raises(EvenhandError, match="two columns are called open"):
        read_candles(write(tmp_path, GOOD, HEADER.replace("high", "Open")))
    with pytest.raises(EvenhandError, match="no candles"):
        read_candles(write(tmp_path, []))
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(EvenhandError, match="cannot be read as parquet"):
        read_candles(tmp_path / "torn.parquet")


def test_a_missing_candle_is_a_gap_and_no_error(tmp_path: Path) -> None:
    candles = read_candles(write(tmp_path, [*GOOD, "2024-01-01T07:00:00Z,9,9,9,9,1", "2024-01-01T08:00:00Z,9,9,9,9,1"]))
    assert candles.runs() == [(0, 4), (4, 6)]


def test_a_candle_is_known_when_it_has_closed(tmp_path: Path) -> None:
    candles = read_candles(write(tmp_path, GOOD))
    second_closes = 1_704_067_200_000 + 2 * 3_600_000
    assert len(candles.closed_by(second_closes)) == 2
    assert len(candles.closed_by(second_closes - 1)) == 1


def test_the_history_of_the_demo_is_whole() -> None:
    candles = read_candles(Path(__file__).parents[3] / "data" / "btc-usd-1h.parquet")
    assert (len(candles), candles.interval_ms, candles.runs()) == (20_111, 3_600_000, [(0, 20_111)])
    assert np.isfinite(candles.volume).all()


def test_only_when_asked_are_bad_rows_repaired_and_it_is_told(tmp_path: Path) -> None:
    lines = [GOOD[1], GOOD[0], GOOD[2], "2024-01-01T02:00:00Z,12,12,8,10,7.5", "2024-01-01T04:00:00Z,9,8,9,9,1"]
    lines += [GOOD[3], "2024-01-01T05:00:00Z,9,9,9,,1", "2024-01-01T06:00:00Z,9,9,9,9,1"]
    path = write(tmp_path, lines)
    with pytest.raises(InvalidCandles, match="lies before"):
        read_candles(path)
    repairs: list[str] = []
    candles = read_candles(path, repairs=repairs)
    assert candles.open_time.tolist() == [1_704_067_200_000 + hour * 3_600_000 for hour in (0, 1, 2, 3, 6)]
    assert candles.close.tolist() == [11, 12, 10, 9, 9]  # the last of two with the same time
    assert repairs == [
        "2 rows stood before earlier ones: put in order",
        "1 rows had the time of another: the last one counts",
        "row 5 left out: high is below low",
        "row 7 left out: close is missing, NaN or infinite",
    ]
    good, untouched = write(tmp_path, GOOD), list[str]()
    assert read_candles(good, repairs=untouched).digest() == read_candles(good).digest()
    assert untouched == []


@pytest.mark.parametrize(("unit", "per_second"), [("seconds", 1), ("microseconds", 10**6), ("nanoseconds", 10**9)])
def test_times_in_other_units_are_repaired_when_asked(tmp_path: Path, unit: str, per_second: int) -> None:
    lines = [f"{(1_704_067_200 + hour * 3600) * per_second},9,9,9,9,1" for hour in range(4)]
    path = write(tmp_path, lines)
    with pytest.raises(InvalidCandles, match="not in milliseconds"):
        read_candles(path)
    repairs: list[str] = []
    assert read_candles(path, repairs=repairs).open_time[1] == 1_704_070_800_000
    assert repairs == [f"open_time was in {unit}"]


def test_what_cannot_be_repaired_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ["2024-01-01T00:00:00Z,9,8,9,9,1", "2024-01-01T01:00:00Z,9,8,9,9,1"])
    with pytest.raises(InvalidCandles, match="high is below low"):
        read_candles(path, repairs=[])


def test_candles_that_have_not_closed_are_none_yet(tmp_path: Path) -> None:
    lines = [f"{line},{closed}" for line, closed in zip(GOOD, ("true", "true", "true", "false"), strict=True)]
    assert len(read_candles(write(tmp_path, lines, f"{HEADER},closed"))) == 3
    with pytest.raises(EvenhandError, match="no candle that has closed"):
        read_candles(write(tmp_path, [f"{GOOD[0]},false"], f"{HEADER},closed"))
