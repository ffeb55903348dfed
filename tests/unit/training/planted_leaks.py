"""Leaks to plant in a pipeline, and pipelines that have none."""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import filtfilt, savgol_filter

from evenhand.training.examples import FloatArray, Forecaster, IntArray
from evenhand.training.leakage import Computed, Source

HOUR = 3_600_000
COUNT = 1200
Feature = Callable[[Source], FloatArray]


def source(seed: int = 0) -> Source:
    """Hourly closes and volumes, known when their hour is over; some volumes are missing."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(size=COUNT) * 0.01))
    volume = random.exponential(size=COUNT)
    volume[random.random(COUNT) < 0.1] = np.nan
    return Source(np.arange(1, COUNT + 1) * HOUR, {"close": close, "volume": volume})


def returns(close: FloatArray) -> FloatArray:
    return np.diff(np.log(close), prepend=np.log(close[:1]))


def labels(one: Source) -> FloatArray:
    """The return of the next hour."""
    return np.append(returns(one.columns["close"])[1:], np.nan)[:, None]


def lagged(values: FloatArray, count: int) -> FloatArray:
    """Values of so many rows ago; of rows to come, where count is negative."""
    shifted = np.full(len(values), np.nan)
    if count >= 0:
        shifted[count:] = values[: len(values) - count]
    else:
        shifted[:count] = values[-count:]
    return shifted


def rolled(
    values: FloatArray, size: int, how: Callable[..., FloatArray] = np.mean, centred: bool = False
) -> FloatArray:
    found = np.full(len(values), np.nan)
    if len(values) >= size:
        windows = how(np.lib.stride_tricks.sliding_window_view(values, size), axis=1)
        start = size // 2 if centred else size - 1
        found[start : start + len(windows)] = windows
    return found


def close(one: Source) -> FloatArray:
    return one.columns["close"]


def next_known(one: Source) -> FloatArray:
    """Fill a missing volume from the next one."""
    values = one.columns["volume"].copy()
    for place in range(len(values) - 2, -1, -1):
        if np.isnan(values[place]):
            values[place] = values[place + 1]
    return values


def interpolated(one: Source) -> FloatArray:
    values = one.columns["volume"]
    known = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), known, values[known])


def nearest(one: Source) -> FloatArray:
    values = one.columns["volume"]
    known = np.flatnonzero(np.isfinite(values))
    places = np.abs(known[None, :] - np.arange(len(values))[:, None]).argmin(axis=1)
    found: FloatArray = values[known[places]]
    return found


def day(one: Source) -> IntArray:
    return (one.known_at - 1) // (24 * HOUR)


def of_its_day(one: Source, how: Callable[[FloatArray], float], column: str = "close") -> FloatArray:
    """One number for each day, joined to all of its hours."""
    days = day(one)
    values = np.nan_to_num(one.columns[column])
    return np.array([how(values[days == each]) for each in days])


LEAKING: dict[str, Feature] = {
    # The target itself.
    "target_next_return": lambda s: np.append(returns(close(s))[1:], 0.0),
    "target_future_mean": lambda s: lagged(rolled(returns(close(s)), 6), -6),
    "target_sign_ahead": lambda s: np.sign(lagged(returns(close(s)), -3)),
    "target_future_high": lambda s: lagged(rolled(close(s), 12, np.max), -12) / close(s),
    # Windows that reach into the future.
    "centred_mean": lambda s: rolled(close(s), 9, centred=True),
    "centred_median": lambda s: rolled(close(s), 9, np.median, centred=True),
    "centred_savgol": lambda s: savgol_filter(close(s), 11, 2),
    "centred_gaussian": lambda s: gaussian_filter1d(close(s), 3.0),
    "centred_filtfilt": lambda s: filtfilt([0.1], [1, -0.9], close(s)),
    # Scaled over all.
    "scaled_mean_deviation": lambda s: (close(s) - close(s).mean()) / close(s).std(),
    "scaled_range": lambda s: (close(s) - close(s).min()) / np.ptp(close(s)),
    # Filled from the future.
    "filled_backward": next_known,
    "filled_interpolated": interpolated,
    "filled_nearest": nearest,
    "filled_mean": lambda s: np.where(
        np.isnan(s.columns["volume"]), np.nanmean(s.columns["volume"]), s.columns["volume"]
    ),
    "filled_median_of_day": lambda s: of_its_day(
        s, lambda v: float(np.median(v[v > 0])) if (v > 0).any() else 0.0, "volume"
    ),
    # Candles that are not closed.
    "unclosed_day_high": lambda s: of_its_day(s, lambda v: float(v.max())),
    "unclosed_day_close": lambda s: of_its_day(s, lambda v: float(v[-1])),
    "unclosed_day_volume": lambda s: of_its_day(s, lambda v: float(v.sum()), "volume"),
    "unclosed_day_range": lambda s: of_its_day(s, lambda v: float(np.ptp(v))),
}


def compute(features: dict[str, Feature], early_ms: int = 0) -> Callable[[Source], Computed]:
    return lambda one: Computed(one.known_at - early_ms, np.column_stack([made(one) for made in features.values()]))


CLEAN: dict[str, Feature] = {
    "return": lambda s: returns(close(s)),
    "return_lag_2": lambda s: lagged(returns(close(s)), 2),
    "mean_24": lambda s: rolled(close(s), 24) / close(s),
    "volatility": lambda s: rolled(returns(close(s)), 24, np.std),
    "hour": lambda s: np.sin(s.known_at / HOUR * 2 * np.pi / 24),
    "volume": lambda s: np.nan_to_num(s.columns["volume"]),
    "day_before": lambda s: lagged(close(s), 24),
    "level": close,
}


def scaled_over_all(rows: FloatArray, targets: FloatArray, train: IntArray) -> FloatArray:
    scaled: FloatArray = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    return scaled


def ranked_over_all(rows: FloatArray, targets: FloatArray, train: IntArray) -> FloatArray:
    return rows.argsort(axis=0).argsort(axis=0) / len(rows)


def components_over_all(rows: FloatArray, targets: FloatArray, train: IntArray) -> FloatArray:
    centred = rows - rows[train].mean(axis=0)
    projected: FloatArray = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
    return projected


def chosen_over_all(rows: FloatArray, targets: FloatArray, train: IntArray) -> FloatArray:
    known = np.isfinite(targets[:, 0])
    gain = np.abs(rows[known].T @ targets[known, 0])
    kept: FloatArray = rows * (gain >= np.sort(gain)[-3])
    return kept


def encoded_over_all(rows: FloatArray, targets: FloatArray, train: IntArray) -> FloatArray:
    group = np.digitize(rows[:, 0], np.quantile(rows[train, 0], np.linspace(0.02, 0.98, 49)))
    known = np.isfinite(targets[:, 0])
    means = np.array(
        [targets[known & (group == g), 0].mean() if (known & (group == g)).any() else 0 for g in range(50)]
    )
    return np.column_stack([rows, means[group]])


def scaled(rows: FloatArray, targets: FloatArray, train: IntArray) -> FloatArray:
    made: FloatArray = (rows - rows[train].mean(axis=0)) / rows[train].std(axis=0)
    return made


def chosen(rows: FloatArray, targets: FloatArray, train: IntArray) -> FloatArray:
    known = train[np.isfinite(targets[train, 0])]
    gain = np.abs(rows[known].T @ targets[known, 0])
    kept: FloatArray = rows * (gain >= np.sort(gain)[-3])
    return kept


def components(rows: FloatArray, targets: FloatArray, train: IntArray) -> FloatArray:
    mean = rows[train].mean(axis=0)
    projected: FloatArray = (rows - mean) @ np.linalg.svd(rows[train] - mean, full_matrices=False)[2][:3].T
    return projected


def least_squares(rows: FloatArray, targets: FloatArray, seed: int) -> Forecaster:
    known = np.isfinite(targets[:, 0])
    x = np.column_stack([rows[known], np.ones(known.sum())])
    weights = np.linalg.lstsq(x, targets[known], rcond=None)[0]
    return lambda rows: np.column_stack([rows, np.ones(len(rows))]) @ weights
