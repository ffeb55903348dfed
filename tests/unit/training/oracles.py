"""Walks and comparisons that others compute, too; their answers lie in golden/oracles.json.

To make that file anew, in an environment of its own, from the root of the checkout:
  pip install statsmodels==0.15.0 mlforecast==1.1.0 sktime==1.2.0
  python -m tests.unit.training.oracles
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

GOLDEN = Path(__file__).parent / "golden" / "oracles.json"
ROWS = 120
Floats = npt.NDArray[np.float64]


def forecasts(seed: int, horizon: int, skill: float) -> tuple[Floats, Floats, Floats]:
    """Outcomes, and the forecasts of two models whose errors overlap as those of `horizon` steps do."""
    random = np.random.default_rng(seed)
    signal, noise = random.normal(size=(2, 4000 + horizon))
    smooth = np.ones(horizon) / horizon**0.5
    truth = np.convolve(skill * signal + noise, smooth, mode="valid")
    return truth, np.convolve(skill * signal, smooth, mode="valid"), np.zeros(len(truth))


CASES = [(seed, horizon, skill) for seed in range(4) for horizon in (1, 7, 24) for skill in (0.02, 0.05, 0.2)]


def main() -> None:
    """Ask the others and write what they say."""
    import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415
    from sktime.split import (  # type: ignore[import-not-found]  # noqa: PLC0415
        ExpandingWindowSplitter,
        SlidingWindowSplitter,
    )
    from statsmodels.tsa.stattools import (  # type: ignore[import-not-found]  # noqa: PLC0415
        diebold_mariano_test,
    )
    from utilsforecast.processing import (  # type: ignore[import-not-found]  # noqa: PLC0415
        backtest_splits,
    )

    splits: list[dict[str, Any]] = []
    days = pd.Series(np.arange(ROWS), index=pd.period_range("2020-01-01", periods=ROWS, freq="D"))
    for window, first, step, horizon in ((None, 60, 10, 1), (None, 60, 20, 5), (40, 40, 10, 1), (50, 50, 15, 3)):
        ahead = list(range(1, horizon + 1))
        if window is None:
            splitter = ExpandingWindowSplitter(fh=ahead, initial_window=first, step_length=step)
        else:
            splitter = SlidingWindowSplitter(fh=ahead, window_length=window, step_length=step)
        folds = [[int(train[0]), int(train[-1]), test.tolist()] for train, test in splitter.split(days)]
        splits.append({"of": "sktime", "window": window, "step": step, "horizon": horizon, "folds": folds})
    frame = pd.DataFrame({"unique_id": "a", "ds": range(ROWS), "y": 0.0})
    for window, count, horizon in ((None, 3, 7), (None, 4, 5), (30, 3, 6)):
        found = backtest_splits(
            frame, n_windows=count, h=horizon, id_col="unique_id", time_col="ds", freq=1, step_size=horizon,
            input_size=window,
        )  # fmt: skip
        folds = [[int(train.ds.min()), int(train.ds.max()), test.ds.tolist()] for _, train, test in found]
        splits.append({"of": "mlforecast", "window": window, "step": horizon, "horizon": horizon, "folds": folds})
    tests = []
    for seed, horizon, skill in CASES:
        truth, ours, theirs = forecasts(seed, horizon, skill)
        result = diebold_mariano_test(truth, theirs, ours, horizon=horizon, lags=4 * horizon)
        tests.append([seed, horizon, skill, float(result.statistic), float(result.pvalue)])
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps({"splits": splits, "diebold_mariano": tests}, indent=None) + "\n")


if __name__ == "__main__":
    main()
