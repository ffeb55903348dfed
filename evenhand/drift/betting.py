"""A detector that bets against a reference: one feature alone. `panel.Panel` watches many features jointly."""

from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from evenhand.drift.base import Detector, Ints, State, Verdict
from evenhand.drift.book import Book
from evenhand.drift.evidence import EpochEvidence, Evidence
from evenhand.drift.reference import Reference
from evenhand.drift.wealth import Ledger, Wealth
from evenhand.errors import InvalidConfiguration

LEAST_REFERENCE = 100


class Betting(State, frozen=True, kw_only=True):
    """The reference and what the bets have won against it."""

    reference: Reference
    wealth: Wealth


class BettingDetector(Detector[Betting], frozen=True, kw_only=True):
    """Common to the e-detectors.

    `false_alarms_per_100k` events are what is allowed, not what is wished for: the measured number is lower.
    Of `every` events one is looked at; `thinning.thin_every` says how many follow from the reference's own
    autocorrelation. `block` events are judged at once: fewer is sooner, more is faster.
    """

    false_alarms_per_100k: Annotated[float, Meta(gt=0)] = 1.0
    every: Annotated[int, Meta(ge=1)] = 1
    block: Annotated[int, Meta(ge=1)] = 4

    def reduce(self, sample: Any) -> Reference:
        """A sample as a reference."""
        raise TypeError(f"{type(self).__name__} defines no reduce")

    def book(self, reference: Reference) -> Book:
        """What the bets win against a reference, and what they are about."""
        raise TypeError(f"{type(self).__name__} defines no book")

    @property
    def batch_multiple(self) -> int:
        return self.block

    def start(self, reference: Any = None) -> Betting:
        if not isinstance(reference, Reference):
            if reference is None or len(reference) < LEAST_REFERENCE * self.every:
                raise InvalidConfiguration(
                    f"{self.kind} compares with a reference: give a sample of at least "
                    f"{LEAST_REFERENCE * self.every} events, better {2000 * self.every}"
                )
            reference = self.reduce(reference)
        return Betting(reference=reference, wealth=_ledger(self, reference).start())

    def update(self, state: Betting, batch: Any) -> Betting:
        if state.alarm_at is not None or len(batch) == 0:
            return state
        ledger = _ledger(self, state.reference)
        codes = [state.reference.codes(batch)]
        blocks = evidence_of(ledger, codes, state.seen, self.block)
        wealth = ledger.absorb(state.wealth, blocks, blocks.allowances(self.false_alarms_per_100k / 1e5))
        return Betting(seen=wealth.seen, alarm_at=wealth.alarm_at, reference=state.reference, wealth=wealth)

    def verdict(self, state: Betting) -> Verdict:
        return verdict_of(_ledger(self, state.reference), state.wealth, 1)


@lru_cache(64)
def _ledger(detector: BettingDetector, reference: Reference) -> Ledger:
    return Ledger(("",), (detector.book(reference),), (detector.every,))


def evidence_of(ledger: Ledger, codes: list[Ints], seen: int, block: int) -> Evidence:
    """Evidence of a batch, a row for each `block` events. `codes` has one array of shape (n,) a feature."""
    n = len(codes[0])
    count = -(-n // block)
    rows = np.full(count, block, np.int64)
    rows[-1] = n - block * (count - 1)
    fed = np.empty((count, len(codes)), np.int64)
    logs = np.zeros((count, len(ledger.feature)), np.int64)
    moments = np.zeros((count, int(ledger.moment_ends[-1])), np.int64)
    every_block = np.arange(count)
    starts = every_block * block
    for i, (table, every) in enumerate(zip(ledger.tables, ledger.every, strict=True)):
        bets = slice(ledger.starts[i], ledger.ends[i])
        own = slice(ledger.moment_starts[i], ledger.moment_ends[i])
        if every == 1:
            fed[:, i], at = rows, every_block
            sums = np.add.reduceat(table.take(codes[i], 0), starts, 0)
        else:
            kept = np.arange(-seen % every, n, every)
            fed[:, i] = np.bincount(kept // block, minlength=count)
            at = np.flatnonzero(fed[:, i])
            firsts = np.concatenate([[0], np.cumsum(fed[at, i])[:-1]]).astype(np.int64)
            sums = np.add.reduceat(table.take(codes[i][kept], 0), firsts, 0) if len(kept) else table[:0]
        width = bets.stop - bets.start
        logs[at, bets], moments[at, own] = sums[:, :width], sums[:, width:]
    return Evidence(rows=rows, fed=fed, logs=logs, moments=moments)


def epoch_evidence(ledger: Ledger, codes: list[Ints], seen: int) -> EpochEvidence:
    """Evidence of all events of an epoch in a partition that had seen so many before, as one block."""
    if len(codes[0]) == 0:
        none = ledger.start()
        return EpochEvidence(rows=0, fed=none.fed, logs=none.logs, moments=none.moments)
    all_of_it = evidence_of(ledger, codes, seen, len(codes[0]))
    return EpochEvidence(
        rows=int(all_of_it.rows[0]),
        fed=tuple(all_of_it.fed[0].tolist()),
        logs=tuple(all_of_it.logs[0].tolist()),
        moments=tuple(all_of_it.moments[0].tolist()),
    )


def verdict_of(ledger: Ledger, wealth: Wealth, most: int) -> Verdict:
    """What a wealth says: the statistic is the spent part of the budget of false alarms, the threshold 1."""
    return Verdict(
        drifted=wealth.alarm_at is not None,
        statistic=float(np.exp(min(wealth.log_statistic, 700.0))),
        threshold=1.0,
        seen=wealth.seen,
        alarm_at=wealth.alarm_at,
        findings=ledger.findings(wealth, most),
    )
