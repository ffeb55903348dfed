"""From a file of candles to trained versions and to the hours that are replayed; no version has seen these."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from evenhand.demonstration.trial import trial
from evenhand.demonstration.users import HOUR_MS, Hour
from evenhand.errors import InvalidConfiguration
from evenhand.experiments.experiment import Experiment
from models import trial as trials
from models.candle_files import read_candles
from models.candles import Candles
from models.config import Endpoint
from models.features.engine import FeatureEngine
from models.store import ModelStore
from models.training import step_returns, train_on

MODEL = "btc-usd-1h"
HOURS = 2_208  # 92 days
CHALLENGERS = ("lightgbm", *trials.VERSIONS)
_PLAYED_OF_OWN_DATA = 2 / 3
_ARRIVAL_HOURS, _SILENCE_HOURS = 12, 24  # before the first user comes; in the middle


@dataclass(frozen=True)
class Market:
    """What the demo replays: the hours, and the versions that are asked."""

    hours: list[Hour]
    experiment: Experiment
    endpoint: Endpoint
    trained_rows: int


def prepare(
    candles: Candles, source: str, store: ModelStore, endpoint: Endpoint, challenger: str, hours: int | None, seed: int
) -> Market:
    """Train what is needed on what came before the hours, and compute what users know at each of them."""
    start, end, until = span(candles, endpoint, hours)
    endpoint = msgspec.structs.replace(endpoint, train_until=datetime.fromtimestamp(until / 1000, UTC))
    train_on(candles, source, store, MODEL, endpoint)
    versions = {each.kind: each.version for each in endpoint.versions}
    champion = next(each for each in endpoint.versions if each.version == endpoint.champion)
    on_trial: dict[str, str] = {}
    if challenger == "lightgbm":
        # A release that fails one request in ten stands beside it, so that there is something to stop.
        on_trial["lightgbm"] = versions["boosted_trees"]
        on_trial["faulty-release"] = trials.add_challenger("broken", candles, store, MODEL, endpoint)
    else:
        on_trial[challenger] = trials.add_challenger(challenger, candles, store, MODEL, endpoint)
    hint_seed = seed if challenger == "oracle" else None
    return Market(
        hours=[*_hours(candles.slice(0, end + 1), endpoint, start, hint_seed)],
        experiment=trial(MODEL, (champion.kind, champion.version), on_trial),
        endpoint=endpoint,
        trained_rows=store.describe(MODEL, endpoint.champion).description.rows,
    )


def span(candles: Candles, endpoint: Endpoint, hours: int | None) -> tuple[int, int, int]:
    """Which candles are replayed, first and past the last (whose outcomes are known), and until when is learned.

    Candle i closes when its hour begins to be asked about. What the configuration trains on is kept to where the file
    allows it; a file of other years is divided.
    """
    known = len(candles) - 1  # the last candle's next hour is not known
    configured = endpoint.train_until
    if configured is not None:
        learned = len(candles.closed_by(int(configured.timestamp() * 1000)))
        wanted = hours or HOURS
        if learned and (learned - 1) + wanted <= known:
            return learned - 1, learned - 1 + wanted, int(configured.timestamp() * 1000)
    wanted = hours or min(HOURS, int(known * _PLAYED_OF_OWN_DATA))
    if wanted >= known:
        raise InvalidConfiguration(f"{wanted} hours are to be replayed, the file has {len(candles)} candles: give less")
    start = known - wanted
    return start, known, int(candles.open_time[start]) + candles.interval_ms


def _hours(candles: Candles, endpoint: Endpoint, start: int, hint_seed: int | None) -> list[Hour]:
    features = FeatureEngine.declared(endpoint.features, candles.interval_ms)
    rows, outcomes = features.batch(candles), step_returns(candles, 1)[:, 0]
    places = {int(time) + HOUR_MS: place for place, time in enumerate(candles.open_time) if place >= start}
    first, last = min(places), max(places) - HOUR_MS
    count = (last - first) // HOUR_MS + 1
    silence = range(count // 3, count // 3 + _SILENCE_HOURS) if count > 10 * _SILENCE_HOURS else range(0)
    told = []
    for number, time in enumerate(range(first, last + 1, HOUR_MS)):
        place = places.get(time)
        known: dict[str, float] | None = None
        outcome = None
        if place is not None and np.isfinite(rows[place]).all() and number not in silence:
            outcome = float(outcomes[place]) if np.isfinite(outcomes[place]) else None
            known = dict(zip(features.names, rows[place].tolist(), strict=True))
            known |= _extras(endpoint, float(candles.close[place]), outcome, time, hint_seed)
        told.append(Hour(time, known if number >= _ARRIVAL_HOURS else None, outcome))
    return told


def _extras(
    endpoint: Endpoint, close: float, outcome: float | None, time: int, hint_seed: int | None
) -> Mapping[str, float]:
    extras = {} if endpoint.reference_price is None else {endpoint.reference_price: close}
    if hint_seed is not None:
        value = 0.0 if outcome is None else outcome
        extras[trials.HINT] = trials.hint(value, time + HOUR_MS, hint_seed)
    return extras


def read(data: Path, endpoint: Endpoint) -> Candles:
    """Candles of the model's own length."""
    candles = read_candles(data)
    if candles.interval_ms != HOUR_MS or endpoint.horizon_s * 1000 != HOUR_MS:
        raise InvalidConfiguration(
            f"{data}: candles of {candles.interval_ms // 60_000} minutes; the demo takes hourly ones"
        )
    return candles
