"""Many features watched jointly, with one budget of false alarms whatever their dependence."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from evenhand.drift.base import Ints, Verdict
from evenhand.drift.betting import epoch_evidence, evidence_of, verdict_of
from evenhand.drift.book import Book
from evenhand.drift.categorical import Categorical
from evenhand.drift.evidence import EpochEvidence
from evenhand.drift.loss_increase import LossIncrease
from evenhand.drift.rank_legendre import RankLegendre
from evenhand.drift.reference import Numbers, Reference, of_categories, of_numbers
from evenhand.drift.thinning import thin_every
from evenhand.drift.wealth import Ledger, Wealth
from evenhand.errors import InvalidEvent

MONTH_MS = 2_629_746_000  # a twelfth of a mean Gregorian year


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is normal of a feature; of `every` events one is looked at. With `is_loss`, less is no drift."""

    reference: Reference
    every: Annotated[int, Meta(ge=1)] = 1
    is_loss: bool = False

    def book(self) -> Book:
        """The bets on it."""
        if self.is_loss:
            return LossIncrease(every=self.every).book(self.reference)
        detector = RankLegendre if isinstance(self.reference, Numbers) else Categorical
        return detector(every=self.every).book(self.reference)


class Panel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """The average of the features' e-processes (wealth.py): bounded under any dependence, without Bonferroni.

    A panel is plain JSON: the references of a version's training sample, or of a window. `update` takes events
    one after the other, `absorb` takes merged evidence of an epoch. The allowance is `per_100k` events, or
    `per_month` of event time; with the latter, `absorb` needs the length of the epoch.
    """

    features: dict[str, Feature]
    per_100k: Annotated[float, Meta(gt=0)] | None = None
    per_month: Annotated[float, Meta(gt=0)] | None = None
    block: Annotated[int, Meta(ge=1)] = 4

    def __post_init__(self) -> None:
        if (self.per_100k is None) == (self.per_month is None):
            raise ValueError("give either per_100k or per_month: how many false alarms are allowed")
        if not self.features:
            raise ValueError("a panel without features watches nothing: name at least one")

    @cached_property
    def ledger(self) -> Ledger:
        """The books side by side."""
        kinds = self.features.values()
        return Ledger(tuple(self.features), tuple(one.book() for one in kinds), tuple(one.every for one in kinds))

    def start(self) -> Wealth:
        """Before the first event."""
        return self.ledger.start()

    def evidence(self, rows: Mapping[str, Any], seen: int) -> EpochEvidence:
        """What one partition adds to an epoch; `seen` counts the events that it had before."""
        return epoch_evidence(self.ledger, self._codes(rows), seen)

    def absorb(self, wealth: Wealth, evidence: EpochEvidence, epoch_ms: int = 0) -> Wealth:
        """The wealth after an epoch, all partitions merged."""
        if self.per_month is None:
            allowance = evidence.rows * (self.per_100k or 0.0) / 1e5
        else:
            allowance = epoch_ms * self.per_month / MONTH_MS
        if allowance <= 0:
            return wealth
        block = evidence.as_block()
        return self.ledger.absorb(wealth, block, np.array([allowance]))

    def update(self, wealth: Wealth, rows: Mapping[str, Any]) -> Wealth:
        """The wealth after a batch of events, in their order, a column a feature; for a budget of events."""
        if self.per_100k is None:
            raise ValueError("a budget per month is spent by epochs: use evidence and absorb, or per_100k")
        codes = self._codes(rows)
        if wealth.alarm_at is not None or len(codes[0]) == 0:
            return wealth
        blocks = evidence_of(self.ledger, codes, wealth.seen, self.block)
        return self.ledger.absorb(wealth, blocks, blocks.allowances(self.per_100k / 1e5))

    def verdict(self, wealth: Wealth, most: int = 5) -> Verdict:
        """What the wealth says, with the clearest features."""
        return verdict_of(self.ledger, wealth, most)

    def _codes(self, rows: Mapping[str, Any]) -> list[Ints]:
        codes = [feature.reference.codes(rows[name]) for name, feature in self.features.items()]
        if len({len(column) for column in codes}) > 1:
            raise InvalidEvent("the columns of a batch differ in length: leave out events that lack a feature")
        return codes


def panel_of(
    sample: Mapping[str, Any],
    *,
    per_100k: float | None = None,
    per_month: float | None = None,
    thin: bool = True,
    max_thinning: int | None = None,
    is_loss: bool = False,
) -> Panel:
    """A panel whose reference is a sample in event order, a column a feature: numbers, or else categories.

    With `thin`, a feature's autocorrelation in the sample says how many events are left out (`thinning`), at most so
    many that of `max_thinning` one is looked at.

    >>> panel_of({"x": [float(i % 7) for i in range(700)]}, per_100k=1, thin=False).features["x"].reference.n
    700
    """
    features = {}
    for name, column in sample.items():
        if isinstance(next(iter(column), 0.0), str):
            features[name] = Feature(reference=of_categories(list(column)))
        else:
            every = min(thin_every(column), max_thinning or 1 << 30) if thin else 1
            features[name] = Feature(reference=of_numbers(column), every=every, is_loss=is_loss)
    return Panel(features=features, per_100k=per_100k, per_month=per_month)
