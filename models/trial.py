"""Challengers whose worth is known beforehand, to see whether a trial finds it out.

`oracle` must win: its requests carry a `hint`, the return to come times (1 + noise), so it knows half of the variance.
`twin` must neither win nor lose: it has the champion's weights. `broken` must be stopped: it fails on one row in ten.
"""

import hashlib
from collections.abc import Mapping
from statistics import NormalDist
from types import MappingProxyType

import msgspec
import numpy as np

from evenhand.errors import InvalidConfiguration
from models.broken import Broken
from models.candles import Candles
from models.config import Endpoint
from models.convert import nearest
from models.linear import Ridge
from models.store import ModelStore
from models.training import describe, make_table, seen_candles

HINT = "hint"
VERSIONS: Mapping[str, str] = MappingProxyType(
    {"oracle": "1.2.0-oracle", "twin": "1.2.0-twin", "broken": "1.2.0-broken"}
)
_NORMAL = NormalDist()


def hint(value: float, target_time_ms: int, seed: int) -> float:
    """Return the noisy truth for one target time: value x (1 + standard Normal noise), the same whenever it is asked.

    The noise is as large as the value, so that the best weight on a hint is one half in calm and in wild times.
    """
    raw = hashlib.blake2b(f"hint/{seed}/{target_time_ms}".encode(), digest_size=8).digest()
    uniform = (int.from_bytes(raw) + 0.5) / 2**64
    return value * (1.0 + _NORMAL.inv_cdf(uniform))


def add_challenger(challenger: str, candles: Candles, store: ModelStore, name: str, endpoint: Endpoint) -> str:
    """Save the challenger of that name beside the champion, which must be there, and return its version.

    The oracle learns from the same candles as the first versions: those that had closed by `train_until`.
    """
    if challenger not in VERSIONS:
        raise InvalidConfiguration(f"there is no challenger {challenger!r}{nearest(challenger, VERSIONS)}")
    version = VERSIONS[challenger]
    if version in store.versions(name):
        return version
    champion = store.load(name, endpoint.champion)
    like_champion = msgspec.structs.replace(
        store.describe(name, endpoint.champion).description, summary=f"{challenger} of {endpoint.champion}, for a trial"
    )
    if challenger == "twin":
        store.save(name, version, champion, like_champion)
    elif challenger == "broken":
        if not isinstance(champion, Ridge):
            raise InvalidConfiguration(f"only a ridge champion can be broken; {endpoint.champion} is {champion.kind}")
        store.save(name, version, Broken.load(champion.signature, champion.save()), like_champion)
    else:
        _save_oracle(candles, store, name, endpoint, version)
    return version


def _save_oracle(candles: Candles, store: ModelStore, name: str, endpoint: Endpoint, version: str) -> None:
    seen = seen_candles(candles, endpoint)
    table = make_table(seen, endpoint)
    known = np.isfinite(table.targets[:, 0])
    close_times = (table.open_time[known] + seen.interval_ms).tolist()
    targets = table.targets[known]
    hints = [
        hint(value, time + endpoint.horizon_s * 1000, endpoint.seed)
        for value, time in zip(targets[:, 0].tolist(), close_times, strict=True)
    ]
    rows = np.column_stack([table.rows[known], hints])
    model = Ridge(endpoint.signature(HINT)).fit(rows, targets, endpoint.seed)
    store.save(name, version, model, describe("ridge with a hint of the answer", "candles", seen, table, endpoint.seed))
