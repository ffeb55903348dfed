"""False alarms, delays and cost of one detector on one feature."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from evenhand.drift import Detector, detector
from evenhand.drift.thinning import thin_every
from tests.benchmarks.drift.protocol import CvmOnline, FetOnline
from tests.benchmarks.drift.streams import CHANGES, ERRORS, NULL, Law

BATCH, BEFORE, HORIZON = 256, 2000, 5000
REFERENCE, LONG_REFERENCE = 5_000, 20_000  # long where autocorrelation takes most of it away
Row = dict[str, Any]
PROTOCOL: dict[str, Callable[[], Any]] = {"cvm_online": CvmOnline, "fet_online": FetOnline}
Contestant = tuple[str, str, dict[str, Any], float]  # label, kind, parameters, share of the streams that it is given

NUMBERS: list[Contestant] = [
    ("rank_legendre", "rank_legendre", {}, 1), ("adwin", "adwin", {}, 1), ("page_hinkley", "page_hinkley", {}, 1),
    ("page_hinkley .1/100", "page_hinkley", {"delta": 0.1, "threshold": 100.0}, 1), ("kswin", "kswin", {}, 0.05),
    ("kswin 1e-4", "kswin", {"alpha": 1e-4}, 0.05), ("psi", "psi", {}, 1), ("wasserstein", "wasserstein", {}, 1),
    ("kolmogorov_smirnov", "kolmogorov_smirnov", {}, 1), ("jensen_shannon", "jensen_shannon", {}, 1),
    ("alibi protocol, cvm", "cvm_online", {}, 1),
]  # fmt: skip
BINARY: list[Contestant] = [
    ("error_increase", "error_increase", {}, 1), ("adwin", "adwin", {}, 1), ("hddm_a", "hddm_a", {}, 0.5),
    ("hddm_w", "hddm_w", {}, 0.5), ("ddm", "ddm", {}, 1), ("eddm", "eddm", {}, 1),
    ("alibi protocol, fet", "fet_online", {}, 1),
]  # fmt: skip


def made(kind: str, parameters: dict[str, Any], sample: Any) -> Any:
    if kind in PROTOCOL:
        return PROTOCOL[kind]()
    plain = detector(kind, parameters)
    if "every" in plain.__struct_fields__ and plain.takes == "numbers":
        return detector(kind, {**parameters, "every": thin_every(sample)})
    return plain


def alarms(one: Detector[Any], reference: Any, values: Any) -> tuple[int, Any]:
    """How often it fires when it is started again after each alarm, and its last state."""
    fresh = one.start(reference) if one.needs_reference else one.start()
    count, begun, at, state = 0, 0, 0, fresh
    while at < len(values):
        state = one.update(state, values[at : at + BATCH * 8])
        if state.alarm_at is None:
            at += BATCH * 8
        else:
            count, begun, state = count + 1, begun + state.alarm_at, fresh
            at = begun
    return count, state


def delay(one: Detector[Any], reference: Any, before: Any, after: Any) -> float:
    """Events from the change to the first alarm after it; infinite where there is none."""
    _, state = alarms(one, reference, before)
    seen = state.seen
    state = one.update(state, after)
    return math.inf if state.alarm_at is None else state.alarm_at - seen


def cost(one: Detector[Any], reference: Any, values: Any) -> float:
    """Microseconds an event, in batches, the best of three."""
    best = math.inf
    for _ in range(3):
        state = one.start(reference) if one.needs_reference else one.start()
        begun = time.perf_counter()
        for at in range(0, len(values), BATCH):
            state = one.update(state, values[at : at + BATCH])
        best = min(best, (time.perf_counter() - begun) / max(1, state.seen))
    return best * 1e6


def rows(contestants: list[Contestant], null: dict[str, Law], changes: dict[str, tuple[Law, Law]], size: float,
         say: Callable[[str], None]) -> list[Row]:  # fmt: skip
    """One row for each contestant and stream."""
    found = []
    for label, kind, parameters, share in contestants:
        for name, law in null.items():
            rng = np.random.default_rng(11)
            long = LONG_REFERENCE if name.startswith(("AR", "errors")) else REFERENCE
            streams, events = max(1, round(10 * size * share)), 50_000 if share == 1 else 20_000
            fired = total = 0
            for _ in range(streams):
                reference = law(rng, long)
                fired += alarms(made(kind, parameters, reference), reference, law(rng, events))[0]
                total += events
            reference = law(rng, long)
            micro = cost(made(kind, parameters, reference), reference, law(rng, round(BATCH * 40 * share)))
            found.append({"detector": label, "stream": name, "false_alarms_per_100k": 1e5 * fired / total,
                          "median_delay": None, "missed": None, "us_per_event_feature": micro})  # fmt: skip
            say(f"{label:22} {name:18} {1e5 * fired / total:8.2f} /100k   {micro:7.2f} us")
        for name, (before, after) in changes.items():
            rng, delays = np.random.default_rng(12), []
            for _ in range(max(4, round(100 * size * share))):
                reference = before(rng, LONG_REFERENCE if name.startswith("errors") else REFERENCE)
                one = made(kind, parameters, reference)
                delays.append(delay(one, reference, before(rng, BEFORE), after(rng, HORIZON)))
            middle, missed = float(np.median(delays)), float(np.mean(np.isinf(delays)))
            found.append({"detector": label, "stream": name, "false_alarms_per_100k": None,
                          "median_delay": None if math.isinf(middle) else middle, "missed": missed,
                          "us_per_event_feature": None})  # fmt: skip
            say(f"{label:22} {name:18} delay {middle:8.1f}   missed {missed:.2f}")
    return found


def univariate(size: float, say: Callable[[str], None]) -> list[Row]:
    """All of the table's rows on one feature."""
    return rows(NUMBERS, NULL, CHANGES, size, say) + rows(
        BINARY, {"errors .30": ERRORS["errors .30 to .40"][0]}, ERRORS, size, say
    )
