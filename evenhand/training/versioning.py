"""Versions that follow from what has changed, not from what somebody typed; and the changelog that says so.

Major: who asks as before would no longer be answered as before (target, unit, length of a step, alignment, reference
price, fewer steps; features taken away, renamed or moved). Minor: another architecture, other parameters or feature
code, more features after the old ones, more steps. Patch: the same, fitted again.
"""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from evenhand.errors import InvalidConfiguration

FIRST, FIRST_REASON = "1.0.0", "first version"
Change = Literal["major", "minor", "patch"]
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class Measured(msgspec.Struct, frozen=True):
    """A metric with its interval; errors are the better the smaller."""

    value: float
    low: float
    high: float


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What a version depends on. `code` is the digest of the code of its features."""

    features: tuple[str, ...]
    target: str
    unit: str
    horizon_s: int
    max_horizon: int = 1
    aligned: bool = True
    reference_price: str | None = None
    kind: str
    parameters: Mapping[str, object] = {}
    code: str = ""
    trained_to: str = ""
    metrics: Mapping[str, Measured] = {}


class Derived(msgspec.Struct, frozen=True):
    """The version that follows, how great the change is, and every reason."""

    version: str
    change: Change
    reasons: tuple[str, ...]


def parse(version: str) -> tuple[int, int, int]:
    """Return major, minor and patch."""
    match = _VERSION.fullmatch(version)
    if not match:
        raise InvalidConfiguration(f"version {version!r} is not MAJOR.MINOR.PATCH, such as {FIRST}")
    major, minor, patch = map(int, match.groups())
    return major, minor, patch


def breaks(before: Release, after: Release) -> list[str]:
    """Return what would break those who ask as before."""
    reasons = []
    for name in ("target", "unit", "horizon_s", "aligned", "reference_price"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            reasons.append(f"{name} is {new!r}, was {old!r}")
    if after.max_horizon < before.max_horizon:
        reasons.append(f"answers {after.max_horizon} steps, not {before.max_horizon}")
    gone = [name for name in before.features if name not in after.features]
    if gone:
        reasons.append(f"features gone: {', '.join(gone)}")
    elif after.features[: len(before.features)] != before.features:
        reasons.append("features stand in another order")
    return reasons


def extends(before: Release, after: Release) -> list[str]:
    """Return what is new but breaks nobody."""
    reasons = []
    if after.kind != before.kind:
        reasons.append(f"{after.kind} instead of {before.kind}")
    elif dict(after.parameters) != dict(before.parameters):
        names = sorted(
            name
            for name in {*before.parameters, *after.parameters}
            if before.parameters.get(name) != after.parameters.get(name)
        )
        reasons.append(f"other parameters: {', '.join(names)}")
    new = [name for name in after.features if name not in before.features]
    if new:
        reasons.append(f"new features: {', '.join(new)}")
    if after.code != before.code:
        reasons.append("the code of the features has changed")
    if after.max_horizon > before.max_horizon:
        reasons.append(f"answers {after.max_horizon} steps instead of {before.max_horizon}")
    return reasons


def derive(last: str | None, before: Release | None, after: Release) -> Derived:
    """Return the version that follows `last`, which was `before`; the first one is 1.0.0."""
    if last is None or before is None:
        return Derived(FIRST, "major", (FIRST_REASON,))
    major, minor, patch = parse(last)
    if reasons := breaks(before, after):
        return Derived(f"{major + 1}.0.0", "major", (*reasons, *extends(before, after)))
    if reasons := extends(before, after):
        return Derived(f"{major}.{minor + 1}.0", "minor", tuple(reasons))
    return Derived(f"{major}.{minor}.{patch + 1}", "patch", (f"fitted again, to {after.trained_to or 'newer data'}",))


def accept(given: str | None, derived: Derived) -> str:
    """Return the version to register: the derived one, which a given one must be; a first one may be any."""
    if given is not None and derived.reasons == (FIRST_REASON,):
        parse(given)
        return given
    if given is not None and given != derived.version:
        raise InvalidConfiguration(
            f"version {given} does not follow: {'; '.join(derived.reasons)}, so it is {derived.version} "
            f"({derived.change}); write {derived.version}, or none"
        )
    return derived.version


def changelog(model: str, derived: Derived, before: Release | None, after: Release) -> str:
    """Return the entry of a version as Markdown: why it has its number, and how its metrics differ."""
    lines = [f"## {model} {derived.version}", "", f"{derived.change.capitalize()} change.", ""]
    lines += [f"- {reason}" for reason in derived.reasons]
    rows = []
    for name, now in sorted(after.metrics.items()):
        old = before.metrics.get(name) if before else None
        was = f"{old.value:.6g} ({old.low:.6g} to {old.high:.6g})" if old else "-"
        moved = f"{now.value - old.value:+.3g}{_overlap(old, now)}" if old else "-"
        rows.append(f"| {name} | {was} | {now.value:.6g} ({now.low:.6g} to {now.high:.6g}) | {moved} |")
    if rows:
        lines += ["", "| metric | before (95 %) | now (95 %) | change |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _overlap(old: Measured, now: Measured) -> str:
    return ", within the intervals" if old.low <= now.high and now.low <= old.high else ""
