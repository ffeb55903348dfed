"""Where a version comes from, and learning it again to see whether that is true."""

from datetime import UTC, datetime
from typing import Literal, cast

import msgspec
import numpy as np

from evenhand.errors import EvenhandError
from evenhand.topics import SCORED
from evenhand.training.versioning import Change, Derived, Release, changelog, derive
from models.base import FloatArray, Model, model_kind
from models.candles import Candles
from models.card import Card, Description, Source, code_digest, libraries, sha256
from models.config import Endpoint, FirstVersion
from models.store import ModelStore
from models.training import Table, make_table

TOLERANCE = 1e-3  # of a forecast, in standard deviations of its error: what another machine's arithmetic may change
Verdict = Literal["identical", "within tolerance", "differs"]


class Reproduced(msgspec.Struct, frozen=True, kw_only=True):
    """What came of learning a version again. `files` tells whether each has the same bytes.

    `largest_difference` is of forecasts, in standard deviations of their errors. Other code or libraries need not
    change anything, but they are where to look if something did.
    """

    model: str
    version: str
    verdict: Verdict
    files: dict[str, bool]
    largest_difference: float
    tolerance: float = TOLERANCE
    same_code: bool
    other_libraries: dict[str, tuple[str, str]]


def release(model: Model, about: Description, code: str) -> Release:
    """Return what decides the number of the version after this one, and what its changelog is compared with."""
    signature = {name: getattr(model.signature, name) for name in model.signature.__struct_fields__}
    until = about.trained_to
    return Release(
        **signature, kind=model.kind, parameters=msgspec.to_builtins(model.parameters), code=code,
        trained_to="" if until is None else f"{datetime.fromtimestamp(until / 1000, UTC):%Y-%m-%d %H:%M}",
        metrics=about.origin.metrics,
    )  # fmt: skip


def released(store: ModelStore, name: str, version: str) -> Release:
    """The same, of a version in the store."""
    card = store.describe(name, version)
    return release(store.load(name, version), card.description, card.code_digest)


def changelog_of(store: ModelStore, name: str, version: str) -> str:
    """Return the entry of a version, in Markdown: what changed since the one that it follows, and its metrics."""
    origin, now = store.describe(name, version).description.origin, released(store, name, version)
    earlier = [one for one in store.versions(name) if "-" not in one]
    earlier = earlier[: earlier.index(version)] if version in earlier else []
    follows = origin.follows or (earlier[-1] if earlier else "")
    before = released(store, name, follows) if follows in store.versions(name) else None
    derived = derive(follows or None, before, now)
    if origin.reasons:
        derived = Derived(version, cast("Change", origin.change), origin.reasons)
    return changelog(name, msgspec.structs.replace(derived, version=version), before, now)


def reproduce(store: ModelStore, name: str, version: str, candles: Candles, declared: Endpoint | None) -> Reproduced:
    """Learn a version again from the candles that it was learned from. Raises if those are not they."""
    card = store.describe(name, version)
    if goes_on(card):
        raise EvenhandError(
            f"{name} {version} goes on from {card.description.origin.follows} by outcomes, not by candles"
        )
    return reproduce_on(store, name, version, make_table(_seen(card, candles), endpoint_of(card, declared)))


def reproduce_on(store: ModelStore, name: str, version: str, table: Table) -> Reproduced:
    """Learn a version again from the table that it was learned from."""
    card = store.describe(name, version)
    again = model_kind(card.kind)(card.signature, store.load(name, version).plain_parameters())
    again.fit(table.rows, table.targets, card.description.seed)
    return reproduced(store, name, version, again, table.rows)


def reproduced(store: ModelStore, name: str, version: str, again: Model, rows: FloatArray) -> Reproduced:
    """Compare what was learned again with the version, by its files and by its forecasts of the last rows."""
    card, held = store.describe(name, version), store.load(name, version)
    files = {file: card.files.get(file) == sha256(content) for file, content in again.save().items()}
    rows, steps = np.ascontiguousarray(rows[-2000:]), card.signature.max_horizon
    distance = np.abs(again.forecast(rows, steps) - held.forecast(rows, steps)) / np.array(card.residual_sd)
    largest = float(distance.max(initial=0.0))
    verdict: Verdict = "identical" if all(files.values()) else "within tolerance" if largest <= TOLERANCE else "differs"
    now = libraries()
    return Reproduced(
        model=name, version=version, verdict=verdict, files=files, largest_difference=largest,
        same_code=card.code_digest == code_digest(),
        other_libraries={
            library: (was, now.get(library, "none")) for library, was in card.libraries.items()
            if now.get(library) != was
        },
    )  # fmt: skip


def goes_on(card: Card) -> bool:
    """Whether a version went on from another by what had matured."""
    return any(source.topic == SCORED for source in card.description.origin.sources)


def of_table(card: Card) -> bool:
    """Whether a version was learned from a table of features, whose declarations nobody knows."""
    return bool(card.description.origin.example) and not card.description.origin.features


def _seen(card: Card, candles: Candles) -> Candles:
    """The candles between the bounds that the card names."""
    description = card.description
    if description.trained_from is None or description.trained_to is None:
        raise EvenhandError(f"{card.model} {card.version}: its card does not say from which time on it was trained")
    seen = candles.closed_by(description.trained_to)
    seen = seen.slice(int(np.searchsorted(seen.open_time, description.trained_from)), len(seen))
    if seen.digest() != description.data_digest:
        raise EvenhandError(
            f"{card.model} {card.version} was trained on other candles (digest {description.data_digest[:12]}, these "
            f"have {seen.digest()[:12]}): give the file that was called {description.data or 'nothing'}"
        )
    return seen


def endpoint_of(card: Card, declared: Endpoint | None) -> Endpoint:
    """Return what a version answers, with the declarations of its features; the declared ones if it names none."""
    features = card.description.origin.features
    if not features and declared is not None and declared.signature().features == card.signature.features:
        features = declared.features
    if not features:
        raise EvenhandError(
            f"{card.model} {card.version} does not say how its features {', '.join(card.signature.features)} are "
            "made: it was learned from a table of features, is a trial's challenger, or was saved by an older evenhand"
        )
    signature = card.signature
    return Endpoint(
        target=signature.target, unit=signature.unit, horizon_s=signature.horizon_s, aligned=signature.aligned,
        wait_s=signature.horizon_s * signature.max_horizon, champion="1.0.0", features=features,
        versions=(FirstVersion("1.0.0", card.kind),), max_horizon=signature.max_horizon,
        reference_price=signature.reference_price,
    )  # fmt: skip


def step_between(store: ModelStore, name: str, before: str, after: str) -> Derived:
    """How great a change one version is from another, and why."""
    return derive(before.partition("-")[0], released(store, name, before), released(store, name, after))


def learned_from(store: ModelStore, source: Source) -> list[tuple[str, str]]:
    """Model and version of all that have learned from one of these records."""
    return [
        (name, version)
        for name in store.models()
        for version in store.versions(name)
        if any(source.overlaps(one) for one in store.describe(name, version).description.origin.sources)
    ]
