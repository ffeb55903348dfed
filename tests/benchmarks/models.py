"""`python -m tests.benchmarks.models`: what an answer of each kind of model costs, one row, 500 rows, and the first.

And how many candles a second the declared features take, one by one.

Processor time, the least of many rounds, so that a loaded machine measures the same. The first answer is that of a
fresh process, from its start on, imports and loading included.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from evenhand.errors import EvenhandError
from models.base import Model, model_kind
from models.candle_files import read_candles
from models.candles import Candles
from models.card import Description
from models.config import Endpoint, read_models_config
from models.features.engine import FeatureEngine
from models.nets import Net
from models.store import ModelStore
from models.training import Table, make_table

ROOT = Path(__file__).parents[2]
ROUNDS, BATCH = 200, 500
CANDLES_PER_S = 50_000  # at least, of one core
KINDS = (
    "naive", "ridge", "online", "boosted_trees", "quantile_trees", "lstm", "lstm, onnx", "transformer",
    "transformer, onnx", "ensemble",
)  # fmt: skip
GOALS = {  # seconds: one row, a batch, the first answer
    "boosted_trees": (50e-6, 3e-3, 2.0),
    "lstm": (200e-6, None, 2.0),
}
_FIRST = """
import sys
import numpy as np
from pathlib import Path
from models.store import ModelStore
model = ModelStore(Path(sys.argv[1])).load("m", "1.0.0")
model.predict(np.zeros((1, len(model.features))))
"""


class Timing(NamedTuple):
    """Seconds."""

    kind: str
    one_row: float
    batch: float
    first: float

    def failed(self) -> list[str]:
        """What is over its goal."""
        goals = GOALS.get(self.kind, (None, None, None))
        named = zip(("one row", f"{BATCH} rows", "first answer"), self[1:], goals, strict=True)
        return [f"{self.kind}: {what} took {took:.6f} s" for what, took, goal in named if goal and float(took) > goal]


def least(model: Model, rows: np.typing.NDArray[np.float64], rounds: int) -> float:
    """Processor seconds of an answer to these rows, the least of all rounds."""
    times = []
    for _ in range(rounds):
        start = time.process_time_ns()
        model.predict(rows)
        times.append(time.process_time_ns() - start)
    return min(times) / 1e9


def measure(kind: str, endpoint: Endpoint, table: Table, folder: Path) -> Timing:
    """Fit it, save it, and ask it."""
    named, _, how = kind.partition(", ")
    parameters = {"length": 3, "onnx": how == "onnx"} if named in {"lstm", "transformer"} else {}
    model = model_kind(named)(endpoint.signature(), parameters).fit(table.rows, table.targets)
    if isinstance(model, Net) and model.by_onnx != (how == "onnx"):
        raise EvenhandError(f"{kind}: ONNX Runtime answers otherwise than numpy")
    store = ModelStore(folder / kind)
    store.save("m", "1.0.0", model, Description(summary=kind))
    firsts = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", _FIRST, str(folder / kind)], check=True, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        firsts.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    rows = table.rows
    model.predict(rows[:BATCH])
    return Timing(kind, least(model, rows[:1], ROUNDS), least(model, rows[:BATCH], ROUNDS // 10), min(firsts))


def candles_per_s(endpoint: Endpoint, candles: Candles) -> float:
    """How many candles the features take in a second of processor, one by one; the best of three rounds."""
    each, best = list(candles), 0.0
    for _ in range(3):
        engine = FeatureEngine.declared(endpoint.features, candles.interval_ms)
        start = time.process_time_ns()
        for candle in each:
            engine.step(candle)
        best = max(best, len(each) * 1e9 / (time.process_time_ns() - start))
    return best


def main() -> int:
    """Print the table; 1 if a goal is missed."""
    endpoint = read_models_config(ROOT / "config" / "models.yaml").endpoint("btc-usd-1h")
    endpoint = msgspec.structs.replace(endpoint, max_horizon=1)
    candles = read_candles(ROOT / "data" / "btc-usd-1h.parquet")
    table, rate = make_table(candles.slice(0, 4000), endpoint), candles_per_s(endpoint, candles)
    failed = [f"features: {rate:.0f} candles a second"] if rate < CANDLES_PER_S else []
    print(f"| kind | one row, µs | {BATCH} rows, ms | first answer, s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            took = measure(kind, endpoint, table, Path(folder))
            print(f"| {kind} | {took.one_row * 1e6:.0f} | {took.batch * 1e3:.2f} | {took.first:.2f} |")
            failed += took.failed()
    print(f"\n{len(endpoint.features)} features, candle by candle: {rate:,.0f} candles a second")
    print("\n".join(failed) or "all goals are met", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
